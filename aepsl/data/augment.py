"""Random scale, crop and flip as one affine transform: image and mask stay aligned."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image


def shrunk(pixels: NDArray[np.uint8], *, scale: float, interpolate: bool) -> NDArray[np.uint8]:
    """Return an image or a mask in ``scale`` of its size, at most 1.

    Args:
        pixels: (height, width) or (height, width, 3).
        scale: the factor.
        interpolate: smoothly (photographs) instead of by the nearest pixel (masks).
    """
    if scale == 1:
        return pixels
    filters = Image.Resampling
    height, width = (max(1, round(length * scale)) for length in pixels.shape[:2])
    small = Image.fromarray(pixels).resize(
        (width, height), filters.BILINEAR if interpolate else filters.NEAREST
    )
    return np.asarray(small)


@dataclass(frozen=True)
class CropTransform:
    """A square crop of ``size`` pixels, defined by an affine ``matrix`` (2, 3).

    The matrix maps a pixel (x, y, 1) of the crop to image coordinates.
    """

    matrix: NDArray[np.float64]
    size: int


def random_transform(
    rng: np.random.Generator,
    *,
    height: int,
    width: int,
    crop: int,
    scale_min: float,
    scale_max: float,
    flip: bool,
) -> CropTransform:
    """Draw a random crop of the image, scaled by a factor in [scale_min, scale_max].

    A scaled image that is smaller than the crop gets a random position inside it.

    Args:
        rng: random generator.
        height: image height, pixels.
        width: image width, pixels.
        crop: side of the crop, pixels (paper: 321).
        scale_min: smallest scale factor.
        scale_max: largest scale factor.
        flip: whether to mirror with probability 0.5.
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
    return CropTransform(matrix, crop)


def apply_transform(
    pixels: NDArray[np.uint8],
    transform: CropTransform,
    *,
    fill_value: tuple[int, ...] | int,
    interpolate: bool,
) -> NDArray[np.uint8]:
    """Return the crop of an image or a mask that ``transform`` describes.

    Args:
        pixels: (height, width) or (height, width, 3).
        transform: position and scale of the crop.
        fill_value: value of pixels outside the image.
        interpolate: linear interpolation (photographs) instead of the nearest pixel (masks).
    """
    channels = 1 if pixels.ndim == 2 else pixels.shape[2]
    border = fill_value if isinstance(fill_value, tuple) else (fill_value,) * channels
    return cv2.warpAffine(
        pixels,
        transform.matrix,
        (transform.size, transform.size),
        flags=(cv2.INTER_LINEAR if interpolate else cv2.INTER_NEAREST) | cv2.WARP_INVERSE_MAP,
        borderMode=cv2.BORDER_CONSTANT,
        borderValue=border,
    ).astype(np.uint8, copy=False)
