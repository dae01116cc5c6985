"""Commands for people."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Annotated

import typer

from aepsl.cli.job import Log
from aepsl.cli.options import Output, stage
from aepsl.config.run import Config
from aepsl.console import configure
from aepsl.errors import AepslError
from aepsl.stores.atomic import write_json
from aepsl.workflow.explain import explain as in_words

commands = typer.Typer()


@commands.command()
def show_scores(
    scores: Annotated[Path, typer.Argument(help="scores.json of a run.")],
    report: Annotated[Path | None, typer.Option(help="Page to point to.")] = None,
) -> None:
    """Print the table of scores."""
    stage("summarise").show(scores, report=report)


@commands.command()
def inspect(
    store: Annotated[Path, typer.Argument(help="Manifest of a shard.")],
    image: Annotated[str | None, typer.Option(help="Also show this image's record.")] = None,
) -> None:
    """Show what a store holds and how it was made."""
    stage("inspect_store").run(store, image=image)


@commands.command()
def verify(
    folder: Annotated[Path, typer.Argument(help="Results of a run: results/<run>.")],
    root: Annotated[
        Path | None, typer.Option(help="The dataset's folder: also check its photographs.")
    ] = None,
) -> None:
    """Check that all results are whole: nothing changed, missing, foreign or half written."""
    count = stage("verify_results").run(folder, root=root)
    typer.echo(f"{folder}: {count} files, all as they were written")


@commands.command(context_settings={"allow_extra_args": True, "ignore_unknown_options": True})
def explain(context: typer.Context) -> None:
    """Say in words what Snakemake would run, and why; takes Snakemake's own options."""
    command = ["snakemake", "--cores", "1", *context.args, "--dry-run", "--nocolor"]
    try:
        result = subprocess.run(command, capture_output=True, text=True, check=False)
    except FileNotFoundError:
        hint = "source .venv/bin/activate"
        raise AepslError.of("snakemake", "is not on the path", hint) from None
    if result.returncode:
        typer.echo(result.stdout + result.stderr, err=True)
        raise typer.Exit(result.returncode)
    typer.echo(in_words(result.stdout + result.stderr), nl=False)


@commands.command()
def fetch_voc(
    folder: Annotated[Path, typer.Argument(help="Where VOCdevkit will lie.")],
    sbd: Annotated[bool, typer.Option(help="Also SBD: train_aug's list and masks.")] = False,
    log: Log = None,
) -> None:
    """Download PASCAL VOC 2012 and check it: 2 GB, with SBD 3.5 GB."""
    configure(log)
    stage("fetch_voc").run(folder, sbd=sbd)


@commands.command()
def schema(output: Output) -> None:
    """Write the JSON schema of the configuration, for editors."""
    write_json(output, Config.model_json_schema())
