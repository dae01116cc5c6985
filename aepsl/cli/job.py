"""What every stage's command has: a log, and checksums of what it wrote."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, get_args

import typer

from aepsl.console import configure
from aepsl.errors import AepslError
from aepsl.stores.checksums import write_checksums

Log = Annotated[Path | None, typer.Option(help="Log file; standard error without it.")]
Checksums = Annotated[
    Path | None, typer.Option(help="List of checksums to write, as sha256sum does.")
]


class Writes:
    """Marks an option as a file or folder that the command writes."""

    def __init__(self, *beside: str) -> None:
        """Mark it; ``beside`` are names or suffixes of what is written beside it."""
        self.beside = beside

    def paths(self, path: Path) -> list[Path]:
        """Return what the command writes if the option is ``path``."""
        return [path, *(self._sibling(path, name) for name in self.beside)]

    @staticmethod
    def _sibling(path: Path, name: str) -> Path:
        return path.with_suffix(name) if name.startswith(".") else path.with_name(name)


def _option(name: str, annotation: Any) -> inspect.Parameter:
    return inspect.Parameter(
        name, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=annotation
    )


def job(command: Callable[..., None]) -> Callable[..., None]:
    """Return ``command`` with the options ``--log`` and ``--checksums``."""
    signature = inspect.signature(command, eval_str=True)
    written = {
        name: marker
        for name, parameter in signature.parameters.items()
        for marker in get_args(parameter.annotation)
        if isinstance(marker, Writes)
    }

    @functools.wraps(command)
    def run(*, log: Path | None, checksums: Path | None, **options: Any) -> None:
        configure(log)
        if options.get("shard", 0) >= options.get("shards", 1):
            what = f"is {options['shard']}, of {options['shards']}"
            raise AepslError.of("--shard", what, "count from 0")
        command(**options)
        if checksums:
            paths = [marker.paths(options[name]) for name, marker in written.items()]
            write_checksums(checksums, [path for together in paths for path in together])

    more = [_option("log", Log), _option("checksums", Checksums)]
    plain = [p.replace(kind=p.KEYWORD_ONLY) for p in signature.parameters.values()]
    run.__signature__ = signature.replace(parameters=[*plain, *more])  # type: ignore[attr-defined]
    return run
