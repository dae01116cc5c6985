"""YOLO's segmentation labels: polygons in fractions of the image, a text file an image."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import yaml
from numpy.typing import NDArray

from aepsl.console import tracked
from aepsl.exchange.labelled import Labelled
from aepsl.stores.atomic import write_text

WITHIN_PIXEL = 0.25
"""Where in its pixel a point lies: the pixel is found by readers that round and that cut off."""


def write_yolo(labelled: Labelled, folder: Path) -> None:
    """Write ``images/<split>``, ``labels/<split>`` and ``data.yaml``.

    The format has no background and nothing ignored: ignored pixels are background.
    """
    for image in tracked(labelled.images, total=len(labelled.images), what="yolo"):
        entry, mask = image.entry, image.mask()
        suffix = Path(entry.path).suffix
        labelled.put_photograph(image, folder / "images" / image.split / f"{entry.id}{suffix}")
        lines = [
            " ".join([str(number), *(f"{value:.6f}" for value in polygon.ravel())])
            for number in range(len(labelled.class_names))
            for polygon in polygons(mask == number + 1)
        ]
        file = folder / "labels" / image.split / f"{entry.id}.txt"
        write_text(file, "".join(f"{line}\n" for line in lines))
    splits = dict.fromkeys(image.split for image in labelled.images)
    about = {split: f"images/{split}" for split in splits}
    # Ultralytics asks for both splits.
    about = {"train": next(iter(about.values()), ""), "val": list(about.values())[-1]} | about
    content = about | {"names": dict(enumerate(labelled.class_names))}
    write_text(folder / "data.yaml", yaml.safe_dump(content, allow_unicode=True, sort_keys=False))


def polygons(region: NDArray[np.bool_]) -> Iterator[NDArray[np.float64]]:
    """Yield the outline of each connected part of a (height, width) region, as (n, 2) x, y, 0..1.

    The points are pixels on the outline, so that drawing it covers the part exactly. A hole is
    joined to the outline by a line there and back. Parts of less than three points, that is single
    pixels and straight lines, have no outline and are left out.
    """
    height, width = region.shape
    contours, tree = cv2.findContours(
        region.astype(np.uint8), cv2.RETR_CCOMP, cv2.CHAIN_APPROX_SIMPLE
    )
    for number, contour in enumerate(contours):
        if tree[0][number][3] >= 0:
            continue  # a hole
        outline = contour[:, 0]
        hole = tree[0][number][2]
        while hole >= 0:
            outline = _joined(outline, contours[hole][:, 0])
            hole = tree[0][hole][0]
        if len(outline) >= 3:
            yield (outline + WITHIN_PIXEL) / (width, height)


def _joined(outline: NDArray[np.int32], hole: NDArray[np.int32]) -> NDArray[np.int32]:
    """Return an outline that goes around a hole on its way, from its nearest point and back."""
    squared = ((outline[:, None] - hole) ** 2).sum(axis=-1)
    here, there = np.unravel_index(squared.argmin(), squared.shape)
    around = np.concatenate([hole[there:], hole[: there + 1]])
    return np.concatenate([outline[: here + 1], around, outline[here:]])
