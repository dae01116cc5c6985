"""COCO's segmentations in pixels: polygons and run lengths to masks, and masks to run lengths."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pycocotools import mask as coco_masks

from aepsl.data.coco import AnnotatedImage
from aepsl.errors import AepslError
from aepsl.masks import BACKGROUND_NAME, IGNORE_INDEX

_HINT = "export the annotations again, or remove this segmentation"
_FAR = 10
"""Largest coordinate of a polygon, in sides of its image: drawing takes memory by its length."""


def draw(
    image: AnnotatedImage, class_names: Sequence[str], *, height: int, width: int
) -> NDArray[np.uint8]:
    """Return the (height, width) mask of an image: 0 background, 1 + class, 255 ignored.

    Where objects overlap, the smaller one is in front; of two equal ones, the later one. Crowds
    are ignored, except where an object is annotated in them.

    Raises:
        AepslError: if a segmentation is malformed, of another size, or of an unknown class.
    """
    where = f"{image.file}: {image.name}"
    values = {name: number for number, name in enumerate((BACKGROUND_NAME, *class_names))}
    layers = []
    for number, annotation in enumerate(image.annotations):
        if annotation.category not in values:
            what = f"an object of the unknown class {annotation.category!r}"
            raise AepslError.of(where, what, f"one of {', '.join(class_names)}")
        try:
            region = decoded(annotation.segmentation, height=height, width=width)
        except (ValueError, TypeError, KeyError, OverflowError) as error:
            what = f"the segmentation of its object {number + 1} is unusable ({error})"
            raise AepslError.of(where, what, _HINT) from None
        value = IGNORE_INDEX if annotation.crowd else values[annotation.category]
        layers.append((not annotation.crowd, -int(region.sum()), number, value, region))
    mask = np.zeros((height, width), np.uint8)
    for *_, value, region in sorted(layers, key=lambda layer: layer[:3]):
        mask[region] = value
    return mask


def decoded(segmentation: Any, *, height: int, width: int) -> NDArray[np.bool_]:
    """Return the (height, width) region of a segmentation.

    >>> decoded({"size": [2, 3], "counts": [1, 4, 1]}, height=2, width=3).astype(int).tolist()
    [[0, 1, 1], [1, 1, 0]]

    Raises:
        ValueError, TypeError, KeyError, OverflowError: if it is malformed or of another size.
    """
    if isinstance(segmentation, Mapping):
        if list(segmentation["size"]) != [height, width]:
            size = " x ".join(map(str, reversed(segmentation["size"])))
            raise ValueError(f"it is {size} pixels, its image {width} x {height}")
        return _from_runs(segmentation["counts"], height=height, width=width)
    polygons = [np.asarray(polygon, np.float64) for polygon in segmentation]
    for polygon in polygons:
        if polygon.ndim != 1 or polygon.size < 6 or polygon.size % 2:
            raise ValueError("a polygon is x, y, x, y, ... of three points or more")
        if not (np.abs(polygon) <= _FAR * max(height, width)).all():
            raise ValueError("a polygon lies far outside of its image")
    if not polygons:
        return np.zeros((height, width), bool)
    runs = coco_masks.frPyObjects([polygon.tolist() for polygon in polygons], height, width)
    union = coco_masks.merge(runs)["counts"].decode("ascii")
    return _from_runs(union, height=height, width=width)


def _from_runs(counts: str | Sequence[int], *, height: int, width: int) -> NDArray[np.bool_]:
    """Return the region of run lengths, column by column, the first one outside of it.

    pycocotools would return uninitialised memory where the runs end before the image does.
    """
    lengths = np.array(_run_lengths(counts) if isinstance(counts, str) else counts, np.int64)
    if lengths.ndim != 1 or (lengths < 0).any() or lengths.sum() != height * width:
        raise ValueError(f"its run lengths do not add up to {width} x {height} pixels")
    inside = np.arange(len(lengths)) % 2 == 1
    return np.repeat(inside, lengths).reshape(width, height).T


def _run_lengths(text: str) -> list[int]:
    """Return COCO's compressed run lengths: 5 bits a character, differences to the last but one."""
    lengths: list[int] = []
    value = shift = 0
    for byte in text.encode("ascii"):
        value |= (byte - 48 & 31) << shift
        shift += 5
        if byte - 48 & 32:
            continue
        if byte - 48 & 16:
            value -= 1 << shift
        lengths.append(value + (lengths[-2] if len(lengths) > 2 else 0))
        value = shift = 0
    return lengths


def run_lengths(region: NDArray[np.bool_]) -> dict[str, Any]:
    """Return a (height, width) region as COCO's compressed run lengths."""
    encoded = coco_masks.encode(np.asfortranarray(region, np.uint8))
    return {"size": list(region.shape), "counts": encoded["counts"].decode("ascii")}
