"""What every stage's command has: a log, checksums of what it wrote, and nobody beside it."""

from __future__ import annotations

import functools
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Annotated, Any

import typer

from aepsl.cli.markers import Writes, marked, with_options
from aepsl.console import configure
from aepsl.errors import AepslError
from aepsl.stopping import finishing
from aepsl.stores.checksums import write_checksums
from aepsl.stores.lease import leased

Log = Annotated[Path | None, typer.Option(help="Log file; standard error without it.")]
Checksums = Annotated[
    Path | None, typer.Option(help="List of checksums to write, as sha256sum does.")
]


def _alone(checksums: Path | None) -> AbstractContextManager[None]:
    """Wait until nobody else does the job with this list of checksums, then hold it.

    A job may outlive the Snakemake that started it; the next Snakemake then starts another one.
    """
    if checksums is None:
        return nullcontext()
    return leased(checksums.with_suffix(".lock"), what=str(checksums))


def job(command: Callable[..., None]) -> Callable[..., None]:
    """Return ``command`` with the options ``--log`` and ``--checksums``."""
    written = marked(command, Writes)

    @functools.wraps(command)
    def run(*, log: Path | None, checksums: Path | None, **options: Any) -> None:
        configure(log)
        if options.get("shard", 0) >= options.get("shards", 1):
            what = f"is {options['shard']}, of {options['shards']}"
            raise AepslError.of("--shard", what, "count from 0")
        paths = [p for name, mark in written.items() for p in mark.paths(options[name])]
        with _alone(checksums):
            command(**options)
            if checksums:
                with finishing():
                    write_checksums(checksums, paths)

    with_options(run, command, {"log": Log, "checksums": Checksums})
    return run
