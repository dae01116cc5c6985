"""COCO's JSON: one annotation for each image and class, as run lengths."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from aepsl.console import tracked
from aepsl.data.coco_masks import run_lengths
from aepsl.exchange.labelled import Labelled, LabelledImage
from aepsl.masks import IGNORE_INDEX
from aepsl.stores.atomic import write_json


def write_coco(labelled: Labelled, folder: Path) -> None:
    """Write ``instances_<split>.json``; category k has the id k + 1, and background has none.

    Ignored pixels are a crowd (``iscrowd: 1``) of each class that the photograph shows: evaluation
    then counts none of them there.
    """
    for split in dict.fromkeys(image.split for image in labelled.images):
        images = [image for image in labelled.images if image.split == split]
        numbers, annotations = count(1), []
        for image_id, image in enumerate(tracked(images, total=len(images), what="coco"), start=1):
            for annotation in _annotations(image, labelled.class_names):
                annotations.append({"id": next(numbers), "image_id": image_id, **annotation})
        content = {
            "images": [_image(image, number) for number, image in enumerate(images, start=1)],
            "annotations": annotations,
            "categories": [
                {"id": number, "name": name}
                for number, name in enumerate(labelled.class_names, start=1)
            ],
        }
        write_json(folder / f"instances_{split}.json", content)


def _image(image: LabelledImage, image_id: int) -> dict[str, Any]:
    size = {"width": image.entry.width, "height": image.entry.height}
    return {"id": image_id, "file_name": image.entry.path, **size}


def _annotations(image: LabelledImage, class_names: tuple[str, ...]) -> Iterator[dict[str, Any]]:
    mask = image.mask()
    for value in range(1, len(class_names) + 1):
        if (region := mask == value).any():
            yield _annotation(region, value, crowd=0)
    if (ignored := mask == IGNORE_INDEX).any():
        for name in image.entry.labels:
            yield _annotation(ignored, 1 + class_names.index(name), crowd=1)


def _annotation(region: NDArray[np.bool_], value: int, *, crowd: int) -> dict[str, Any]:
    rows, columns = np.flatnonzero(region.any(axis=1)), np.flatnonzero(region.any(axis=0))
    left, top = int(columns[0]), int(rows[0])
    return {
        "category_id": value,
        "segmentation": run_lengths(region),
        "area": int(region.sum()),
        "bbox": [left, top, int(columns[-1]) - left + 1, int(rows[-1]) - top + 1],
        "iscrowd": crowd,
    }
