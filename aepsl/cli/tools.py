"""What a person types, in the order of use; the stages are in :mod:`aepsl.cli.commands`."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated, Any, Literal

import typer
from typer.core import TyperCommand

from aepsl.console import configure
from aepsl.errors import AepslError

Output = Annotated[Path, typer.Option(help="File to write.")]

ConfigFiles = Annotated[
    list[Path] | None, typer.Argument(help="Configuration files; none: config.yaml alone.")
]
ConfigValues = Annotated[
    list[str] | None, typer.Option("--config", help="Settings, key=value, as for Snakemake.")
]

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON for programs.")]

SnakemakeWords = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="CONFIG",
        help="Configuration files (*.yaml); Snakemake's targets, such as ablations; then any"
        " options of Snakemake, such as --forcerun report.",
        show_default=False,
    ),
]
FOR_SNAKEMAKE = {"ignore_unknown_options": True}
"""Options that are not declared are passed on to Snakemake."""

NetworkPath = Annotated[
    Path,
    typer.Option(
        "--network", "-n", help="Folder of a run (results/<run>), an export, or a model file."
    ),
]
NetworkVariant = Annotated[
    str | None, typer.Option(help="Variant of the run; default: main, or the only one.")
]
LogFile = Annotated[Path | None, typer.Option(help="Log file; default: standard error.")]
Device = Annotated[str, typer.Option(help="Device: auto, cpu or cuda.")]

commands = typer.Typer()


class WithSettings(TyperCommand):
    """A command whose ``--config`` takes several values, as Snakemake's does."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Repeat the option before each further ``key=value``."""
        words: list[str] = []
        for word in args:
            if words[-2:-1] == ["--config"] and "=" in word and not word.startswith("-"):
                words.append("--config")
            words.append(word)
        return super().parse_args(ctx, words)


@commands.command()
def init(
    folder: Annotated[Path, typer.Argument(help="Folder of your photographs.")],
    output: Annotated[
        Path | None, typer.Option(help="Configuration to write; default: <folder>.yaml.")
    ] = None,
) -> None:
    """Look at a folder of photographs, say what is in it, and write its configuration."""
    from aepsl.cli.init import initialise

    initialise(folder, output=output)


@commands.command(cls=WithSettings)
def check(
    files: ConfigFiles = None,
    config: ConfigValues = None,
    as_json: AsJson = False,
) -> None:
    """Read every photograph and label, and say whether they will be enough; status 1 if not."""
    from aepsl.cli.check import check as check_dataset

    if not check_dataset(files or [], config or [], as_json=as_json):
        raise typer.Exit(1)


@commands.command(cls=WithSettings, context_settings=FOR_SNAKEMAKE)
def run(
    words: SnakemakeWords = None,
    config: ConfigValues = None,
    cores: Annotated[str, typer.Option(help="Number of cores, or all.")] = "all",
    profile: Annotated[
        str | None, typer.Option(help="Profile of Snakemake: a folder, or slurm.")
    ] = None,
    verbose: Annotated[
        bool, typer.Option("--verbose", help="Show Snakemake's own text, and each command.")
    ] = False,
) -> None:
    """Run a configuration, and show how far it is; the same command resumes it.

    Runs Snakemake on the workflow that comes with aepsl, from any folder.
    """
    from aepsl.cli.run import become, snakemake_command

    become(
        snakemake_command(words or [], config or [], cores=cores, profile=profile, verbose=verbose)
    )


@commands.command(cls=WithSettings)
def status(
    files: ConfigFiles = None,
    config: ConfigValues = None,
    as_json: AsJson = False,
) -> None:
    """Show how far a run is, from any terminal; afterwards how it ended, scores and report."""
    from aepsl.cli.status import show_status

    show_status(files or [], config or [], as_json=as_json)


@commands.command(cls=WithSettings, context_settings=FOR_SNAKEMAKE)
def explain(words: SnakemakeWords = None, config: ConfigValues = None) -> None:
    """Explain which jobs would run, and why."""
    from aepsl.cli.run import environment, snakemake_command
    from aepsl.workflow.explain import explain as in_words
    from aepsl.workflow.runs import events_in

    with TemporaryDirectory() as folder:
        file = Path(folder) / "events.jsonl"
        command = snakemake_command(words or [], config or [], cores="1")
        command += ["--dry-run", "--nocolor"]
        command += ["--logger", "aepsl", "--logger-aepsl-events", str(file)]
        result = subprocess.run(
            command, env=environment(), capture_output=True, text=True, check=False
        )
        events = events_in(file) if file.exists() else []
        if result.returncode:
            problems = [event["problem"] for event in events if event["event"] == "error"]
            print("\n".join(problems) or result.stdout + result.stderr, file=sys.stderr)
            raise typer.Exit(result.returncode)
        typer.echo(in_words(events), nl=False)


@commands.command()
def segment(
    network: NetworkPath,
    output: Annotated[
        Path, typer.Option("--output", "-o", help="Folder for masks, overlays and areas.csv.")
    ],
    photographs: Annotated[
        list[Path] | None, typer.Argument(help="Photographs, and folders of photographs.")
    ] = None,
    listed: Annotated[
        typer.FileText | None,
        typer.Option(
            "--list",
            encoding="utf-8-sig",
            help="Text file with one path per line; - is standard input.",
        ),
    ] = None,
    variant: NetworkVariant = None,
    crf: Annotated[bool, typer.Option("--crf", help="Refine the masks with the CRF.")] = False,
    batch_size: Annotated[
        int, typer.Option(min=1, help="Photographs of one size that are computed together.")
    ] = 1,
    device: Device = "auto",
    log: LogFile = None,
) -> None:
    """Find the classes in new photographs: a mask, an overlay and areas of each."""
    if log or not sys.stderr.isatty():  # a terminal shows a bar
        configure(log)
    from aepsl.deployment.predictor import load
    from aepsl.deployment.segment import photographs as all_of
    from aepsl.deployment.segment import segment as write_masks
    from aepsl.text import parsing

    with parsing("--list", "UTF-8", "save it as plain text in UTF-8"):
        lines = listed.read().split("\n") if listed else []
    paths = [Path(line) for line in lines if line.strip()]
    images = all_of([*(photographs or []), *paths], without=output)
    predictor = load(network, variant=variant, device=device, crf=crf)
    problems = write_masks(predictor, images, output, batch_size=batch_size)
    typer.echo(f"{output}: masks, overlays and areas of {len(images) - len(problems)} photographs")
    if problems:
        raise AepslError(problems)


@commands.command()
def export(
    network: NetworkPath,
    output: Annotated[Path, typer.Option("--output", "-o", help="File or folder to write.")],
    format: Annotated[
        Literal["onnx", "huggingface"],
        typer.Option(help="A file for ONNX Runtime, or a folder for Hugging Face's hub."),
    ] = "onnx",
    variant: NetworkVariant = None,
    license: Annotated[
        str, typer.Option(help="Licence of the weights, for the model card, such as mit.")
    ] = "unknown",
) -> None:
    """Export a trained network for other programs."""
    from aepsl.deployment.export import export as write

    write(network, output, format=format, variant=variant, license=license)
    typer.echo(f"Wrote {output}.")


@commands.command()
def export_labels(
    stores: Annotated[
        list[Path],
        typer.Argument(help="Stores of masks: results/<run>/labels/main, or its manifests."),
    ],
    format_name: Annotated[
        str, typer.Option("--format", help="png, coco, yolo, cvat, labelstudio or mmseg.")
    ],
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder to write.")],
    root: Annotated[
        Path | None,
        typer.Option(help="Folder of the dataset; yolo and mmseg have the photographs, too."),
    ] = None,
    copy: Annotated[bool, typer.Option(help="Copy photographs instead of linking them.")] = False,
) -> None:
    """Export pseudo-labels or predictions in the format of another tool."""
    from aepsl.exchange.formats import export
    from aepsl.exchange.labelled import open_labelled

    labelled = open_labelled(stores, root=root, copy=copy)
    export(labelled, output, format_name=format_name)
    typer.echo(f"{output}: {len(labelled.images)} masks")


@commands.command()
def inspect(
    store: Annotated[
        Path, typer.Argument(help="Manifest of a shard: results/<run>/labels/main/0.json.")
    ],
    image: Annotated[str | None, typer.Option(help="Image id; also show its record.")] = None,
) -> None:
    """Show the content of a store and the settings that produced it."""
    from aepsl.cli.inspect import print_store

    print_store(store, image=image)


@commands.command()
def verify(
    folder: Annotated[Path, typer.Argument(help="Folder of a run: results/<run>.")],
    root: Annotated[
        Path | None, typer.Option(help="Folder of the dataset; also check its photographs.")
    ] = None,
) -> None:
    """Check all result files of a run: none modified, missing, unexpected or incomplete."""
    from aepsl.cli.verify import verify_results

    count = verify_results(folder, root=root)
    typer.echo(f"{folder}: {count} files, none modified")


@commands.command()
def fetch_voc(
    folder: Annotated[
        Path | None,
        typer.Argument(help="Folder for VOCdevkit; default: where data.root: VOC2012 looks."),
    ] = None,
    sbd: Annotated[
        bool, typer.Option(help="Also download SBD: list and masks of train_aug.")
    ] = False,
    log: LogFile = None,
) -> None:
    """Download PASCAL VOC 2012 and check it (2 GB; 3.5 GB with SBD)."""
    configure(log)
    from aepsl.cli.fetch import download
    from aepsl.data.voc import shared_folder

    download(folder or shared_folder(), sbd=sbd)


@commands.command(cls=WithSettings)
def config(files: ConfigFiles = None, config: ConfigValues = None) -> None:
    """Print the whole configuration that applies, and where each value comes from."""
    from aepsl.config.files import read_configuration
    from aepsl.config.listing import as_yaml, listing
    from aepsl.config.presets import expanded
    from aepsl.config.root import Config
    from aepsl.config.sections import parse

    read = read_configuration(files or [], config or [])
    whole = parse(Config, expanded(read.values), where="config")
    settings = listing(whole, files=read.files, arguments=read.arguments)
    typer.echo(as_yaml(settings), nl=False)


@commands.command()
def schema(output: Output) -> None:
    """Write the JSON schema of the configuration, for editors."""
    from aepsl.config.root import Config
    from aepsl.stores.atomic import write_json

    write_json(output, Config.model_json_schema())


@commands.command()
def show_scores(
    scores: Annotated[Path, typer.Argument(help="Scores of a run: results/<run>/scores.json.")],
    report: Annotated[Path | None, typer.Option(help="Report page, whose path is printed.")] = None,
) -> None:
    """Print the scores of a run as a table."""
    from aepsl.stages import summarise

    summarise.print_scores(scores, report=report)
