"""The report of a run: a page with scores, plots, and pictures of every stage of every image."""

from __future__ import annotations

import csv
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import groupby
from pathlib import Path
from typing import Annotated, Any, NamedTuple

import typer

from aepsl.data.images import voc_palette
from aepsl.data.photographs import photograph
from aepsl.labels.assemble import BACKGROUND, ignore_reasons, region_mask
from aepsl.masks import BACKGROUND_NAME
from aepsl.mining.grid import scaled_to_max, upsample_to_image
from aepsl.report.gallery import Shown, Step, entry
from aepsl.report.page import write_page, write_pictures
from aepsl.report.palettes import safe_palette
from aepsl.report.pictures import thumbnail_size
from aepsl.report.summary import summary_of
from aepsl.stages._options import (
    CamStore,
    DatasetFile,
    LabelStore,
    Name,
    NotInKey,
    Paths,
    Predictions,
    Processes,
    RegionStore,
    Root,
    SaliencyStore,
    Seed,
    TruthFile,
    Variant,
    Writes,
    paths_option,
)
from aepsl.stages._parallel import parallel_map
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
from aepsl.stores.records import Record, Store

OutputPage = Annotated[
    Path,
    typer.Option(help="HTML page to write; its other files are written next to it."),
    Writes("pictures", "data", "report.css", "page.js", "charts.js", "gallery.js"),
]


@dataclass(frozen=True)
class Sources:
    """The stores of one variant; ``cams`` and ``regions`` by step, first step first."""

    root: Path
    """Folder of the dataset."""
    classes: int
    """Number of classes, background included."""
    truth: TruthManifest
    """Says how true masks are read; holds no entries, because every process gets a copy."""
    cams: Sequence[Store]
    strides: Sequence[float]
    """Pixels from one cell of ``cams`` to the next."""
    regions: Sequence[Store]
    saliency: Store | None
    labels: Store
    shown: Store
    predictions: Store
    refined: Store | None


class Item(NamedTuple):
    """One image of the page."""

    number: int
    """Its number on the page, from 0."""
    split: str
    image: ImageEntry
    labels: list[int]
    """Its classes as values in masks."""
    truth: MaskEntry | None


def _by_folder(manifests: Sequence[Path]) -> list[list[Path]]:
    """Group the manifests of shards by step, that is by folder."""
    return [list(shards) for _, shards in groupby(manifests, key=lambda path: path.parent)]


def _items(
    split: str, manifest: ImageManifest, truth: TruthManifest, *, start: int
) -> Iterator[Item]:
    masks = {mask.id: mask for mask in truth.masks}
    for number, image in enumerate(manifest.images, start):
        labels = [1 + k for k in manifest.label_numbers(image)]
        yield Item(number, split, image, labels, masks.get(image.id))


def _steps(image: ImageEntry, sources: Sources) -> Iterator[Step]:
    height, width = thumbnail_size(image.height, image.width)
    stores = zip(sources.cams, sources.strides, sources.regions, strict=True)
    for cams, pixels, regions in stores:
        record, stride = cams[image.id], pixels * height / image.height
        cam = upsample_to_image(record.arrays["cam"], height=height, width=width, stride=stride)
        classes, union = record.facts["classes"], regions[image.id].arrays["union"].astype(bool)
        mined = region_mask(union, classes=classes, unclaimed_value=BACKGROUND)
        yield Step([1 + int(k) for k in classes], scaled_to_max(cam), mined)


def _of_training(item: Item, sources: Sources) -> dict[str, Any]:
    """Return what the page shows of a training image alone."""
    image, label = item.image, sources.labels[item.image.id]
    mask, found = label.arrays["mask"], {}
    if "ignored_conflict" in label.facts:
        union = sources.regions[-1][image.id].arrays["union"].astype(bool)
        found["reasons"] = ignore_reasons(mask, union)
    if sources.saliency:
        found["saliency"] = sources.saliency[image.id].arrays["saliency"]
    return found | {"label": mask, "steps": list(_steps(image, sources))}


def _prediction(record: Record) -> dict[str, Any]:
    return {"prediction": record.arrays["mask"], "log_scores": record.arrays.get("scores")}


def _record(item: Item, *, sources: Sources, folder: Path) -> dict[str, Any]:
    """Write the pictures of one image; return its record in the gallery."""
    image, found = item.image, {}
    if item.split == "train":
        found = _of_training(item, sources)
        if image.id in sources.shown:
            found |= _prediction(sources.shown[image.id])
    else:
        found = _prediction(sources.predictions[image.id])
        if sources.refined:
            found["refined"] = sources.refined[image.id].arrays["mask"]
    if item.truth:
        found["truth"] = true_mask(item.truth, sources.truth, root=sources.root)
    pixels = photograph(image, root=sources.root)
    shown = Shown(image.id, item.split, item.labels, photograph=pixels, **found)
    made = entry(shown, classes=sources.classes)
    write_pictures(folder, item.number, made)
    return made.record


def _curve(path: Path) -> dict[str, list[float]]:
    """Return the columns of a training curve."""
    with path.open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    return {name: [float(row[name]) for row in rows] for name in rows[0]} if rows else {}


def _times(folder: Path) -> list[dict[str, Any]]:
    """Return the number of jobs and their seconds by stage, from Snakemake's benchmark files."""
    found: dict[str, list[float]] = defaultdict(list)
    for path in sorted(folder.rglob("*.tsv")):
        with path.open(newline="", encoding="utf-8") as file:
            seconds = [float(row["s"]) for row in csv.DictReader(file, delimiter="\t")]
        found[path.relative_to(folder).parts[0].removesuffix(".tsv")] += seconds
    found.pop("report", None)  # of an earlier page
    rows = [{"stage": s, "jobs": len(times), "seconds": sum(times)} for s, times in found.items()]
    return sorted(rows, key=lambda row: -row["seconds"])


def _by_number(row: Mapping[str, Any]) -> dict[str, Any]:
    """Return a score with lists in place of mappings: any text may be the name of a class."""
    return {k: list(v.values()) if isinstance(v, Mapping) else v for k, v in row.items()}


def _run_facts(
    manifest: ImageManifest, rows: Sequence[Mapping[str, Any]], final: Path
) -> dict[str, Any]:
    """Return what the page's scripts read about the classes and scores of the run."""
    names = [BACKGROUND_NAME, *manifest.class_names]
    palettes = {"voc": voc_palette(len(names)), "safe": safe_palette(len(names))}
    return {
        "classes": names,
        "mean_pixel": manifest.mean_pixel,
        "palettes": {name: colours.tolist() for name, colours in palettes.items()},
        "scores": [_by_number(row) for row in rows],
        "confusion": read_manifest_json(final)["confusion"],
    }


def report(
    dataset: DatasetFile,
    evaluated: Annotated[Path, typer.Option(help="Manifest of the evaluation photographs.")],
    truth: TruthFile,
    evaluated_truth: Annotated[
        Path, typer.Option(help="Manifest of the true masks of the evaluation photographs.")
    ],
    root: Root,
    scores: Annotated[Path, typer.Option(help="Scores of the run: scores.json.")],
    final_score: Annotated[Path, typer.Option(help="Score file of the final masks.")],
    cams: CamStore,
    regions: RegionStore,
    saliency: SaliencyStore,
    labels: LabelStore,
    shown: Annotated[Paths, paths_option("Prediction store of training images.")],
    predictions: Predictions,
    refined: Annotated[Paths, paths_option("Store of the predictions after the CRF, if any.")],
    classifier_curves: Annotated[
        Paths, paths_option("Training curves of the classifiers, by step.")
    ],
    segmentation_curve: Annotated[
        Path, typer.Option(help="Training curve of the segmentation network.")
    ],
    verdicts: Annotated[
        Paths, paths_option("Verdicts on the trainings of the classifiers, by step.")
    ],
    benchmarks: Annotated[
        Path,
        typer.Option(help="Folder of Snakemake's benchmark files, if there is one."),
        NotInKey(),
    ],
    name: Name,
    variant: Variant,
    seed: Seed,
    output: OutputPage,
    threads: Processes = 1,
) -> None:
    """Write the HTML report of a run: scores, plots, and pictures of every stage of every image.

    Training images that are not in the store ``shown`` have no prediction on the page.
    """
    manifest, evaluation = read_images(dataset), read_images(evaluated)
    true, eval_true = read_truth(truth), read_truth(evaluated_truth)
    maps = [Store(paths, kind="cams") for paths in _by_folder(cams)]
    sources = Sources(
        root=root,
        classes=1 + len(manifest.class_names),
        truth=replace(true, masks=()),
        cams=maps,
        strides=[float(store.facts().get("stride", 1)) for store in maps],
        regions=[Store(paths, kind="regions") for paths in _by_folder(regions)],
        saliency=Store(saliency, kind="saliency") if saliency else None,
        labels=Store(labels, kind="labels"),
        shown=Store(shown, kind="predictions"),
        predictions=Store(predictions, kind="predictions"),
        refined=Store(refined, kind="predictions") if refined else None,
    )
    items = [*_items("train", manifest, true, start=0)]
    items += _items("eval", evaluation, eval_true, start=len(items))
    work = partial(_record, sources=sources, folder=output.parent)
    records = list(parallel_map(work, items, threads=threads, what="report"))
    rows = read_json(scores)
    run = _run_facts(manifest, rows, final_score) | {
        "variant": variant,
        "curves": [_curve(path) for path in classifier_curves],
        "segmentation": _curve(segmentation_curve),
    }
    about = {"run": name, "variant": variant, "seed": seed}
    about |= {"train_split": manifest.split, "eval_split": evaluation.split}
    about |= {"verdicts": [read_manifest_json(path) for path in verdicts]}
    summary = about | summary_of(rows, records, variant=variant)
    text = write_page(
        output.parent, summary=summary, run=run, records=records, times=_times(benchmarks)
    )
    write_text(output, text)
