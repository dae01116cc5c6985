"""Score one kind of masks against the true ones."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from aepsl.console import tracked
from aepsl.evaluation.confusion import confusion_matrix, intersection_over_union, mean_iou
from aepsl.labels.assemble import BACKGROUND, region_mask
from aepsl.stages._truth import true_mask
from aepsl.stores.atomic import write_json
from aepsl.stores.dataset import read_manifest
from aepsl.stores.records import Record, Store

KINDS = {
    "regions": "regions",
    "labels": "labels",
    "predictions": "predictions",
    "predictions_crf": "predictions",
}
"""What is scored, and what kind of store holds it."""


def _regions_as_mask(record: Record) -> NDArray[np.uint8]:
    """Return mined regions as a mask: what no class claims is background."""
    regions = record.arrays["union"].astype(bool)
    return region_mask(regions, classes=record.facts["classes"], unclaimed=BACKGROUND)


def _stored_mask(record: Record) -> NDArray[np.uint8]:
    return record.arrays["mask"]


def run(
    *,
    dataset: Path,
    store: Sequence[Path],
    target: str,
    variant: str,
    seed: int,
    step: int | None,
    output: Path,
) -> None:
    """Write the confusion matrix, IoU of each class and mIoU of one target.

    Regions and labels are scored on the training split, predictions on the evaluation split.
    Images without a true mask are left out; with none, mIoU is null.
    """
    manifest = read_manifest(dataset)
    split = "train" if target in ("regions", "labels") else "eval"
    images = [image for image in manifest.split(split) if image.mask]
    records = Store(store, kind=KINDS[target])
    mask_of: Callable[[Record], NDArray[np.uint8]] = (
        _regions_as_mask if target == "regions" else _stored_mask
    )
    names = ("background", *manifest.class_names)
    matrix = np.zeros((len(names), len(names) + 1), np.int64)
    for image in tracked(images, total=len(images), what=f"score {target}"):
        truth = true_mask(image, manifest)
        matrix += confusion_matrix(truth, mask_of(records[image.id]), classes=len(names))
    values = [
        None if np.isnan(value) else float(value) for value in intersection_over_union(matrix)
    ]
    score = {
        "target": target,
        "variant": variant,
        "step": step,
        "split": manifest.splits[split],
        "images": len(images),
        "seed": seed,
        "miou": mean_iou(matrix) if images else None,
        "iou": dict(zip(names, values, strict=True)),
        "confusion": matrix.tolist(),
    }
    write_json(output, score)
