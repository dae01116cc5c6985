"""The command line: one command a stage, and what a person asks for."""

from __future__ import annotations

import logging
import sys
from contextlib import suppress
from typing import NoReturn

import typer

from aepsl import __version__
from aepsl.cli import evaluation, mining, people, segmentation
from aepsl.console import log
from aepsl.errors import AepslError, fault_of_the_machine
from aepsl.stopping import Stopped, stop_on_signals

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
    stop_on_signals()
    try:
        app()
    except Stopped as stopped:
        if _logs_to_a_file():
            log.info("%s; the same command goes on", stopped)
        print(f"aepsl: {stopped}; the same command goes on", file=sys.stderr)
        sys.exit(128 + stopped.number)
    except AepslError as error:
        _refuse(error)
    except Exception as error:
        if fault := fault_of_the_machine(error):
            _refuse(fault)
        if not _logs_to_a_file():
            raise
        log.exception("a fault of the program, please report it with this log")
        print(f"aepsl: {type(error).__name__}: {error} (see the log)", file=sys.stderr)
        sys.exit(70)


def _logs_to_a_file() -> bool:
    return any(isinstance(handler, logging.FileHandler) for handler in log.handlers)


def _refuse(error: AepslError) -> NoReturn:
    """Say what is wrong, and end."""
    if _logs_to_a_file():
        with suppress(OSError):  # the disk that is full may be the log's
            log.error("%s", error)
    print(f"aepsl: {error}", file=sys.stderr)
    sys.exit(1)
