"""A wish to stop, from a person or a scheduler, that a long stage can answer when it is ready."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

SIGNALS = (signal.SIGTERM, signal.SIGINT)
"""What a scheduler sends before it kills, and Ctrl-C."""


class Stopped(BaseException):
    """A stage ended early because it was asked to, and the same command goes on.

    Not an ``Exception``: nothing that handles faults is to handle it.
    """

    def __init__(self, number: int, what: str) -> None:
        self.number = number
        super().__init__(f"{what} by {signal.Signals(number).name}")


class StopRequest:
    """Whether a signal has come."""

    number: int | None = None

    def note(self, number: int, frame: FrameType | None) -> None:
        """Take note of a signal; the second one is obeyed at once."""
        if self.number is not None:
            raise Stopped(number, "ended")
        self.number = number


@contextmanager
def stop_requests() -> Iterator[StopRequest]:
    """Yield what says whether to stop; until the block ends, signals only take note."""
    request = StopRequest()
    before = {number: signal.signal(number, request.note) for number in SIGNALS}
    try:
        yield request
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def stop_on_signals() -> None:
    """Make signals end the process as an error does, so that nothing half-written is left."""

    def stop(number: int, frame: FrameType | None) -> None:
        raise Stopped(number, "stopped")

    for number in SIGNALS:
        signal.signal(number, stop)


@contextmanager
def finishing() -> Iterator[None]:
    """Be deaf to signals until the block ends: it takes seconds, and what is done would be lost."""
    before = {number: signal.signal(number, signal.SIG_IGN) for number in SIGNALS}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def ignore_signals() -> None:
    """Leave signals to the parent: for helper processes, which end when it does."""
    for number in SIGNALS:
        signal.signal(number, signal.SIG_IGN)
