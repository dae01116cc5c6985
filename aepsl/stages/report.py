"""The report of a run: a page with scores, plots, and pictures of every stage of every image."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import typer

from aepsl.data.images import voc_palette
from aepsl.masks import BACKGROUND_NAME
from aepsl.report.gallery import entry
from aepsl.report.page import write_page, write_pictures
from aepsl.report.palettes import safe_palette
from aepsl.report.summary import summary_of
from aepsl.stages._options import (
    CamStore,
    DatasetFile,
    LabelStore,
    Name,
    NotInKey,
    OutputFolder,
    Paths,
    Predictions,
    Processes,
    RegionStore,
    Root,
    SaliencyStore,
    Seed,
    TruthFile,
    Variant,
    paths_option,
)
from aepsl.stages._parallel import parallel_map
from aepsl.stages._shown import Item, Sources, items_of, read_shown
from aepsl.stores.atomic import read_manifest_json, write_text
from aepsl.stores.manifests import ImageManifest, read_images, read_truth
from aepsl.stores.records import Store, stores_by_step
from aepsl.text import parse_csv, read_columns, read_json, read_text

Evaluated = Annotated[Path, typer.Option(help="Manifest of the evaluation photographs.")]
EvaluatedTruth = Annotated[
    Path, typer.Option(help="Manifest of the true masks of the evaluation photographs.")
]
Scores = Annotated[Path, typer.Option(help="Scores of the run: scores.json.")]
FinalScore = Annotated[Path, typer.Option(help="Score file of the final masks.")]
ShownPredictions = Annotated[Paths, paths_option("Prediction store of training images.")]
Refined = Annotated[Paths, paths_option("Store of the predictions after the CRF, if any.")]
ClassifierCurves = Annotated[Paths, paths_option("Training curves of the classifiers, by step.")]
Limit = Annotated[
    int, typer.Option(min=0, help="Number of images of each split to show, evenly spaced.")
]
SegmentationCurve = Annotated[
    Path, typer.Option(help="Training curve of the segmentation network.")
]
Verdicts = Annotated[Paths, paths_option("Verdicts on the trainings of the classifiers, by step.")]
Benchmarks = Annotated[
    Path, typer.Option(help="Folder of Snakemake's benchmark files, if any."), NotInKey()
]


def _splits(**manifests: ImageManifest) -> dict[str, Any]:
    """Return the name and the number of images of each split."""
    names = {f"{role}_split": manifest.split for role, manifest in manifests.items()}
    return names | {f"{role}_images": len(manifest.images) for role, manifest in manifests.items()}


def _detector(sources: Sources) -> str:
    """Return where the saliency maps come from, in words."""
    return str(sources.saliency.facts()["detector"]) if sources.saliency else ""


def _record(
    numbered: tuple[int, Item], *, sources: Sources, classes: int, folder: Path
) -> dict[str, Any]:
    """Write the pictures of one image; return its record in the gallery."""
    number, item = numbered
    made = entry(read_shown(item, sources), classes=classes)
    write_pictures(folder, number, made)
    return made.record


def _times(folder: Path) -> list[dict[str, Any]]:
    """Return the number of jobs and their seconds by stage, from Snakemake's benchmark files."""
    seconds: dict[str, list[float]] = defaultdict(list)
    for path in sorted(folder.rglob("*.tsv")):
        _, lines = parse_csv(read_text(path), path, delimiter="\t", hint="remove it")
        stage = path.relative_to(folder).parts[0].removesuffix(".tsv")
        seconds[stage] += [float(row["s"]) for _, row in lines]
    seconds.pop("report", None)  # of an earlier page
    rows = [{"stage": s, "jobs": len(times), "seconds": sum(times)} for s, times in seconds.items()]
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
    evaluated: Evaluated,
    truth: TruthFile,
    evaluated_truth: EvaluatedTruth,
    root: Root,
    scores: Scores,
    final_score: FinalScore,
    cams: CamStore,
    regions: RegionStore,
    saliency: SaliencyStore,
    labels: LabelStore,
    shown: ShownPredictions,
    predictions: Predictions,
    refined: Refined,
    classifier_curves: ClassifierCurves,
    segmentation_curve: SegmentationCurve,
    verdicts: Verdicts,
    limit: Limit,
    benchmarks: Benchmarks,
    name: Name,
    variant: Variant,
    seed: Seed,
    output: OutputFolder,
    threads: Processes = 1,
) -> None:
    """Write the HTML report of a run: scores, plots, and pictures of every stage of every image.

    Images of the store ``shown`` are always on the page; other training images have no prediction.
    """
    manifest, evaluation, true = read_images(dataset), read_images(evaluated), read_truth(truth)
    sources = Sources(
        root=root,
        truth=replace(true, masks=()),
        cams=stores_by_step(cams, kind="cams"),
        regions=stores_by_step(regions, kind="regions"),
        saliency=Store(saliency, kind="saliency") if saliency else None,
        labels=Store(labels, kind="labels"),
        shown=Store(shown, kind="predictions"),
        predictions=Store(predictions, kind="predictions"),
        refined=Store(refined, kind="predictions") if refined else None,
    )
    items = [*items_of("train", manifest, true, limit=limit, always=sources.shown)]
    items += items_of("eval", evaluation, read_truth(evaluated_truth), limit=limit)
    rows, classes = read_json(scores), manifest.class_names
    work = partial(_record, sources=sources, classes=1 + len(classes), folder=output)
    records = [*parallel_map(work, [*enumerate(items)], threads=threads, what="report")]
    about = {"run": name, "variant": variant, "seed": seed, "detector": _detector(sources)}
    about |= {"verdicts": [read_manifest_json(path) for path in verdicts]}
    about |= _splits(train=manifest, eval=evaluation)
    about |= summary_of(rows, records, variant=variant, class_names=classes)
    curves = [read_columns(path) for path in (*classifier_curves, segmentation_curve)]
    page = write_page(
        output,
        summary=about,
        run=_run_facts(manifest, rows, final_score) | {"variant": variant, "curves": curves},
        records=records,
        times=_times(benchmarks),
    )
    write_text(output / "index.html", page)
