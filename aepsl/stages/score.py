"""Score one kind of masks, or saliency, against the true masks."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from aepsl.config.evaluation import Evaluation
from aepsl.config.sections import Slice
from aepsl.console import tracked
from aepsl.evaluation.boundary import boundary_f
from aepsl.evaluation.confusion import (
    bootstrap_miou,
    confusion_matrix,
    coverage,
    error_inside,
    intersection_over_union,
    mean_iou,
    object_area,
    precision_and_recall,
)
from aepsl.evaluation.saliency import max_f, saliency_counts
from aepsl.labels.assemble import BACKGROUND, region_mask
from aepsl.masks import BACKGROUND_NAME, IGNORED
from aepsl.stages._truth import true_mask
from aepsl.stores.atomic import write_manifest_json
from aepsl.stores.dataset import TruthManifest, read_truth
from aepsl.stores.records import Record, Store

KINDS = {
    "saliency": "saliency",
    "regions": "regions",
    "labels": "labels",
    "relabelled": "labels",
    "predictions": "predictions",
    "predictions_crf": "predictions",
}
"""What is scored, and what kind of store holds it."""


def _mask(record: Record, target: str) -> NDArray[np.uint8]:
    """Return what is scored as a mask; of regions, what no class claims is background."""
    if target != "regions":
        return record.arrays["mask"]
    regions = record.arrays["union"].astype(bool)
    return region_mask(regions, classes=record.facts["classes"], unclaimed=BACKGROUND)


def _number(value: float) -> float | None:
    return None if np.isnan(value) else float(value)


def _of_masks(
    truth: TruthManifest,
    records: Store,
    *,
    target: str,
    settings: Evaluation,
) -> dict[str, Any]:
    names = (BACKGROUND_NAME, *truth.class_names)
    matrices = np.zeros((len(truth.masks), len(names), len(names) + 1), np.int64)
    outlines = np.full((len(truth.masks), len(names)), np.nan)
    shown = tracked(truth.masks, total=len(truth.masks), what=f"score {target}")
    for number, entry in enumerate(shown):
        true, answer = true_mask(entry, truth), _mask(records[entry.id], target)
        matrices[number] = confusion_matrix(true, answer, classes=len(names))
        outlines[number] = boundary_f(
            true, answer, classes=len(names), tolerance=settings.boundary_tolerance
        )
    matrix = matrices.sum(axis=0)
    interval = (np.nan, np.nan)
    if truth.masks:
        interval = bootstrap_miou(
            matrices, resamples=settings.resamples, confidence=settings.confidence, seed=0
        )
    met = np.ma.masked_invalid(outlines).mean(axis=0).filled(np.nan)
    precision, recall = precision_and_recall(matrix)
    by_class = {
        "iou": intersection_over_union(matrix),
        "precision": precision,
        "recall": recall,
        "boundary_f": met,
    }
    return {
        "miou": _number(float(mean_iou(matrix))),
        "miou_interval": [_number(value) for value in interval],
        "area": _number(object_area(matrix)),
        "coverage": _number(coverage(matrix)),
        "error": _number(error_inside(matrix)),
        "confusion": matrix.tolist(),
    } | {
        measure: dict(zip(names, map(_number, values), strict=True))
        for measure, values in by_class.items()
    }


def _of_saliency(truth: TruthManifest, records: Store) -> dict[str, Any]:
    """Return how well saliency finds the pixels of any class; void pixels are left out."""
    counts = []
    for entry in tracked(truth.masks, total=len(truth.masks), what="score saliency"):
        true = true_mask(entry, truth)
        known = true != IGNORED
        salient = (true > 0)[known]
        if salient.any():
            counts.append(saliency_counts(records[entry.id].arrays["saliency"][known], salient))
    if not counts:
        return {"mae": None, "max_f": None}
    error, precision, recall = (np.mean(values, axis=0) for values in zip(*counts, strict=True))
    return {"mae": float(error), "max_f": max_f(precision, recall)}


def run(
    config: Slice,
    *,
    truth: Path,
    root: Path,
    store: Sequence[Path],
    target: str,
    variant: str,
    seed: int,
    step: int | None,
    output: Path,
) -> None:
    """Write the measures of one target.

    Images without a true mask are left out; with none, every measure is null.
    """
    true = read_truth(truth, root=root)
    records = Store(store, kind=KINDS[target])
    if target == "saliency":
        measures = _of_saliency(true, records)
    else:
        settings = config.section("evaluation", Evaluation)
        measures = _of_masks(true, records, target=target, settings=settings)
    about = {"target": target, "variant": variant, "step": step, "seed": seed}
    about |= {"split": true.split, "images": len(true.masks)}
    write_manifest_json(output, about | measures)
