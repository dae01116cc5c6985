"""The command line: one command a stage, and what a person asks for."""

from __future__ import annotations

import logging
import sys

import typer

from aepsl import __version__
from aepsl.cli import evaluation, mining, people, segmentation
from aepsl.console import log
from aepsl.errors import AepslError

app = typer.Typer(
    help="AE-PSL: from image labels to segmentation.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
for part in (mining, segmentation, evaluation, people):
    app.registered_commands += part.commands.registered_commands


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"aepsl {__version__}")
        raise typer.Exit


@app.callback()
def options(
    version: bool = typer.Option(
        False, "--version", callback=_version, is_eager=True, help="Show it."
    ),
) -> None:
    """AE-PSL: from image labels to segmentation."""


def main() -> None:
    """Run the command line; the user's faults end it with a message and status 1."""
    try:
        app()
    except AepslError as error:
        if log.handlers:
            log.error("%s", error)
        print(f"aepsl: {error}", file=sys.stderr)
        sys.exit(1)
    except Exception as error:
        if not any(isinstance(handler, logging.FileHandler) for handler in log.handlers):
            raise
        log.exception("a fault of the program, please report it with this log")
        print(f"aepsl: {type(error).__name__}: {error} (see the log)", file=sys.stderr)
        sys.exit(70)
