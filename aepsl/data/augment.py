"""Random scale, crop and flip as one view of the image: one interpolation, always aligned."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class View:
    """A square of ``size`` pixels that looks at an image through ``matrix`` (2, 3).

    The matrix takes a pixel (x, y, 1) of the view to its place on the image.
    """

    matrix: NDArray[np.float64]
    size: int


def random_view(
    rng: np.random.Generator,
    *,
    height: int,
    width: int,
    crop: int,
    scale_min: float,
    scale_max: float,
    flip: bool,
) -> View:
    """Draw a view: the image scaled by a factor in [scale_min, scale_max], cropped, maybe flipped.

    Where the scaled image is smaller than the crop, it lies at a random place inside it.

    Args:
        rng: where the randomness comes from.
        height: of the image, pixels.
        width: of the image, pixels.
        crop: side of the view, pixels (paper: 321).
        scale_min: smallest factor.
        scale_max: largest factor.
        flip: whether every second view is mirrored.
    """
    scale = rng.uniform(scale_min, scale_max)
    offsets = [
        rng.uniform(min(0.0, length - crop / scale), max(0.0, length - crop / scale))
        for length in (width, height)
    ]
    mirrored = flip and rng.random() < 0.5
    step = 1 / scale
    matrix = np.array([[step, 0, offsets[0]], [0, step, offsets[1]]], np.float64)
    matrix[:, 2] += 0.5 * step - 0.5
    if mirrored:
        matrix[0] = [-step, 0, matrix[0, 2] + step * (crop - 1)]
    return View(matrix, crop)


def look(
    pixels: NDArray[np.uint8], view: View, *, outside: tuple[int, ...] | int, smooth: bool
) -> NDArray[np.uint8]:
    """Return what ``view`` sees of an image or a mask.

    Args:
        pixels: (height, width) or (height, width, 3).
        view: where to look.
        outside: the value beyond the border.
        smooth: linear interpolation (photographs) instead of the nearest pixel (masks).
    """
    channels = 1 if pixels.ndim == 2 else pixels.shape[2]
    border = outside if isinstance(outside, tuple) else (outside,) * channels
    return cv2.warpAffine(
        pixels,
        view.matrix,
        (view.size, view.size),
        flags=(cv2.INTER_LINEAR if smooth else cv2.INTER_NEAREST) | cv2.WARP_INVERSE_MAP,
        borderMode=cv2.BORDER_CONSTANT,
        borderValue=border,
    ).astype(np.uint8, copy=False)
