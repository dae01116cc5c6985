"""The report of a run: scores, curves, and pictures of every stage."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from aepsl.data.images import read_image, voc_palette
from aepsl.masks import BACKGROUND_NAME
from aepsl.mining.erase import erase
from aepsl.mining.grid import normalised, upsample_to_image
from aepsl.report import figures
from aepsl.report.page import render
from aepsl.stages._truth import true_mask
from aepsl.stages.summarise import class_mean, describe
from aepsl.stores.atomic import read_json, read_manifest_json, write_text
from aepsl.stores.dataset import (
    ImageEntry,
    ImageManifest,
    MaskEntry,
    TruthManifest,
    read_images,
    read_truth,
)
from aepsl.stores.records import Store

HEIGHT = 150
"""Of a picture on the page, in pixels."""

Picture = tuple[str, NDArray[np.uint8]]


@dataclass(frozen=True)
class Sources:
    """The stores of one variant; ``cams`` and ``regions`` by step, first step first."""

    cams: Sequence[Store]
    regions: Sequence[Store]
    saliency: Store | None
    labels: Store
    predictions: Store
    truth: TruthManifest
    masks: Mapping[str, MaskEntry]
    """Of ``truth``, by image."""


def _steps(image: ImageEntry, manifest: ImageManifest, sources: Sources) -> Iterator[Picture]:
    pixels = read_image(Path(image.path), sha256=image.sha256)
    seen = pixels
    size = {"height": image.height, "width": image.width}
    for step, (cams, regions) in enumerate(zip(sources.cams, sources.regions, strict=True), 1):
        record = cams[image.id]
        stride = float(cams.facts()["stride"])
        maps = normalised(upsample_to_image(record.arrays["cam"], stride=stride, **size))
        for number, heatmap in zip(record.facts["classes"], maps, strict=True):
            yield f"CAM {step}: {manifest.class_names[number]}", figures.heat(seen, heatmap)
        union = np.any(regions[image.id].arrays["union"], axis=0)
        seen = erase(pixels, union, fill=manifest.mean_pixel)
        yield f"erased, step {step}", seen


def _pictures(image: ImageEntry, manifest: ImageManifest, sources: Sources) -> Iterator[Picture]:
    """Yield the row of one image, from the photograph to the truth."""
    palette = voc_palette()
    yield "photograph", read_image(Path(image.path), sha256=image.sha256)
    yield from _steps(image, manifest, sources)
    if sources.saliency:
        yield "saliency", figures.grey(sources.saliency[image.id].arrays["saliency"].astype("f4"))
    for caption, store in (("label", sources.labels), ("prediction", sources.predictions)):
        yield caption, figures.coloured(store[image.id].arrays["mask"], palette)
    if mask := sources.masks.get(image.id):
        yield "truth", figures.coloured(true_mask(mask, sources.truth), palette)


def _losses(path: Path) -> list[float]:
    with path.open(newline="", encoding="utf-8") as file:
        return [float(row["loss"]) for row in csv.DictReader(file)]


def _percent(value: float | None) -> str:
    return "–" if value is None else f"{100 * value:.1f}"


def _score_rows(scores: Path) -> tuple[list[str], list[dict[str, Any]]]:
    """Return the classes, and every score as it is shown."""
    rows = [
        {name: row[name] for name in ("variant", "split", "images", "seed")}
        | {
            "what": describe(row),
            "miou": _percent(row["miou"]),
            "interval": " – ".join(map(_percent, row["miou_interval"])) if row["images"] else "–",
            "boundary_f": _percent(class_mean(row["boundary_f"])),
            "coverage": _percent(row["coverage"]),
            "error": _percent(row["error"]),
            "iou": [_percent(value) for value in row["iou"].values()],
            "precision": [_percent(value) for value in row["precision"].values()],
            "recall": [_percent(value) for value in row["recall"].values()],
            "names": list(row["iou"]),
        }
        for row in read_json(scores)
    ]
    return rows[0]["names"] if rows else [], rows


def _by_folder(manifests: Sequence[Path]) -> list[list[Path]]:
    """Return the shards of each step: those of one folder."""
    return [list(shards) for _, shards in groupby(manifests, key=lambda path: path.parent)]


def _plot(classifier: Sequence[Path], segmentation: Path, folder: Path) -> None:
    figures.plot_curves(
        {f"step {step}": _losses(path) for step, path in enumerate(classifier, 1)},
        folder / "classifier.png",
        title="classifier: squared label loss of each erasing step",
        ylabel="loss",
    )
    figures.plot_curves(
        {"segmentation": _losses(segmentation)},
        folder / "segmentation.png",
        title="segmentation network",
        ylabel="loss",
    )


def _shown(manifest: ImageManifest, sources: Sources, folder: Path) -> list[dict[str, Any]]:
    """Write the pictures of each image; return what the page needs of them."""
    shown = []
    by_id = {image.id: image for image in manifest.images}
    for row, image_id in enumerate(sources.predictions.ids()):
        image, pictures = by_id[image_id], []
        for column, (caption, pixels) in enumerate(_pictures(image, manifest, sources)):
            file = f"pictures/{row}-{column}.jpg"
            figures.save_picture(pixels, folder / file, height=HEIGHT)
            pictures.append({"file": file, "caption": caption})
        shown.append({"id": image.id, "labels": image.labels, "pictures": pictures})
    return shown


def _legend(class_names: Sequence[str]) -> list[tuple[str, str]]:
    """Return each name with its colour in the masks."""
    palette, names = voc_palette(), (BACKGROUND_NAME, *class_names)
    colours = [(name, "rgb({}, {}, {})".format(*palette[k])) for k, name in enumerate(names)]
    return [*colours, ("ignored", "white")]


def run(
    *,
    dataset: Path,
    evaluated: Path,
    truth: Path,
    root: Path,
    scores: Path,
    cams: Sequence[Path],
    regions: Sequence[Path],
    saliency: Sequence[Path],
    labels: Sequence[Path],
    predictions: Sequence[Path],
    classifier_curves: Sequence[Path],
    segmentation_curve: Path,
    verdicts: Sequence[Path],
    name: str,
    variant: str,
    seed: int,
    output: Path,
) -> None:
    """Write the page ``output`` and, beside it, the pictures that it shows.

    The images shown are those of the store ``predictions``.
    """
    manifest, true = read_images(dataset, root=root), read_truth(truth, root=root)
    judged = read_images(evaluated, root=root)
    sources = Sources(
        cams=[Store(paths, kind="cams") for paths in _by_folder(cams)],
        regions=[Store(paths, kind="regions") for paths in _by_folder(regions)],
        saliency=Store(saliency, kind="saliency") if saliency else None,
        labels=Store(labels, kind="labels"),
        predictions=Store(predictions, kind="predictions"),
        truth=true,
        masks={mask.id: mask for mask in true.masks},
    )
    folder = output.parent
    (folder / "pictures").mkdir(parents=True, exist_ok=True)
    _plot(classifier_curves, segmentation_curve, folder)
    shown = _shown(manifest, sources, folder)
    iou_names, rows = _score_rows(scores)
    facts = {
        "run": name,
        "variant": variant,
        "seed": seed,
        "train_images": len(manifest.images),
        "eval_images": len(judged.images),
        "train_split": manifest.split,
        "eval_split": judged.split,
        "class_names": manifest.class_names,
        "verdicts": [read_manifest_json(path) for path in verdicts],
        "scores": rows,
        "iou_names": iou_names,
        "curves": ["classifier.png", "segmentation.png"],
        "images": shown,
        "height": HEIGHT,
        "legend": _legend(manifest.class_names),
    }
    write_text(output, render(facts))
