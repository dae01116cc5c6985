"""Options of the stage commands; a setting has the same name in every stage.

A stage is a function whose signature defines its command. Each parameter is annotated with the help
of its option and, if it is a file or does not change the result, with a mark. A parameter without a
mark is a setting that changes the result.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from aepsl.config.sections import StageSettings
from aepsl.errors import AepslError
from aepsl.text import parse_json

# Marks: the role of a parameter in the cache key of the stage's result


class Writes:
    """The parameter is a file or folder that the stage writes; its name is part of the key."""

    def __init__(self, *further: str) -> None:
        """``further``: names or suffixes of further files that are written next to it."""
        self.further = further

    def paths(self, path: Path) -> list[Path]:
        """Return all files and folders that the stage writes if the parameter is ``path``."""
        siblings = [
            path.with_suffix(name) if name.startswith(".") else path.with_name(name)
            for name in self.further
        ]
        return [path, *siblings]


class Reads:
    """The parameter is one or more files; their content is part of the key."""

    def __init__(self, *, per_image: bool = False) -> None:
        """``per_image``: record i depends only on what the files hold for image i."""
        self.per_image = per_image


class SelectsRecords:
    """The parameter selects the records to write, but does not change their content."""


class NotInKey:
    """The parameter does not change the result: a path, or a number of processes."""


# Values


class Paths(list[Path]):
    """Several paths in one argument, separated by spaces."""


def parse_paths(text: str) -> Paths:
    """Return the manifests in ``text``, which on object storage also lists the data files."""
    return Paths(Path(part) for part in text.split() if not part.endswith(".h5"))


def parse_optional_path(text: str) -> Path | None:
    """Return the path in ``text``, which may be empty."""
    return Path(text) if text else None


def parse_stage_settings(text: str) -> StageSettings:
    """Parse the settings of a stage from JSON.

    Raises:
        AepslError: if they are not a JSON object.
    """
    hint = 'write it as JSON, such as {"seed": 1}'
    values = parse_json(text, "--config", hint=hint)
    if not isinstance(values, dict):
        raise AepslError.of("--config", "not a JSON object", hint)
    return StageSettings(values)


def paths_option(text: str) -> Any:
    """Return an option that takes several paths."""
    return typer.Option(parser=parse_paths, help=text)


# Settings

Settings = Annotated[
    StageSettings,
    typer.Option("--config", parser=parse_stage_settings, help="Settings of the stage, as JSON."),
]
Step = Annotated[int, typer.Option(min=1, help="Number of the erasing step, from 1.")]
Shard = Annotated[int, typer.Option(min=0, help="Number of the shard, from 0."), SelectsRecords()]
Shards = Annotated[int, typer.Option(min=1, help="Number of shards."), SelectsRecords()]
Name = Annotated[str, typer.Option(help="Name of the run.")]
Variant = Annotated[str, typer.Option(help="Name of the variant.")]
Seed = Annotated[int, typer.Option(help="Seed of the variant.")]

# Inputs

DatasetFile = Annotated[Path, typer.Option(help="Manifest of photographs."), Reads(per_image=True)]
TruthFile = Annotated[Path, typer.Option(help="Manifest of true masks."), Reads()]
Model = Annotated[Path, typer.Option(help="Trained network."), Reads()]
Curve = Annotated[Path, typer.Option(help="Training curve, as CSV."), Reads()]
Weights = Annotated[Path | None, typer.Option(help="File of pretrained weights."), Reads()]
RegionStore = Annotated[Paths, paths_option("Region store: manifests of its shards."), Reads()]
CamStore = Annotated[Paths, paths_option("CAM store: manifests of its shards."), Reads()]
SaliencyStore = Annotated[Paths, paths_option("Saliency store: manifests of its shards."), Reads()]
LabelStore = Annotated[Paths, paths_option("Label store: manifests of its shards."), Reads()]
Predictions = Annotated[
    Paths, paths_option("Prediction store: manifests of its shards."), Reads(per_image=True)
]

Calibrated = Annotated[
    Path | None,
    typer.Option(
        parser=parse_optional_path,
        help="File with the calibrated delta; without it, the delta of the settings.",
    ),
    Reads(),
]

# Outputs

Output = Annotated[Path, typer.Option(help="File to write."), Writes()]
OutputFolder = Annotated[Path, typer.Option(help="Folder to write."), Writes()]
OutputShard = Annotated[
    Path, typer.Option(help="Shard to write; its manifest is written next to it."), Writes(".json")
]
OutputCurve = Annotated[Path, typer.Option(help="Training curve to write, as CSV."), Writes()]

# Run-time options

Root = Annotated[Path, typer.Option(help="Folder of the dataset."), NotInKey()]
Device = Annotated[str, typer.Option(help="Device: auto, cpu or cuda.")]
Threads = Annotated[
    int, typer.Option(min=1, help="Number of threads; changes the last bits of results.")
]
Processes = Annotated[int, typer.Option(min=1, help="Number of processes."), NotInKey()]
Workers = Annotated[int, typer.Option(min=0, help="Number of image loaders."), NotInKey()]
TrainingGpus = Annotated[
    int, typer.Option(min=1, help="GPUs, one process each; on a CPU, the number of processes.")
]
Work = Annotated[
    Path | None, typer.Option(help="Folder for the checkpoint of a stopped training."), NotInKey()
]
