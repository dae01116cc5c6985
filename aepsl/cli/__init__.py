"""The command line: one command per stage, and tools for users."""

from __future__ import annotations

import logging
import multiprocessing
import os
import sys
from contextlib import suppress
from typing import NoReturn

import typer

from aepsl import __version__
from aepsl.cli import tools
from aepsl.cli.commands import LazyCommands
from aepsl.console import log
from aepsl.errors import AepslError, system_error
from aepsl.signals import RESUME, Stopped, ignore_signals, stop_on_signals

app = typer.Typer(
    cls=LazyCommands,
    help="AE-PSL: from image labels to segmentation.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)
app.registered_commands += tools.commands.registered_commands


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"aepsl {__version__}")
        raise typer.Exit


@app.callback()
def options(
    version: bool = typer.Option(
        False, "--version", callback=_version, is_eager=True, help="Show the version."
    ),
) -> None:
    """AE-PSL: from image labels to segmentation."""


def main() -> None:
    """Run the command line; an AepslError ends it with its message and status 1."""
    # One thread for numpy's linear algebra, before numpy is imported: the stages share their work
    # among processes, the number of threads changes the last bits, and waiting ones spin. Snakemake
    # sets this variable to the number of threads of the job.
    os.environ["OPENBLAS_NUM_THREADS"] = "1"
    # torch's threads sleep while they wait for each other. By default they spin, and take the core
    # that the awaited one needs: up to ten times the processor time with a second job or loader.
    # They spin a moment first: to sleep at once costs a training that is alone a tenth of its time.
    if "OMP_WAIT_POLICY" not in os.environ:  # a spin count would overrule a policy of the user
        os.environ["OMP_WAIT_POLICY"] = "PASSIVE"
        os.environ.setdefault("GOMP_SPINCOUNT", "3000")
    stop_on_signals()
    try:
        app()
    except Stopped as stopped:
        _end(stopped)
    except AepslError as error:
        _exit_with_error(error)
    except Exception as error:
        if fault := system_error(error):
            _exit_with_error(fault)
        if not _logs_to_a_file():
            raise
        log.exception("internal error: please report it with this log")
        print(f"aepsl: {type(error).__name__}: {error} (see the log)", file=sys.stderr)
        sys.exit(70)


def _end(stopped: Stopped) -> NoReturn:
    """Say that work was stopped, and end at once.

    Python's own exit would wait for a process whose read of a dead network mount does not return.
    """
    ignore_signals()  # another one would break into this
    if _logs_to_a_file():
        log.info("%s; %s", stopped, RESUME)
    print(f"aepsl: {stopped}; {RESUME}", file=sys.stderr, flush=True)
    for process in multiprocessing.active_children():
        process.kill()
    os._exit(128 + stopped.number)


def _logs_to_a_file() -> bool:
    return any(isinstance(handler, logging.FileHandler) for handler in log.handlers)


def _exit_with_error(error: AepslError) -> NoReturn:
    """Print the error and exit with status 1."""
    if _logs_to_a_file():
        with suppress(OSError):  # the log's own disk may be the full one
            log.error("%s", error)
    print(f"aepsl: {error}", file=sys.stderr)
    sys.exit(1)
