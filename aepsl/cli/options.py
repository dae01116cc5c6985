"""Options that several commands share: one name a knob, everywhere."""

from __future__ import annotations

import json
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from typing import Annotated, Any

import typer

from aepsl.cli.markers import Aside, Reads, Share, Writes
from aepsl.config.sections import Slice


class Paths(list[Path]):
    """Several paths in one argument, separated by spaces."""


def parse_paths(text: str) -> Paths:
    """Return the paths in ``text``; a shard is named by its manifest, its data may be beside it."""
    return Paths(Path(part) for part in text.split() if not part.endswith(".h5"))


def parse_slice(text: str) -> Slice:
    """Return the keys of a stage from JSON."""
    try:
        values = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise typer.BadParameter(f"not JSON: {error}") from None
    if not isinstance(values, dict):
        raise typer.BadParameter("not a JSON object")
    return Slice(values)


Settings = Annotated[
    Slice, typer.Option("--config", parser=parse_slice, help="The stage's keys, as JSON.")
]
DatasetFile = Annotated[
    Path, typer.Option("--dataset", help="Manifest of photographs."), Reads(by_image=True)
]
TruthFile = Annotated[Path, typer.Option("--truth", help="Manifest of their true masks."), Reads()]
Root = Annotated[Path, typer.Option(help="Folder of the dataset."), Aside()]
Weights = Annotated[Path | None, typer.Option(help="File of pretrained weights."), Reads()]
Output = Annotated[Path, typer.Option(help="File to write."), Writes()]
OutputFolder = Annotated[Path, typer.Option("--output", help="Folder to write."), Writes()]
OutputShard = Annotated[
    Path,
    typer.Option("--output", help="Shard to write, its manifest beside it."),
    Writes(".json"),
]
Step = Annotated[int, typer.Option(min=1, help="Erasing step, from 1.")]
Shard = Annotated[int, typer.Option(min=0, help="Part to do, from 0."), Share()]
Shards = Annotated[int, typer.Option(min=1, help="Number of parts."), Share()]
Threads = Annotated[int, typer.Option(min=1, help="Threads or processes.")]
Processes = Annotated[int, typer.Option("--threads", min=1, help="Processes."), Aside()]
Workers = Annotated[int, typer.Option(min=0, help="Loader processes."), Aside()]
Work = Annotated[
    Path | None, typer.Option(help="Folder for what a stopped training needs to go on."), Aside()
]
TrainingGpus = Annotated[
    int, typer.Option(min=1, help="GPUs of a training, a process each; without any, processes.")
]
Device = Annotated[str, typer.Option(help="auto, cpu or cuda.")]
Regions = Annotated[
    Paths, typer.Option(parser=parse_paths, help="Region store: its shards' manifests."), Reads()
]
Cams = Annotated[Paths, typer.Option(parser=parse_paths, help="CAM store (shards)."), Reads()]
SaliencyStore = Annotated[
    Paths, typer.Option(parser=parse_paths, help="Saliency store: its shards' manifests."), Reads()
]
LabelStore = Annotated[
    Paths, typer.Option(parser=parse_paths, help="Label store: its shards' manifests."), Reads()
]
Predictions = Annotated[
    Paths,
    typer.Option(parser=parse_paths, help="Prediction store: its shards' manifests."),
    Reads(by_image=True),
]
Model = Annotated[Path, typer.Option(help="Trained model."), Reads()]
Curve = Annotated[Path, typer.Option(help="Training curve (CSV)."), Reads()]
OutputCurve = Annotated[Path, typer.Option("--curve", help="Training curve to write."), Writes()]
ScoreFiles = Annotated[list[Path], typer.Argument(help="Score files, in the table's order.")]


Earlier = Sequence[Path]
"""Manifests of earlier work made alike, whose records may be taken; see :mod:`aepsl.cli.kept`."""


def one(paths: Paths | None) -> Path | None:
    """Return the path in an option that may be empty."""
    return paths[0] if paths else None


def stage(module: str) -> Any:
    """Import a stage only when it is run: most need no torch."""
    return import_module(f"aepsl.stages.{module}")


def machine_of(device: str, threads: int, workers: int = 0, processes: int = 1) -> Any:
    """Return how a stage with a network is run."""
    training, networks = stage("_training"), stage("_networks")
    return training.Machine(networks.pick_device(device), threads, workers, processes)
