"""Commands from pseudo-labels to scores and report."""

from __future__ import annotations

from typing import Annotated

import typer

from aepsl.cli.gpus import on_gpu
from aepsl.cli.job import job
from aepsl.cli.kept import kept
from aepsl.cli.markers import Share
from aepsl.cli.options import (
    DatasetFile,
    Device,
    Earlier,
    LabelStore,
    Model,
    Output,
    OutputCurve,
    OutputFolder,
    OutputShard,
    Predictions,
    Processes,
    Root,
    Settings,
    Shard,
    Shards,
    Threads,
    TrainingGpus,
    Weights,
    Work,
    Workers,
    machine_of,
    stage,
)

commands = typer.Typer()


@commands.command()
@job
@kept
@on_gpu
def train_segmentation(
    config: Settings,
    dataset: DatasetFile,
    root: Root,
    labels: LabelStore,
    output: Output,
    curve: OutputCurve,
    weights: Weights = None,
    device: Device = "auto",
    threads: Threads = 1,
    workers: Workers = 0,
    training_gpus: TrainingGpus = 1,
    code: str = "",
    work: Work = None,
) -> None:
    """Train the segmentation network."""
    stage("_together").run(
        "aepsl.stages.train_segmentation",
        config=config,
        dataset=dataset,
        root=root,
        labels=labels,
        output=output,
        curve=curve,
        machine=machine_of(device, threads, workers, training_gpus),
        weights=weights,
        code=code,
        work=work,
    )


@commands.command()
@job
@kept
@on_gpu
def predict(
    config: Settings,
    dataset: DatasetFile,
    root: Root,
    model: Model,
    output: OutputShard,
    limit: Annotated[int | None, typer.Option(min=0, help="Only so many images."), Share()] = None,
    shard: Shard = 0,
    shards: Shards = 1,
    device: Device = "auto",
    threads: Threads = 1,
    earlier: Earlier = (),
) -> None:
    """Predict masks with the segmentation network."""
    stage("predict").run(
        config,
        dataset=dataset,
        root=root,
        model=model,
        limit=limit,
        output=output,
        shard=shard,
        shards=shards,
        machine=machine_of(device, threads),
        earlier=earlier,
    )


@commands.command()
@job
@kept
@on_gpu
def relabel(
    config: Settings,
    dataset: DatasetFile,
    root: Root,
    model: Model,
    output: OutputShard,
    shard: Shard = 0,
    shards: Shards = 1,
    device: Device = "auto",
    threads: Threads = 1,
) -> None:
    """Label the training images with a trained network (PSL++)."""
    stage("relabel").run(
        config,
        dataset=dataset,
        root=root,
        model=model,
        output=output,
        shard=shard,
        shards=shards,
        machine=machine_of(device, threads),
    )


@commands.command()
@job
@kept
def refine_predictions(
    config: Settings,
    dataset: DatasetFile,
    root: Root,
    predictions: Predictions,
    output: OutputShard,
    shard: Shard = 0,
    shards: Shards = 1,
    threads: Processes = 1,
    earlier: Earlier = (),
) -> None:
    """Refine predictions with the fully connected CRF."""
    stage("refine_predictions").run(
        config,
        dataset=dataset,
        root=root,
        predictions=predictions,
        output=output,
        shard=shard,
        shards=shards,
        threads=threads,
        earlier=earlier,
    )


@commands.command()
@job
def export_masks(
    masks: Predictions,
    output: OutputFolder,
) -> None:
    """Write masks as PNGs with PASCAL VOC's palette."""
    stage("export_masks").run(masks=masks, output=output)
