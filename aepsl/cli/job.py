"""What every stage's command has: a log, and checksums of what it wrote."""

from __future__ import annotations

import functools
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import typer

from aepsl.cli.markers import Writes, marked, with_options
from aepsl.console import configure
from aepsl.errors import AepslError
from aepsl.stores.checksums import write_checksums

Log = Annotated[Path | None, typer.Option(help="Log file; standard error without it.")]
Checksums = Annotated[
    Path | None, typer.Option(help="List of checksums to write, as sha256sum does.")
]


def job(command: Callable[..., None]) -> Callable[..., None]:
    """Return ``command`` with the options ``--log`` and ``--checksums``."""
    written = marked(command, Writes)

    @functools.wraps(command)
    def run(*, log: Path | None, checksums: Path | None, **options: Any) -> None:
        configure(log)
        if options.get("shard", 0) >= options.get("shards", 1):
            what = f"is {options['shard']}, of {options['shards']}"
            raise AepslError.of("--shard", what, "count from 0")
        command(**options)
        if checksums:
            paths = [mark.paths(options[name]) for name, mark in written.items()]
            write_checksums(checksums, [path for together in paths for path in together])

    with_options(run, command, {"log": Log, "checksums": Checksums})
    return run
