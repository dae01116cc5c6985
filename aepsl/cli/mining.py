"""Commands from the dataset to pseudo-labels."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from aepsl.cli.options import (
    Cams,
    Curve,
    DatasetFile,
    Device,
    Log,
    Model,
    Output,
    Paths,
    Regions,
    SaliencyStore,
    Settings,
    Shard,
    Shards,
    Step,
    Threads,
    Workers,
    machine_of,
    parse_paths,
    stage,
)
from aepsl.console import configure

commands = typer.Typer()


@commands.command()
def generate_scenes(
    config: Settings, output: Output, threads: Threads = 1, log: Log = None
) -> None:
    """Generate the embedded dataset, in VOC's layout."""
    configure(log)
    stage("generate_scenes").run(config, output=output, threads=threads)


@commands.command()
def index_dataset(
    config: Settings,
    output: Output,
    scenes_folder: Annotated[Path | None, typer.Option(help="Generated scenes.")] = None,
    threads: Threads = 1,
    log: Log = None,
) -> None:
    """Check every image and label; write the dataset manifest."""
    configure(log)
    stage("index_dataset").run(config, scenes_folder=scenes_folder, output=output, threads=threads)


@commands.command()
def detect_saliency(
    config: Settings,
    dataset: DatasetFile,
    output: Output,
    shard: Shard = 0,
    shards: Shards = 1,
    device: Device = "auto",
    threads: Threads = 1,
    log: Log = None,
) -> None:
    """Compute or read the saliency of the training images."""
    configure(log)
    stage("detect_saliency").run(
        config,
        dataset=dataset,
        output=output,
        shard=shard,
        shards=shards,
        threads=threads,
        device=device,
    )


@commands.command()
def start_mining(output: Output, log: Log = None) -> None:
    """Write step 0 of the erasing: nothing mined."""
    configure(log)
    stage("start_mining").run(output=output)


@commands.command()
def train_classifier(
    config: Settings,
    dataset: DatasetFile,
    regions: Regions,
    step: Step,
    output: Output,
    curve: Curve,
    device: Device = "auto",
    threads: Threads = 1,
    workers: Workers = 0,
    log: Log = None,
) -> None:
    """Train the classifier of one erasing step."""
    configure(log)
    stage("train_classifier").run(
        config,
        dataset=dataset,
        regions=regions,
        step=step,
        output=output,
        curve=curve,
        machine=machine_of(device, threads, workers),
    )


@commands.command()
def extract_cams(
    config: Settings,
    dataset: DatasetFile,
    model: Model,
    regions: Regions,
    step: Step,
    output: Output,
    shard: Shard = 0,
    shards: Shards = 1,
    device: Device = "auto",
    threads: Threads = 1,
    log: Log = None,
) -> None:
    """Extract the class activation maps of one step."""
    configure(log)
    stage("extract_cams").run(
        config,
        dataset=dataset,
        model=model,
        regions=regions,
        step=step,
        output=output,
        shard=shard,
        shards=shards,
        machine=machine_of(device, threads),
    )


@commands.command()
def erase_regions(
    config: Settings,
    dataset: DatasetFile,
    cams: Cams,
    regions: Regions,
    step: Step,
    output: Output,
    calibrated: Annotated[
        Paths | None, typer.Option(parser=parse_paths, help="File with the step's delta.")
    ] = None,
    shard: Shard = 0,
    shards: Shards = 1,
    log: Log = None,
) -> None:
    """Mine the regions of one step and join them with the earlier ones."""
    configure(log)
    stage("erase_regions").run(
        config,
        dataset=dataset,
        cams=cams,
        regions=regions,
        calibrated=calibrated[0] if calibrated else None,
        step=step,
        output=output,
        shard=shard,
        shards=shards,
    )


@commands.command()
def calibrate_delta(config: Settings, cams: Cams, output: Output, log: Log = None) -> None:
    """Find the delta with which a step mines a given area."""
    configure(log)
    stage("calibrate_delta").run(config, cams=cams, output=output)


@commands.command()
def judge_training(
    config: Settings,
    dataset: DatasetFile,
    curve: Curve,
    step: Step,
    output: Output,
    log: Log = None,
) -> None:
    """Say whether a step's classifier has learnt its task."""
    configure(log)
    stage("judge_training").run(config, dataset=dataset, curve=curve, step=step, output=output)


@commands.command()
def assemble_labels(
    config: Settings,
    dataset: DatasetFile,
    regions: Regions,
    saliency: SaliencyStore,
    output: Output,
    shard: Shard = 0,
    shards: Shards = 1,
    log: Log = None,
) -> None:
    """Join regions and background to pseudo-labels."""
    configure(log)
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
def copy_true_labels(
    dataset: DatasetFile,
    output: Output,
    shard: Shard = 0,
    shards: Shards = 1,
    log: Log = None,
) -> None:
    """Take true masks as labels: the upper bound."""
    configure(log)
    stage("copy_true_labels").run(dataset=dataset, output=output, shard=shard, shards=shards)
