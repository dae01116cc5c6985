"""Where the cells of a network's output lie in the image.

A *cell* is one position of a network's output. Everything that turns cells into pixels, or pixels
into cells, asks :class:`Grid`.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray


class Grid(NamedTuple):
    """Cells along one side of an image: cell k lies on pixel ``offset + stride * k``.

    Pixel 0 is the centre of the first pixel. Layers with odd kernels, padded by half, keep cell 0
    on pixel 0; patches of n pixels lie at their centres, (n - 1) / 2.
    """

    stride: float
    """Pixels from one cell to the next."""
    offset: float = 0.0
    """Pixel on which cell 0 lies."""

    def cells(self, length: int) -> int:
        """Return the number of cells of an image side of ``length`` pixels; the stride is whole."""
        stride = int(self.stride)
        return (length + stride - 1) // stride

    def scaled(self, factor: float) -> Grid:
        """Return the grid of the same cells in the image resized by ``factor``."""
        return Grid(self.stride * factor, (self.offset + 0.5) * factor - 0.5)

    def positions(self, cells: Any) -> Any:
        """Return the pixels on which cells lie: an array or a tensor, as ``cells``."""
        return cells * self.stride + self.offset

    def interpolation(self, pixels: Any, cells: Any) -> Any:
        """Return the (pixels, cells) weights of linear interpolation between the cells.

        Pixels before the first or beyond the last cell get its value.

        Args:
            pixels: positions in the image, a float array or tensor.
            cells: 0, 1, 2, ..., the numbers of the cells; of the same kind.
        """
        position = ((pixels - self.offset) / self.stride).clip(0, cells.shape[0] - 1)
        return (1 - abs(position[:, None] - cells)).clip(0)

    def means(self, pixels: Any, cells: Any) -> Any:
        """Return the (cells, pixels) weights of the mean over the pixels around each cell.

        A pixel at most half a stride from a cell counts; in the middle it counts for both.
        A cell beyond the image has weights of 0. Arguments as in :meth:`interpolation`.
        """
        near = abs(pixels - self.positions(cells)[:, None]) <= self.stride / 2
        return near / near.sum(1).clip(1)[:, None]


def shrinking(pixels: Any, cells: Any, *, scale: float) -> Any:
    """Return the (cells, pixels) weights that shrink an image side to ``scale`` of its length.

    A triangle as wide as two new pixels, as in Pillow's and torch's antialiased linear resizing.

    Args:
        pixels: 0, 1, 2, ..., the numbers of the old pixels, a float array or tensor.
        cells: those of the new pixels; of the same kind.
        scale: number of new pixels, divided by that of the old.
    """
    centres = Grid(1 / scale, 0.5 / scale - 0.5).positions(cells)
    near = (1 - abs(pixels - centres[:, None]) * scale).clip(0)
    return near / near.sum(1)[:, None]


PIXELS = Grid(1)
"""The pixels of the image."""


def resample(
    maps: NDArray[np.floating], size: tuple[int, int], *, source: Grid, target: Grid = PIXELS
) -> NDArray[np.float32]:
    """Interpolate (classes, h, w) maps from one grid to ``size``, rows and columns, of another."""
    rows, columns = (
        source.interpolation(
            target.positions(np.arange(length, dtype=np.float32)),
            np.arange(cells, dtype=np.float32),
        )
        for length, cells in zip(size, maps.shape[1:], strict=True)
    )
    return (rows @ maps.astype(np.float32) @ columns.T).astype(np.float32, copy=False)
