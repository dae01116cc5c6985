"""A network's output on the pixels of the image.

A *cell* is one position of a network's output: cell k is aligned with pixel ``k * stride``.
"""

from __future__ import annotations

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
