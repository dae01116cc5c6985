"""Wrapper of every stage command: log file, checksums of its outputs, and a lock on them."""

from __future__ import annotations

import functools
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import typer

from aepsl.cli.signature import with_options, written
from aepsl.console import configure
from aepsl.errors import AepslError
from aepsl.signals import signals_blocked
from aepsl.stores.checksums import write_checksums
from aepsl.stores.lock import locked
from aepsl.workflow.runs import run_folder

Log = Annotated[
    Path | None,
    typer.Option(
        help="Log file; default: standard error. With a log in results/<run>/logs, the job also"
        " writes its checksums to results/<run>/checksums and takes a lock in results/<run>/locks."
    ),
]


def job_files(log: Path) -> tuple[Path, Path] | None:
    """Return the paths of a job's checksum list and lock file, which are named after its log.

    ``results/<run>/logs/<rule>/<job>.log`` gives ``results/<run>/checksums/<rule>/<job>.sha256``
    and ``results/<run>/locks/<rule>/<job>.lock``; a log outside a folder ``logs`` gives None.
    """
    folder = run_folder(log)
    if folder is None:
        return None
    job = log.relative_to(folder / "logs")
    checksums = folder / "checksums" / job.with_suffix(".sha256")
    return checksums, folder / "locks" / job.with_suffix(".lock")


def job(command: Callable[..., None]) -> Callable[..., None]:
    """Wrap ``command`` with the option ``--log``, which also determines its checksum list and lock.

    A job may outlive the Snakemake that started it; the next Snakemake then starts the job again,
    and the second job waits for the lock.
    """

    @functools.wraps(command)
    def run(*, log: Path | None, **options: Any) -> None:
        configure(log)
        if options.get("shard", 0) >= options.get("shards", 1):
            what = f"is {options['shard']}, but there are {options['shards']} shards"
            raise AepslError.of("--shard", what, "shards are numbered from 0")
        files = job_files(log) if log else None
        if files is None:
            command(**options)
            return
        listing, lock = files
        paths = written(command, options)
        with locked(lock, what=str(paths[0])):
            command(**options)
            with signals_blocked():
                write_checksums(listing, paths)

    with_options(run, command, {"log": Log})
    return run
