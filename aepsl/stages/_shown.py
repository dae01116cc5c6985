"""What the report shows of one image, from the stores of a run."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from aepsl.data.photographs import photograph
from aepsl.grid import Grid, resample
from aepsl.labels.assemble import BACKGROUND, ignore_reasons, region_mask
from aepsl.mining.merge import scaled_to_max
from aepsl.report.gallery import Shown, Step
from aepsl.report.pictures import thumbnail_size
from aepsl.stages._truth import true_mask
from aepsl.stores.manifests import ImageEntry, ImageManifest, MaskEntry, TruthManifest
from aepsl.stores.records import Record, Store


@dataclass(frozen=True)
class Sources:
    """The stores of one variant; ``cams`` and ``regions`` by step, first step first."""

    root: Path
    """Folder of the dataset."""
    truth: TruthManifest
    """Says how true masks are read; holds no entries, because every process gets a copy."""
    cams: Sequence[Store]
    regions: Sequence[Store]
    saliency: Store | None
    labels: Store
    shown: Store
    """Predictions of training images."""
    predictions: Store
    """Predictions of the evaluation images."""
    refined: Store | None


class Item(NamedTuple):
    """One image of the page."""

    split: str
    """``train`` or ``eval``."""
    image: ImageEntry
    labels: list[int]
    """Its classes as values in masks."""
    truth: MaskEntry | None


def items_of(
    split: str,
    manifest: ImageManifest,
    truth: TruthManifest,
    *,
    limit: int,
    always: Store | Sequence[str] = (),
) -> Iterator[Item]:
    """Yield ``limit`` evenly spaced images of a split, and those with an id in ``always``."""
    masks = {mask.id: mask for mask in truth.masks}
    chosen = {image.id for image in manifest.evenly_spaced(limit)}
    for image in manifest.images:
        if image.id in chosen or image.id in always:
            labels = [1 + k for k in manifest.label_numbers(image)]
            yield Item(split, image, labels, masks.get(image.id))


def _steps(image: ImageEntry, sources: Sources) -> Iterator[Step]:
    height, width = thumbnail_size(image.height, image.width)
    for cams, regions in zip(sources.cams, sources.regions, strict=True):
        record, grid = cams[image.id], Grid(*cams.facts()["grid"]).scaled(height / image.height)
        cam = resample(record.arrays["cam"], (height, width), source=grid)
        classes, union = record.facts["classes"], regions[image.id].arrays["union"].astype(bool)
        mined = region_mask(union, classes=classes, unclaimed_value=BACKGROUND)
        yield Step([1 + int(k) for k in classes], scaled_to_max(cam), mined)


def _of_training(image: ImageEntry, sources: Sources) -> dict[str, Any]:
    """Return what only training images have."""
    label = sources.labels[image.id]
    parts = {"label": label.arrays["mask"], "steps": list(_steps(image, sources))}
    if "ignored_conflict" in label.facts:  # not a copy of a true mask
        union = sources.regions[-1][image.id].arrays["union"].astype(bool)
        parts["reasons"] = ignore_reasons(label.arrays["mask"], union)
    if sources.saliency:
        parts["saliency"] = sources.saliency[image.id].arrays["saliency"]
    return parts


def _prediction(record: Record) -> dict[str, Any]:
    return {"prediction": record.arrays["mask"], "log_scores": record.arrays.get("scores")}


def read_shown(item: Item, sources: Sources) -> Shown:
    """Return all that the page shows of one image.

    Raises:
        AepslError: if a store lacks the image, or its photograph or true mask is unreadable.
    """
    image, parts = item.image, {}
    if item.split == "train":
        parts = _of_training(image, sources)
        if image.id in sources.shown:
            parts |= _prediction(sources.shown[image.id])
    else:
        parts = _prediction(sources.predictions[image.id])
        if sources.refined:
            parts["refined"] = sources.refined[image.id].arrays["mask"]
    if item.truth:
        parts["truth"] = true_mask(item.truth, sources.truth, root=sources.root)
    pixels = photograph(image, root=sources.root)
    return Shown(image.id, item.split, item.labels, photograph=pixels, **parts)
