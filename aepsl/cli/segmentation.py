"""Commands from pseudo-labels to scores and report."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from aepsl.cli.options import (
    Curve,
    DatasetFile,
    Device,
    LabelStore,
    Log,
    Model,
    Output,
    Paths,
    Predictions,
    SaliencyStore,
    ScoreFiles,
    Settings,
    Shard,
    Shards,
    Threads,
    Workers,
    machine_of,
    parse_paths,
    stage,
)
from aepsl.console import configure

commands = typer.Typer()


@commands.command()
def train_segmentation(
    config: Settings,
    dataset: DatasetFile,
    labels: LabelStore,
    output: Output,
    curve: Curve,
    device: Device = "auto",
    threads: Threads = 1,
    workers: Workers = 0,
    log: Log = None,
) -> None:
    """Train the segmentation network."""
    configure(log)
    stage("train_segmentation").run(
        config,
        dataset=dataset,
        labels=labels,
        output=output,
        curve=curve,
        machine=machine_of(device, threads, workers),
    )


@commands.command()
def predict(
    config: Settings,
    dataset: DatasetFile,
    model: Model,
    output: Output,
    split: Annotated[str, typer.Option(help="train or eval.")] = "eval",
    limit: Annotated[int | None, typer.Option(min=0, help="Only so many images.")] = None,
    shard: Shard = 0,
    shards: Shards = 1,
    device: Device = "auto",
    threads: Threads = 1,
    log: Log = None,
) -> None:
    """Predict masks with the segmentation network."""
    configure(log)
    stage("predict").run(
        config,
        dataset=dataset,
        model=model,
        split=split,
        limit=limit,
        output=output,
        shard=shard,
        shards=shards,
        machine=machine_of(device, threads),
    )


@commands.command()
def refine_predictions(
    config: Settings,
    dataset: DatasetFile,
    predictions: Predictions,
    output: Output,
    shard: Shard = 0,
    shards: Shards = 1,
    threads: Threads = 1,
    log: Log = None,
) -> None:
    """Refine predictions with the fully connected CRF."""
    configure(log)
    stage("refine_predictions").run(
        config,
        dataset=dataset,
        predictions=predictions,
        output=output,
        shard=shard,
        shards=shards,
        threads=threads,
    )


@commands.command()
def export_masks(
    masks: Predictions,
    output: Annotated[Path, typer.Option(help="Folder to write.")],
    log: Log = None,
) -> None:
    """Write masks as PNGs with PASCAL VOC's palette."""
    configure(log)
    stage("export_masks").run(masks=masks, output=output)


@commands.command()
def score(
    dataset: DatasetFile,
    store: Annotated[Paths, typer.Option(parser=parse_paths, help="Store to score.")],
    target: Annotated[str, typer.Option(help="What the store holds.")],
    variant: Annotated[str, typer.Option(help="Name for the table.")],
    seed: Annotated[int, typer.Option(help="Seed for the table.")],
    output: Output,
    step: Annotated[int | None, typer.Option(help="Erasing step.")] = None,
    log: Log = None,
) -> None:
    """Score masks against the true ones."""
    configure(log)
    stage("score").run(
        dataset=dataset,
        store=store,
        target=target,
        variant=variant,
        seed=seed,
        step=step,
        output=output,
    )


@commands.command()
def summarise(
    scores: ScoreFiles,
    output: Output,
    table: Annotated[Path, typer.Option(help="CSV to write.")],
    log: Log = None,
) -> None:
    """Collect all scores of a run."""
    configure(log)
    stage("summarise").run(scores, output=output, table=table)


@commands.command()
def report(
    dataset: DatasetFile,
    scores: Annotated[Path, typer.Option(help="scores.json.")],
    cams: Annotated[Paths, typer.Option(parser=parse_paths, help="CAM stores by step.")],
    regions: Annotated[Paths, typer.Option(parser=parse_paths, help="Region stores by step.")],
    saliency: SaliencyStore,
    labels: LabelStore,
    predictions: Predictions,
    classifier_curves: Annotated[Paths, typer.Option(parser=parse_paths, help="By step.")],
    segmentation_curve: Annotated[Path, typer.Option(help="Its training curve.")],
    name: Annotated[str, typer.Option(help="Of the run.")],
    variant: Annotated[str, typer.Option(help="That is shown.")],
    seed: Annotated[int, typer.Option(help="Of that variant.")],
    output: Output,
    log: Log = None,
) -> None:
    """Write the page with scores, curves and pictures."""
    configure(log)
    stage("report").run(
        dataset=dataset,
        scores=scores,
        cams=cams,
        regions=regions,
        saliency=saliency,
        labels=labels,
        predictions=predictions,
        classifier_curves=classifier_curves,
        segmentation_curve=segmentation_curve,
        name=name,
        variant=variant,
        seed=seed,
        output=output,
    )
