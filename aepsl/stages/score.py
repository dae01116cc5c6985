"""Score one target (masks or saliency) against the true masks."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer
from numpy.typing import NDArray

from aepsl.config.evaluation import Evaluation
from aepsl.console import tracked
from aepsl.errors import AepslError
from aepsl.evaluation.boundary import boundary_f
from aepsl.evaluation.confusion import (
    bootstrap_miou,
    confusion_matrix,
    error_rate,
    foreground_fraction,
    intersection_over_union,
    labelled_fraction,
    mean_iou,
    objects,
    overlap,
    precision_and_recall,
)
from aepsl.evaluation.saliency import max_f, saliency_counts
from aepsl.labels.assemble import BACKGROUND, region_mask
from aepsl.masks import BACKGROUND_NAME, IGNORE_INDEX
from aepsl.stages._options import (
    Output,
    Paths,
    Reads,
    Root,
    Seed,
    Settings,
    TruthFile,
    Variant,
    paths_option,
)
from aepsl.stages._truth import true_mask
from aepsl.stores.atomic import write_manifest_json
from aepsl.stores.manifests import TruthManifest, read_truth
from aepsl.stores.records import Store
from aepsl.targets import TARGETS


def _kind(target: str) -> str:
    """Return the kind of the store that holds a target."""
    kinds = {name: entry.kind for name, entry in TARGETS.items() if entry.kind}
    if target not in kinds:
        raise AepslError.of("--target", f"{target} cannot be scored", f"one of {', '.join(kinds)}")
    return kinds[target]


def _mask(records: Store, image_id: str, target: str) -> NDArray[np.uint8]:
    """Return the target as a mask; pixels outside all regions are background."""
    if target != "regions":
        return records.array(image_id, "mask")
    record = records[image_id]
    regions = record.arrays["union"].astype(bool)
    return region_mask(regions, classes=record.facts["classes"], unclaimed_value=BACKGROUND)


def _number(value: float) -> float | None:
    return None if np.isnan(value) else float(value)


def _mask_measures(
    truth: TruthManifest,
    records: Store,
    *,
    root: Path,
    target: str,
    settings: Evaluation,
) -> dict[str, Any]:
    names = (BACKGROUND_NAME, *truth.class_names)
    matrix = np.zeros((len(names), len(names) + 1), np.int64)
    shown = missed = 0
    overlaps = np.zeros((2, len(truth.masks), len(names)))
    outlines = np.full((len(truth.masks), len(names)), np.nan)
    progress = tracked(truth.masks, total=len(truth.masks), what=f"score {target}")
    for number, entry in enumerate(progress):
        true, prediction = true_mask(entry, truth, root=root), _mask(records, entry.id, target)
        counts = confusion_matrix(true, prediction, classes=len(names))
        matrix += counts
        overlaps[:, number] = overlap(counts)
        shown, missed = np.add((shown, missed), objects(counts))
        outlines[number] = boundary_f(
            true, prediction, classes=len(names), tolerance=settings.boundary_tolerance
        )
    interval = (np.nan, np.nan)
    if truth.masks:
        interval = bootstrap_miou(
            overlaps, resamples=settings.resamples, confidence=settings.confidence, seed=0
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
        "confidence": settings.confidence,
        "area": _number(foreground_fraction(matrix)),
        "coverage": _number(labelled_fraction(matrix)),
        "error": _number(error_rate(matrix)),
        "missed": missed / shown if shown else None,
        "confusion": matrix.tolist(),
    } | {
        measure: dict(zip(names, map(_number, values), strict=True))
        for measure, values in by_class.items()
    }


def _saliency_measures(truth: TruthManifest, records: Store, *, root: Path) -> dict[str, Any]:
    """Return MAE and maximum F of saliency for the union of all classes, without void pixels."""
    counts = []
    for entry in tracked(truth.masks, total=len(truth.masks), what="score saliency"):
        true = true_mask(entry, truth, root=root)
        known = true != IGNORE_INDEX
        salient = (true > 0)[known]
        if salient.any():
            counts.append(saliency_counts(records[entry.id].arrays["saliency"][known], salient))
    if not counts:
        return {"mae": None, "max_f": None}
    error, precision, recall = (np.mean(values, axis=0) for values in zip(*counts, strict=True))
    return {"mae": float(error), "max_f": max_f(precision, recall)}


def score(
    config: Settings,
    truth: TruthFile,
    root: Root,
    store: Annotated[Paths, paths_option("Store to score: manifests of its shards."), Reads()],
    target: Annotated[str, typer.Option(help="Target that the store holds, for example labels.")],
    variant: Variant,
    seed: Seed,
    output: Output,
    step: Annotated[int | None, typer.Option(help="Number of the erasing step.")] = None,
) -> None:
    """Score one target, such as labels or predictions, against the true masks.

    Images without a true mask are skipped; without any true mask, every measure is null, and the
    number of images is that of the store.

    Raises:
        AepslError: if the target is unknown, or the store or a true mask is unreadable.
    """
    kind = _kind(target)
    true = read_truth(truth)
    records = Store(store, kind=kind)
    if target == "saliency":
        measures = _saliency_measures(true, records, root=root)
    else:
        settings = config.section("evaluation", Evaluation)
        measures = _mask_measures(true, records, root=root, target=target, settings=settings)
    about = {"target": target, "variant": variant, "step": step, "seed": seed}
    about |= {"split": true.split, "images": len(true.masks) or len(records)}
    write_manifest_json(output, about | measures)
