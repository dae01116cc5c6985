"""Maps of a network between grids; where the cells lie is the business of :mod:`aepsl.grid`."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from aepsl.grid import PIXELS, Grid, shrinking


def _numbers(count: int, like: Tensor) -> Tensor:
    return torch.arange(count, dtype=torch.float32, device=like.device)


def resample(maps: Tensor, size: tuple[int, int], *, source: Grid, target: Grid = PIXELS) -> Tensor:
    """Interpolate (n, c, h, w) maps from one grid to ``size``, rows and columns, of another."""
    rows, columns = (
        source.interpolation(target.positions(_numbers(length, maps)), _numbers(cells, maps))
        for length, cells in zip(size, maps.shape[2:], strict=True)
    )
    return rows.to(maps.dtype) @ maps @ columns.to(maps.dtype).T


def shrunk(images: Tensor, *, scale: float) -> Tensor:
    """Return (n, 3, height, width) images in ``scale`` of their size, at most 1, smoothly."""
    if scale == 1:
        return images
    rows, columns = (
        shrinking(_numbers(length, images), _numbers(short, images), scale=short / length)
        for length in images.shape[2:]
        for short in [max(1, round(length * scale))]
    )
    return rows @ images @ columns.T


def means(pixels: Tensor, *, grid: Grid) -> Tensor:
    """Average (n, c, height, width) pixels around each cell of ``grid``."""
    rows, columns = (
        grid.means(_numbers(length, pixels), _numbers(grid.cells(length), pixels))
        for length in pixels.shape[2:]
    )
    return rows @ pixels @ columns.T


def cropped(maps: Tensor, size: tuple[int, int], *, grid: Grid) -> Tensor:
    """Return the cells of images of ``size``, height and width, from those of padded ones."""
    rows, columns = (grid.cells(side) for side in size)
    return maps.narrow(2, 0, rows).narrow(3, 0, columns)


def _lie_late(grid: Grid) -> bool:
    """Return whether cells lie in the second half of their stride."""
    return 1 + 2 * grid.offset > grid.stride


def mirror(images: Tensor, *, grid: Grid) -> Tensor:
    """Return (n, 3, h, w) images mirrored, and padded so that cells lie on cells again.

    The padded image ends as far behind a cell as it begins before the first.
    """
    step, ends = int(grid.stride), int(1 + 2 * grid.offset)
    padding = (ends - images.shape[3]) % step
    if _lie_late(grid):  # room for all of them
        padding = -images.shape[3] % step + ends - step
    return functional.pad(images, (0, padding, 0, 0), mode="replicate").flip(3)


def unmirror(maps: Tensor, *, grid: Grid, columns: int) -> Tensor:
    """Return the first ``columns`` cells of images, from (n, c, h, w) maps of :func:`mirror`."""
    beyond = int(_lie_late(grid))  # a last cell that lies behind the padding
    there = maps.narrow(3, 0, maps.shape[3] - beyond)
    return there.flip(3).narrow(3, 0, columns)
