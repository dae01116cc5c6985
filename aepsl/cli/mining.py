"""Commands from the dataset to pseudo-labels."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from aepsl.cli.gpus import on_gpu
from aepsl.cli.job import job
from aepsl.cli.kept import kept
from aepsl.cli.markers import Aside, Reads, Share, Writes
from aepsl.cli.options import (
    Cams,
    Curve,
    DatasetFile,
    Device,
    Earlier,
    Model,
    Output,
    OutputCurve,
    OutputShard,
    Paths,
    Processes,
    Regions,
    Root,
    SaliencyStore,
    Settings,
    Shard,
    Shards,
    Step,
    Threads,
    TrainingGpus,
    TruthFile,
    Weights,
    Work,
    Workers,
    machine_of,
    one,
    parse_paths,
    stage,
)

OutputScenes = Annotated[
    Path,
    typer.Option("--output", help="Their digest to write, in a folder of its own with the scenes."),
    Writes("JPEGImages", "SegmentationClass", "ImageSets", "labels.csv", "generated.txt"),
]

commands = typer.Typer()


@commands.command()
@job
def generate_scenes(config: Settings, output: OutputScenes, threads: Processes = 1) -> None:
    """Generate the embedded dataset, in VOC's layout."""
    stage("generate_scenes").run(config, output=output, threads=threads)


@commands.command()
@job
@partial(kept, whole=False)
def index_images(
    config: Annotated[Settings, Share()],
    part: Annotated[str, typer.Option(help="train or eval."), Share()],
    root: Root,
    output: Output,
    labels_csv: Annotated[
        Path | None,
        typer.Option(help="Labels; else Annotations/*.xml."),
        Aside(),
    ] = None,
    threads: Processes = 1,
    earlier: Earlier = (),
) -> None:
    """Check every photograph and label of a split; write its manifest."""
    stage("index_images").run(
        config,
        part=part,
        root=root,
        labels_csv=labels_csv,
        output=output,
        threads=threads,
        earlier=earlier,
    )


@commands.command()
@job
def index_truth(config: Settings, dataset: DatasetFile, root: Root, output: Output) -> None:
    """Check every true mask of a split; write their manifest."""
    stage("index_truth").run(config, dataset=dataset, root=root, output=output)


@commands.command()
@job
@kept
@on_gpu
def detect_saliency(
    config: Settings,
    dataset: DatasetFile,
    root: Root,
    output: OutputShard,
    source: Annotated[
        Path | None,
        typer.Option(help="Folder of maps, or the network."),
        Reads(),
    ] = None,
    shard: Shard = 0,
    shards: Shards = 1,
    device: Device = "auto",
    threads: Threads = 1,
    earlier: Earlier = (),
) -> None:
    """Compute or read the saliency of the training images."""
    stage("detect_saliency").run(
        config,
        dataset=dataset,
        root=root,
        source=source,
        output=output,
        shard=shard,
        shards=shards,
        threads=threads,
        device=device,
        earlier=earlier,
    )


@commands.command()
@job
def start_mining(output: Output) -> None:
    """Write step 0 of the erasing: nothing mined."""
    stage("start_mining").run(output=output)


@commands.command()
@job
@kept
@on_gpu
def train_classifier(
    config: Settings,
    dataset: DatasetFile,
    root: Root,
    regions: Regions,
    step: Step,
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
    """Train the classifier of one erasing step."""
    stage("_together").run(
        "aepsl.stages.train_classifier",
        config=config,
        dataset=dataset,
        root=root,
        regions=regions,
        step=step,
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
def extract_cams(
    config: Settings,
    dataset: DatasetFile,
    root: Root,
    model: Model,
    regions: Regions,
    step: Step,
    output: OutputShard,
    shard: Shard = 0,
    shards: Shards = 1,
    device: Device = "auto",
    threads: Threads = 1,
) -> None:
    """Extract the class activation maps of one step."""
    stage("extract_cams").run(
        config,
        dataset=dataset,
        root=root,
        model=model,
        regions=regions,
        step=step,
        output=output,
        shard=shard,
        shards=shards,
        machine=machine_of(device, threads),
    )


@commands.command()
@job
@kept
def erase_regions(
    config: Settings,
    dataset: DatasetFile,
    cams: Cams,
    regions: Regions,
    step: Step,
    output: OutputShard,
    calibrated: Annotated[
        Paths | None, typer.Option(parser=parse_paths, help="File with the step's delta."), Reads()
    ] = None,
    shard: Shard = 0,
    shards: Shards = 1,
) -> None:
    """Mine the regions of one step and join them with the earlier ones."""
    stage("erase_regions").run(
        config,
        dataset=dataset,
        cams=cams,
        regions=regions,
        calibrated=one(calibrated),
        step=step,
        output=output,
        shard=shard,
        shards=shards,
    )


@commands.command()
@job
def calibrate_delta(config: Settings, cams: Cams, output: Output) -> None:
    """Find the delta with which a step mines a given area."""
    stage("calibrate_delta").run(config, cams=cams, output=output)


@commands.command()
@job
def judge_training(
    config: Settings,
    dataset: DatasetFile,
    curve: Curve,
    step: Step,
    output: Output,
) -> None:
    """Say whether a step's classifier has learnt its task."""
    stage("judge_training").run(config, dataset=dataset, curve=curve, step=step, output=output)


@commands.command()
@job
@kept
def assemble_labels(
    config: Settings,
    dataset: DatasetFile,
    regions: Regions,
    saliency: SaliencyStore,
    output: OutputShard,
    shard: Shard = 0,
    shards: Shards = 1,
) -> None:
    """Join regions and background to pseudo-labels."""
    stage("assemble_labels").run(
        config,
        dataset=dataset,
        regions=regions,
        saliency=saliency,
        output=output,
        shard=shard,
        shards=shards,
    )


@commands.command()
@job
def copy_true_labels(
    dataset: DatasetFile,
    truth: TruthFile,
    root: Root,
    output: OutputShard,
    shard: Shard = 0,
    shards: Shards = 1,
) -> None:
    """Take true masks as labels: the upper bound."""
    stage("copy_true_labels").run(
        dataset=dataset, truth=truth, root=root, output=output, shard=shard, shards=shards
    )
