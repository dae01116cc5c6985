"""Features of any backbone at the strides that a decoder takes."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor

from aepsl.grid import Grid
from aepsl.networks.backbones import Level
from aepsl.networks.grids import resample


class Pyramid:
    """Features at given strides, from the levels of a backbone.

    Of several levels with one stride the last counts. A stride that the backbone lacks has features
    without channels. A backbone of a single stride (ViT) has all, resampled from its levels, the
    finer ones from the earlier.
    """

    def __init__(self, levels: Sequence[Level], strides: Sequence[int]) -> None:
        own = [round(level.grid.stride) for level in levels]
        if len(set(own)) == 1:
            last = len(levels) - 1
            places = [last * k // max(len(strides) - 1, 1) for k in range(len(strides))]
            self._sources: list[int | None] = [*places]
        else:
            self._sources = [
                max((k for k, other in enumerate(own) if other == stride), default=None)
                for stride in strides
            ]
        self._own = [level.grid for level in levels]
        self.channels = [0 if k is None else levels[k].channels for k in self._sources]
        """Of the features at each stride."""
        pairs = zip(self._sources, strides, strict=True)
        self.grids = [self._grid(source, stride) for source, stride in pairs]
        """Of the features at each stride."""

    def _grid(self, source: int | None, stride: int) -> Grid:
        if source is not None and round(self._own[source].stride) == stride:
            return self._own[source]
        return Grid(stride, (stride - 1) / 2)

    def __call__(self, features: Sequence[Tensor], size: tuple[int, int]) -> list[Tensor]:
        """Return the features at each stride.

        Args:
            features: of each level.
            size: height and width of the images, px.
        """
        found = []
        for source, grid in zip(self._sources, self.grids, strict=True):
            cells = grid.cells(size[0]), grid.cells(size[1])
            if source is None:
                found.append(features[-1].new_zeros(features[-1].shape[0], 0, *cells))
            elif self._own[source] == grid:
                found.append(features[source])
            else:
                own = self._own[source]
                found.append(resample(features[source], cells, source=own, target=grid))
        return found
