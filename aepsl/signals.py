"""Stop requests: a signal sets a flag, and a long stage stops at its next checkpoint."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

SIGNALS = (signal.SIGTERM, signal.SIGINT)
"""The signals that a scheduler sends before SIGKILL, and Ctrl-C."""


RESUME = "run the same command to resume"
"""What a stopped job says last."""


class Stopped(BaseException):
    """A signal stopped the stage; the same command resumes it.

    Derived from BaseException, so that ``except Exception`` does not catch it.
    """

    def __init__(self, number: int, what: str) -> None:
        self.number = number
        super().__init__(f"{what} by {signal.Signals(number).name}")


class StopRequest:
    """Records whether a signal has arrived."""

    def __init__(self, *, obeys_second: bool = True) -> None:
        self.number: int | None = None
        self._obeys_second = obeys_second

    def record(self, number: int, frame: FrameType | None) -> None:
        """Record a signal; a second one stops at once, unless ``obeys_second`` is false."""
        if self.number is not None and self._obeys_second:
            raise Stopped(number, "ended")
        self.number = number


@contextmanager
def stop_request(*, obeys_second: bool = True) -> Iterator[StopRequest]:
    """Yield a StopRequest that records signals until the block ends.

    Args:
        obeys_second: whether a second signal stops the process at once. False under torchrun, where
            each process receives two: one from the scheduler, and one that torchrun forwards.
    """
    request = StopRequest(obeys_second=obeys_second)
    before = {number: signal.signal(number, request.record) for number in SIGNALS}
    try:
        yield request
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def stop_on_signals() -> None:
    """Turn signals into the exception :class:`Stopped`, so that cleanup code runs."""

    def stop(number: int, frame: FrameType | None) -> None:
        raise Stopped(number, "stopped")

    for number in SIGNALS:
        signal.signal(number, stop)


@contextmanager
def signals_blocked() -> Iterator[None]:
    """Ignore signals inside the block, which takes seconds and stores completed work."""
    before = {number: signal.signal(number, signal.SIG_IGN) for number in SIGNALS}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def ignore_signals() -> None:
    """Ignore signals in a worker process; its parent handles them and ends it."""
    for number in SIGNALS:
        signal.signal(number, signal.SIG_IGN)
