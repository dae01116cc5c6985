"""The command line in the process of the test, which saves the second that a start takes.

Restored afterwards: current folder, arguments, environment, log, signals, threads.
Where the process itself matters (how it ends, its signals, its memory) a test starts a real one.
"""

import io
import logging
import os
import signal
import sys
from contextlib import ExitStack, chdir, contextmanager, redirect_stderr, redirect_stdout
from typing import NamedTuple
from unittest.mock import patch

import torch

from aepsl.cli import main

LIMIT = 60
"""Seconds that a command may take."""


class Result(NamedTuple):
    """Exit status and output of a command, named as in ``subprocess``."""

    returncode: int
    stdout: str
    stderr: str


@contextmanager
def _own_signals():
    """Put the handlers of signals back; an alarm ends what hangs."""

    def too_long(number, frame):
        raise TimeoutError(f"a command took more than {LIMIT} s")

    numbers = (signal.SIGTERM, signal.SIGINT, signal.SIGALRM)
    before = {number: signal.getsignal(number) for number in numbers}
    signal.signal(signal.SIGALRM, too_long)
    signal.alarm(LIMIT)
    try:
        yield
    finally:
        signal.alarm(0)
        for number, handler in before.items():
            signal.signal(number, handler)


@contextmanager
def _own_log():
    """Put the handlers of the package's log back, and close those of the command."""
    log = logging.getLogger("aepsl")
    handlers, level, propagate = log.handlers, log.level, log.propagate
    log.handlers = []
    try:
        yield
    finally:
        for handler in log.handlers:
            handler.close()
        log.handlers, log.propagate = handlers, propagate
        log.setLevel(level)


@contextmanager
def _own_threads():
    """Put torch's number of threads back."""
    before = torch.get_num_threads()
    try:
        yield
    finally:
        torch.set_num_threads(before)


def aepsl(folder, *arguments):
    """Run a command in ``folder``; return what ``subprocess.run`` would, of a command that ends.

    An error that the command line does not handle is raised.
    """
    out, err = io.StringIO(), io.StringIO()
    with ExitStack() as stack:
        stack.enter_context(_own_signals())
        stack.enter_context(_own_log())
        stack.enter_context(_own_threads())
        stack.enter_context(chdir(folder))
        # The width of a process without a terminal, wherever the test was started.
        stack.enter_context(patch.dict(os.environ, COLUMNS="80"))
        stack.enter_context(patch.object(sys, "argv", ["aepsl", *map(str, arguments)]))
        stack.enter_context(redirect_stdout(out))
        stack.enter_context(redirect_stderr(err))
        status = 0
        try:
            main()
        except SystemExit as end:
            status = end.code or 0
    return Result(status, out.getvalue(), err.getvalue())
