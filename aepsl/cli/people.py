"""Commands for people."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from aepsl.cli.options import Log, Output, stage
from aepsl.config.run import Config
from aepsl.console import configure
from aepsl.stores.atomic import write_json

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
