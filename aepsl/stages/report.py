"""The report of a run: scores, curves, and pictures of every stage."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer
from numpy.typing import NDArray

from aepsl.data.images import voc_palette
from aepsl.data.photographs import photograph
from aepsl.masks import BACKGROUND_NAME
from aepsl.mining.grid import scaled_to_max, upsample_to_image
from aepsl.report import figures
from aepsl.report.page import render
from aepsl.report.scores import class_mean, target_title
from aepsl.stages._erasing import EraseMined
from aepsl.stages._options import (
    CamStore,
    DatasetFile,
    LabelStore,
    Name,
    Paths,
    Predictions,
    RegionStore,
    Root,
    SaliencyStore,
    Seed,
    TruthFile,
    Variant,
    Writes,
    paths_option,
)
from aepsl.stages._truth import true_mask
from aepsl.stores.atomic import read_json, read_manifest_json, write_text
from aepsl.stores.manifests import (
    ImageEntry,
    ImageManifest,
    MaskEntry,
    TruthManifest,
    read_images,
    read_truth,
)
from aepsl.stores.records import Store

OutputPage = Annotated[
    Path,
    typer.Option(help="HTML page to write; its pictures are written next to it."),
    Writes("pictures", "classifier.png", "segmentation.png"),
]

HEIGHT = 150
"""Height of a picture on the page, in pixels."""

Picture = tuple[str, NDArray[np.uint8]]


@dataclass(frozen=True)
class VariantStores:
    """The stores of one variant; ``cams`` and ``regions`` by step, first step first."""

    root: Path
    """Folder of the dataset."""
    cams: Sequence[Store]
    regions: Sequence[Store]
    saliency: Store | None
    labels: Store
    predictions: Store
    truth: TruthManifest
    masks: Mapping[str, MaskEntry]
    """Entries of ``truth`` by image id."""


def _step_pictures(
    image: ImageEntry, manifest: ImageManifest, sources: VariantStores
) -> Iterator[Picture]:
    pixels = photograph(image, root=sources.root)
    seen = pixels
    size = {"height": image.height, "width": image.width}
    for step, (cams, regions) in enumerate(zip(sources.cams, sources.regions, strict=True), 1):
        record = cams[image.id]
        stride = float(cams.facts()["stride"])
        maps = scaled_to_max(upsample_to_image(record.arrays["cam"], stride=stride, **size))
        for number, heatmap in zip(record.facts["classes"], maps, strict=True):
            yield (
                f"CAM {step}: {manifest.class_names[number]}",
                figures.overlay_heatmap(seen, heatmap),
            )
        seen = EraseMined(regions, manifest.mean_pixel)(image.id, pixels)
        yield f"erased, step {step}", seen


def _pictures(
    image: ImageEntry, manifest: ImageManifest, sources: VariantStores
) -> Iterator[Picture]:
    """Yield the pictures of one image, from the photograph to the true mask."""
    palette = voc_palette()
    yield "photograph", photograph(image, root=sources.root)
    yield from _step_pictures(image, manifest, sources)
    if sources.saliency:
        yield (
            "saliency",
            figures.to_grey(sources.saliency[image.id].arrays["saliency"].astype("f4")),
        )
    for caption, store in (("label", sources.labels), ("prediction", sources.predictions)):
        yield caption, figures.colour_mask(store[image.id].arrays["mask"], palette)
    if mask := sources.masks.get(image.id):
        yield (
            "truth",
            figures.colour_mask(true_mask(mask, sources.truth, root=sources.root), palette),
        )


def _losses(path: Path) -> list[float]:
    with path.open(newline="", encoding="utf-8") as file:
        return [float(row["loss"]) for row in csv.DictReader(file)]


def _percent(value: float | None) -> str:
    return "–" if value is None else f"{100 * value:.1f}"


def _score_rows(scores: Path) -> tuple[list[str], list[dict[str, Any]]]:
    """Return the names of the classes, and the formatted scores."""
    rows = [
        {name: row[name] for name in ("variant", "split", "images", "seed")}
        | {
            "target": target_title(row),
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
    """Group the manifests of shards by step, that is by folder."""
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


def _image_sections(
    manifest: ImageManifest, sources: VariantStores, folder: Path
) -> list[dict[str, Any]]:
    """Write the pictures of all images; return file names and captions for the page."""
    sections = []
    by_id = {image.id: image for image in manifest.images}
    for row, image_id in enumerate(sources.predictions.ids()):
        image, pictures = by_id[image_id], []
        for column, (caption, pixels) in enumerate(_pictures(image, manifest, sources)):
            file = f"pictures/{row}-{column}.jpg"
            figures.save_picture(pixels, folder / file, height=HEIGHT)
            pictures.append({"file": file, "caption": caption})
        sections.append({"id": image.id, "labels": image.labels, "pictures": pictures})
    return sections


def _legend(class_names: Sequence[str]) -> list[tuple[str, str]]:
    """Return each name with its colour in the masks."""
    palette, names = voc_palette(), (BACKGROUND_NAME, *class_names)
    colours = [(name, "rgb({}, {}, {})".format(*palette[k])) for k, name in enumerate(names)]
    return [*colours, ("ignored", "white")]


def _facts(manifest: ImageManifest, evaluated: ImageManifest, scores: Path) -> dict[str, Any]:
    """Return the part of the page's content about photographs and scores."""
    iou_names, rows = _score_rows(scores)
    return {
        "train_images": len(manifest.images),
        "eval_images": len(evaluated.images),
        "train_split": manifest.split,
        "eval_split": evaluated.split,
        "class_names": manifest.class_names,
        "scores": rows,
        "iou_names": iou_names,
        "legend": _legend(manifest.class_names),
    }


def report(
    dataset: DatasetFile,
    evaluated: Annotated[Path, typer.Option(help="Manifest of the evaluation photographs.")],
    truth: TruthFile,
    root: Root,
    scores: Annotated[Path, typer.Option(help="Scores of the run: scores.json.")],
    cams: CamStore,
    regions: RegionStore,
    saliency: SaliencyStore,
    labels: LabelStore,
    predictions: Predictions,
    classifier_curves: Annotated[
        Paths, paths_option("Training curves of the classifiers, by step.")
    ],
    segmentation_curve: Annotated[
        Path, typer.Option(help="Training curve of the segmentation network.")
    ],
    verdicts: Annotated[
        Paths, paths_option("Verdicts on the trainings of the classifiers, by step.")
    ],
    name: Name,
    variant: Variant,
    seed: Seed,
    output: OutputPage,
) -> None:
    """Write the HTML report of a run: scores, curves, and pictures of every stage.

    The page shows the images of the store ``predictions``.
    """
    manifest, true = read_images(dataset), read_truth(truth)
    sources = VariantStores(
        root=root,
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
    facts = _facts(manifest, read_images(evaluated), scores) | {
        "run": name,
        "variant": variant,
        "seed": seed,
        "verdicts": [read_manifest_json(path) for path in verdicts],
        "curves": ["classifier.png", "segmentation.png"],
        "images": _image_sections(manifest, sources, folder),
        "height": HEIGHT,
    }
    write_text(output, render(facts))
