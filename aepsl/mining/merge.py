"""Activation maps as arrays: scaling and merging."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from aepsl.grid import Grid, resample


def scaled_to_max(maps: NDArray[np.floating]) -> NDArray[np.float32]:
    """Scale each map of (classes, h, w) to a maximum of 1; a map of zeros stays 0."""
    peak = maps.max(axis=(1, 2), initial=0.0, keepdims=True).astype(np.float32)
    return np.divide(maps, peak, out=np.zeros(maps.shape, np.float32), where=peak > 0)


class ScaledCam(NamedTuple):
    """CAMs of one view of an image: one scale, mirrored or not."""

    maps: NDArray[np.floating]
    """(classes, h, w)."""
    grid: Grid
    """Of the cells in the unscaled image."""


def merge_cams(views: Sequence[ScaledCam], *, normalise_first: bool) -> ScaledCam:
    """Average the CAMs of several views of one image on the finest of their grids.

    A single view is returned unchanged. Averaging raw CAMs weights a view by its confidence; with
    ``normalise_first`` each view has equal weight, even one that contains only noise.

    Args:
        views: CAMs of the same classes.
        normalise_first: scale each map to a maximum of 1 before averaging.
    """
    finest = min(views, key=lambda view: view.grid.stride)
    if len(views) == 1:
        return finest
    height, width = finest.maps.shape[1:]
    total = np.zeros(finest.maps.shape, np.float32)
    for maps, grid in views:
        seen = resample(maps, (height, width), source=grid, target=finest.grid)
        total += scaled_to_max(seen) if normalise_first else seen
    return ScaledCam(total / np.float32(len(views)), finest.grid)
