"""Progress and messages: a bar on a terminal, dated lines in a log."""

from __future__ import annotations

import logging
import sys
import time
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import TypeVar

from rich.console import Console
from rich.progress import Progress, TimeElapsedColumn, TimeRemainingColumn

T = TypeVar("T")

log = logging.getLogger("aepsl")


def configure(log_file: Path | None) -> None:
    """Send messages to ``log_file``, or to standard error if it is None."""
    log.setLevel(logging.INFO)
    log.handlers.clear()
    log.propagate = False
    if log_file:
        log_file.parent.mkdir(parents=True, exist_ok=True)
        with suppress(FileNotFoundError):
            log_file.unlink()  # an orphaned job may still write to the old file
        handler: logging.Handler = logging.FileHandler(log_file, encoding="utf-8")
    else:
        handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(logging.Formatter("%(asctime)s %(message)s", "%Y-%m-%d %H:%M:%S"))
    log.addHandler(handler)


def _duration(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"


def tracked(items: Iterable[T], *, total: int, what: str) -> Iterator[T]:
    """Yield ``items`` and report progress: a bar on a terminal, ten lines in the log.

    Args:
        items: the items to yield.
        total: number of items.
        what: name of the work in the progress lines.
    """
    started = time.monotonic()
    columns = (*Progress.get_default_columns()[:-1], TimeElapsedColumn(), TimeRemainingColumn())
    bar = Progress(
        *columns,
        console=Console(stderr=True),
        transient=True,
        disable=not sys.stderr.isatty(),
    )
    with bar:
        task = bar.add_task(what, total=total)
        for done, item in enumerate(items, start=1):
            yield item
            bar.advance(task)
            if done * 10 // total > (done - 1) * 10 // total:
                spent = time.monotonic() - started
                left = _duration(spent / done * (total - done))
                log.info("%s: %d of %d, %s left", what, done, total, left)
