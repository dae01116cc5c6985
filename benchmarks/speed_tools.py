"""What the parts of ``speed.py`` share: ways that alternate in rounds, and tables of their figures.

It imports nothing that computes, so that ``speed.py`` can limit threads first.
"""

import gc
import importlib.util
import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple
from unittest.mock import patch


@dataclass(frozen=True)
class Bench:
    """Where and how thoroughly a part measures."""

    folder: Path
    """An empty folder for its files."""
    data: Path | None
    """The folder of real photographs; without it they are generated."""
    quick: bool = False
    rounds: int = 5

    @property
    def size(self) -> tuple[int, int]:
        """Return height and width of a photograph, pixels."""
        return (97, 131) if self.quick else (375, 500)

    @property
    def width(self) -> float:
        """Return the width multiplier of a network that is VGG-16's."""
        return 1 / 16 if self.quick else 1.0

    def count(self, images: int) -> int:
        """Return a number of images, small in a quick run."""
        return min(images, 4) if self.quick else images


class Way(NamedTuple):
    """One of the ways that are compared."""

    name: str
    run: Callable[[], float | None] | None
    """Does the work once; may return the seconds that count. None: cannot run here."""
    note: str = ""
    work: float | None = None
    """Images of one call, if another number than that of the table."""


@dataclass
class Row:
    """The figures of one way: median and quartiles over the rounds."""

    way: str
    median: float | None = None
    low: float | None = None
    high: float | None = None
    ratio: float | None = None
    """Median over the rounds of this way's figure over that of the reference."""
    note: str = ""


@dataclass
class Table:
    """Figures in one unit."""

    title: str
    unit: str
    against: str = ""
    """The way that ratios refer to."""
    rows: list[Row] = field(default_factory=list)
    statistic: str = "median"


def installed(module: str) -> bool:
    """Return whether a library that is no dependency can be imported."""
    return importlib.util.find_spec(module) is not None


def optional(
    name: str,
    module: str,
    make: Callable[[], Callable[[], float | None]],
    *,
    work: float | None = None,
) -> Way:
    """Return a way that needs a library which may be missing; ``make`` is called if it is there."""
    return Way(name, make(), work=work) if installed(module) else Way(name, None, "not installed")


def _seconds(way: Way) -> float:
    gc.collect()
    started = time.perf_counter()
    own = way.run()
    return time.perf_counter() - started if own is None else own


def _figure(seconds: float, work: float, unit: str) -> float:
    """Return a rate, or the time of one image, by the unit."""
    if unit.endswith("/s"):
        return work / seconds
    return seconds / work * (1000 if unit.startswith("ms") else 1)


def row_of(name: str, values: Sequence[float], *, ratios: Sequence[float] = (), note: str = ""):
    """Return the row of a way from its figures, one a round."""
    low, median, high = values[0], values[0], values[0]
    if len(values) > 1:
        low, median, high = statistics.quantiles(values, n=4, method="inclusive")
    ratio = statistics.median(ratios) if ratios else None
    return Row(name, median, low, high, ratio, note)


def compare(
    title: str,
    ways: Sequence[Way],
    *,
    bench: Bench,
    work: float,
    against: str,
    unit: str = "images/s",
    warm: bool = True,
) -> Table:
    """Let the ways alternate in rounds; return their figures.

    Ratios are those of figures of the same round, so that slow changes of the machine cancel.

    Args:
        title: of the table.
        ways: at least the one named ``against``.
        bench: number of rounds.
        work: images of one call.
        against: the name of the way that ratios refer to.
        warm: whether the first round does not count.
        unit: one that ends with ``/s`` for rates, one that starts with ``ms``, or ``s``.
    """
    there = [way for way in ways if way.run]
    if warm and not bench.quick:
        for way in there:
            way.run()
    found: dict[str, list[float]] = {way.name: [] for way in there}
    for _ in range(bench.rounds):
        for way in there:
            found[way.name].append(_figure(_seconds(way), way.work or work, unit))
    table = Table(title, unit, against)
    for way in ways:
        if not way.run:
            table.rows.append(Row(way.name, note=way.note))
            continue
        pairs = zip(found[way.name], found[against], strict=True)
        ratios = [value / reference for value, reference in pairs]
        table.rows.append(row_of(way.name, found[way.name], ratios=ratios, note=way.note))
    return table


@contextmanager
def timed(module, name: str) -> Iterator[list[float]]:
    """Let a function of a module note the seconds of each of its calls in the list."""
    function, spent = getattr(module, name), []

    def measured(*arguments, **options):
        started = time.perf_counter()
        try:
            return function(*arguments, **options)
        finally:
            spent.append(time.perf_counter() - started)

    with patch.object(module, name, measured):
        yield spent
