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
    Predictions,
    Settings,
    Shard,
    Shards,
    Threads,
    Workers,
    machine_of,
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
def relabel(
    config: Settings,
    dataset: DatasetFile,
    model: Model,
    output: Output,
    shard: Shard = 0,
    shards: Shards = 1,
    device: Device = "auto",
    threads: Threads = 1,
    log: Log = None,
) -> None:
    """Label the training images with a trained network (PSL++)."""
    configure(log)
    stage("relabel").run(
        config,
        dataset=dataset,
        model=model,
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
