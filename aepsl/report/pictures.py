"""Pictures of one image for the report page: its thumbnail, and one sheet with all its layers.

A layer holds small whole numbers, such as classes, as grey values; the page colours them. One file
with all layers side by side keeps the number of files low.
"""

from __future__ import annotations

import io
import math
from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

LONGEST_SIDE = 256
"""Longest side of a thumbnail, in pixels."""

LEVELS = 16
"""Levels of a map, such as saliency, on the page."""

_STRIPES = 4
"""Width of the stripes that distinguish the reasons for ignoring pixels, in pixels."""

Grey = NDArray[np.uint8]


def thumbnail_size(height: int, width: int) -> tuple[int, int]:
    """Return height and width of an image's thumbnail; small images keep their size.

    >>> thumbnail_size(375, 500)
    (192, 256)
    """
    scale = min(1.0, LONGEST_SIDE / max(height, width))
    return max(1, round(height * scale)), max(1, round(width * scale))


def grey_values(numbers: NDArray[np.integer], *, entries: int) -> Grey:
    """Return the grey values, 0..255, of whole numbers below ``entries`` (at most 256).

    The page takes them for the values in the middle of ``entries`` equal intervals, so that
    rounding in a browser changes no number.

    >>> grey_values(np.array([0, 1, 2]), entries=3).tolist()
    [42, 127, 212]
    """
    middle = 255 * (2 * numbers.astype(np.int64) + 1) + entries - 1  # rounded, one half down
    return (middle // (2 * entries)).astype(np.uint8)


def map_layer(values: NDArray[np.floating], *, height: int, width: int) -> Grey:
    """Return the layer of a map in 0..1, in :data:`LEVELS` levels."""
    small = cv2.resize(values.astype(np.float32), (width, height), interpolation=cv2.INTER_AREA)
    return grey_values((small * LEVELS).astype(int).clip(0, LEVELS - 1), entries=LEVELS)


def mask_layer(mask: Grey, *, classes: int, height: int, width: int) -> Grey:
    """Return the layer of a mask with ``classes`` values, background included; 255 is the last."""
    small = cv2.resize(mask, (width, height), interpolation=cv2.INTER_NEAREST_EXACT)
    return grey_values(np.minimum(small, classes), entries=classes + 1)


def reasons_layer(reasons: Grey, *, height: int, width: int) -> Grey:
    """Return the layer of reasons: 0 is none; 1, 2 and 3 are hatched differently.

    1 is hatched upwards, 2 downwards and 3 vertically, so that colour is not needed.
    """
    small = cv2.resize(reasons, (width, height), interpolation=cv2.INTER_NEAREST_EXACT)
    rows, columns = np.indices(small.shape)
    direction = np.select([small == 1, small == 2], [columns + rows, columns - rows], columns)
    drawn = direction // _STRIPES % 2 == 0
    return grey_values(np.where(drawn, small, 0), entries=4)


def errors_layer(errors: Grey, *, height: int, width: int) -> Grey:
    """Return the layer of the errors of :func:`aepsl.report.measures.kinds_of_errors`."""
    small = cv2.resize(errors, (width, height), interpolation=cv2.INTER_NEAREST_EXACT)
    return grey_values(small, entries=4)


def sheet(layers: Sequence[Grey]) -> Grey:
    """Return the (height, width) layers side by side, row by row, in a grid as square as can be.

    >>> sheet([np.zeros((2, 3), np.uint8)] * 5).shape
    (4, 9)
    """
    columns = math.ceil(math.sqrt(len(layers)))
    missing = -len(layers) % columns
    filled = [*layers, *[np.zeros_like(layers[0])] * missing]
    rows = [np.hstack(filled[start : start + columns]) for start in range(0, len(filled), columns)]
    return np.vstack(rows)


def encode_thumbnail(photograph: NDArray[np.uint8]) -> bytes:
    """Return the thumbnail of a (height, width, 3) photograph as WebP."""
    height, width = thumbnail_size(*photograph.shape[:2])
    small = cv2.resize(photograph, (width, height), interpolation=cv2.INTER_AREA)
    content = io.BytesIO()
    Image.fromarray(small).save(content, format="WEBP", quality=75, method=2)
    return content.getvalue()


def encode_sheet(layers: Sequence[Grey]) -> bytes:
    """Return the sheet of an image's layers as grey PNG, which is lossless and fast to write."""
    content = io.BytesIO()
    Image.fromarray(sheet(layers)).save(content, format="PNG")
    return content.getvalue()


def overlay_mask(
    image: NDArray[np.uint8], mask: NDArray[np.uint8], palette: NDArray[np.uint8]
) -> NDArray[np.uint8]:
    """Colour the classes in a photograph, half transparent, with an outline; background stays."""
    shown = np.where(mask[..., None] > 0, image // 2 + palette[mask] // 2, image)
    edges = cv2.morphologyEx(mask, cv2.MORPH_GRADIENT, np.ones((3, 3), np.uint8)) > 0
    shown[edges] = palette[np.maximum(mask, cv2.dilate(mask, np.ones((3, 3), np.uint8)))][edges]
    return shown.astype(np.uint8)
