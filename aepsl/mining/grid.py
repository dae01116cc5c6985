"""Activation maps as arrays: alignment with the image, scaling, merging.

A *cell* is one position of a network's output: cell k is aligned with pixel ``k * stride``.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray


def interpolation_matrix(length: int, cells: int, stride: float) -> NDArray[np.float32]:
    """Return the (length, cells) matrix that interpolates linearly from a grid of step ``stride``.

    Cell k is aligned with pixel ``k * stride``, because every strided layer has an odd kernel and
    half padding. Pixels beyond the last cell get its value.
    """
    position = np.arange(length, dtype=np.float64) / stride
    left = np.minimum(np.floor(position).astype(int), cells - 1)
    right = np.minimum(left + 1, cells - 1)
    weight = position - left
    matrix = np.zeros((length, cells), np.float32)
    rows = np.arange(length)
    np.add.at(matrix, (rows, left), (1 - weight).clip(0, 1))
    np.add.at(matrix, (rows, right), weight.clip(0, 1))
    return matrix


def upsample_to_image(
    maps: NDArray[np.floating], *, height: int, width: int, stride: float
) -> NDArray[np.float32]:
    """Interpolate (classes, h, w) maps of a network's stride to (classes, height, width)."""
    rows = interpolation_matrix(height, maps.shape[-2], stride)
    columns = interpolation_matrix(width, maps.shape[-1], stride)
    return rows @ maps.astype(np.float32) @ columns.T


def scaled_to_max(maps: NDArray[np.floating]) -> NDArray[np.float32]:
    """Scale each map of (classes, h, w) to a maximum of 1; a map of zeros stays 0."""
    peak = maps.max(axis=(1, 2), initial=0.0, keepdims=True).astype(np.float32)
    return np.divide(maps, peak, out=np.zeros(maps.shape, np.float32), where=peak > 0)


class ScaledCam(NamedTuple):
    """CAMs of one view of an image: one scale, mirrored or not."""

    maps: NDArray[np.floating]
    """(classes, h, w)."""
    stride: float
    """Pixels of the unscaled image from one cell to the next."""


def merge_cams(views: Sequence[ScaledCam], *, normalise_first: bool) -> ScaledCam:
    """Average the CAMs of several views of one image on the finest of their grids.

    A single view is returned unchanged. Averaging raw CAMs weights a view by its confidence; with
    ``normalise_first`` each view has equal weight, even one that contains only noise.

    Args:
        views: CAMs of the same classes.
        normalise_first: scale each map to a maximum of 1 before averaging.
    """
    finest = min(views, key=lambda view: view.stride)
    if len(views) == 1:
        return finest
    height, width = finest.maps.shape[1:]
    total = np.zeros(finest.maps.shape, np.float32)
    for maps, stride in views:
        rows = interpolation_matrix(height, maps.shape[1], stride / finest.stride)
        columns = interpolation_matrix(width, maps.shape[2], stride / finest.stride)
        seen = rows @ maps.astype(np.float32) @ columns.T
        total += scaled_to_max(seen) if normalise_first else seen
    return ScaledCam(total / np.float32(len(views)), finest.stride)
