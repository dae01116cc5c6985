"""Progress and messages: a bar on a terminal, dated lines in a log; and reading these lines."""

from __future__ import annotations

import logging
import re
import sys
import time
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import TypeVar

from rich.console import Console
from rich.progress import Progress as Bar
from rich.progress import TimeElapsedColumn, TimeRemainingColumn

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
    handler.setFormatter(logging.Formatter("%(asctime)s %(message)s", _DATE))
    log.addHandler(handler)


def duration(seconds: float) -> str:
    """Return a duration in words.

    >>> duration(7), duration(100), duration(7320)
    ('7 s', '1 min 40 s', '2 h 2 min')
    """
    minutes, rest = divmod(round(seconds), 60)
    if minutes >= 60:
        return f"{minutes // 60} h {minutes % 60} min"
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"


# The lines of a log that tell progress: written by the stages, read by the display of a run.

_DATE = "%Y-%m-%d %H:%M:%S"
_DATED = re.compile(
    r"^(\d{4}-\d\d-\d\d \d\d:\d\d:\d\d) ", re.M
)  # a message's further lines have none

_EPOCH = re.compile(r", epoch (\d+) of (\d+)")
_COUNT = re.compile(r": (\d+) of (\d+), .* left$")
_LOSS = re.compile(r": (loss [^,]+)")


def epoch_of(what: str, *, epoch: int, epochs: int) -> str:
    """Return the name of an epoch in progress lines; epochs count from 1."""
    return f"{what}, epoch {epoch} of {epochs}"


def count_of(what: str, *, done: int, total: int, left: float) -> str:
    """Return a progress line: ``done`` of ``total``, with ``left`` seconds to go."""
    return f"{what}: {done} of {total}, {duration(left)} left"


@dataclass(frozen=True)
class Progress:
    """What the log of a job says about its progress."""

    done: int = 0
    total: int = 0
    """Images; in a training, batches of this epoch. 0 if unknown."""
    epoch: int = 0
    epochs: int = 0
    """The epoch in work, from 1; 0 if the job is no training."""
    loss: str = ""
    """Mean loss of the last complete epoch: ``loss 0.224``."""
    left: float | None = None
    """Seconds to go at the pace of the last lines; None if they do not tell a pace."""

    @property
    def fraction(self) -> float:
        """Fraction of the work that is done, 0..1."""
        part = self.done / self.total if self.total else 0.0
        return (self.epoch - 1 + part) / self.epochs if self.epochs else part


def messages(log_text: str) -> list[tuple[datetime, str]]:
    """Return the messages of a log with their dates."""
    parts = _DATED.split(log_text)[1:]
    dates = [datetime.strptime(date, _DATE) for date in parts[::2]]
    return list(zip(dates, (message.rstrip("\n") for message in parts[1::2]), strict=True))


def progress_in(log_text: str) -> Progress | None:
    """Return the last progress that a log, or its end, tells; None if it tells none."""
    progress, path = Progress(), list[tuple[datetime, float]]()
    for date, message in messages(log_text):
        epoch, count, loss = (regex.search(message) for regex in (_EPOCH, _COUNT, _LOSS))
        if not epoch and not count:
            continue
        done, total = map(int, count.groups()) if count else (progress.done, progress.total)
        at, of = map(int, epoch.groups()) if epoch else (0, 0)
        progress = Progress(done, total, at, of, loss[1] if loss else progress.loss)
        if path and progress.fraction < path[-1][1]:
            path.clear()  # another count begins
        path.append((date, progress.fraction))
    if not path:
        return None
    (began, first), (now, last) = path[0], path[-1]
    gained = (last - first) / seconds if (seconds := (now - began).total_seconds()) else 0
    return replace(progress, left=(1 - last) / gained if gained else None)


def tracked(items: Iterable[T], *, total: int, what: str) -> Iterator[T]:
    """Yield ``items`` and report progress: a bar on a terminal, ten lines in the log.

    Args:
        items: the items to yield.
        total: number of items.
        what: name of the work in the progress lines.
    """
    started = time.monotonic()
    columns = (*Bar.get_default_columns()[:-1], TimeElapsedColumn(), TimeRemainingColumn())
    bar = Bar(
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
                left = spent / done * (total - done)
                log.info(count_of(what, done=done, total=total, left=left))
