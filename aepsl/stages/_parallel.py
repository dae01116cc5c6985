"""A function over many images, on as many processes as the job was given threads."""

from __future__ import annotations

import multiprocessing
import os
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Executor, Future, ProcessPoolExecutor
from functools import partial
from typing import TypeVar

from aepsl.console import tracked

T = TypeVar("T")
R = TypeVar("R")


CHUNK = 8
"""Items that a process is given at a time: enough to outweigh the way, few enough to be held."""


def _each(function: Callable[[T], R], items: Sequence[T]) -> list[R]:
    return [function(item) for item in items]


def _in_order(
    pool: Executor, work: Callable[[T], list[R]], chunks: Sequence[T], threads: int
) -> Iterator[R]:
    """Yield the results; no more is asked for ahead than keeps the processes busy."""
    waiting: deque[Future[list[R]]] = deque()
    for chunk in chunks:
        waiting.append(pool.submit(work, chunk))
        if len(waiting) > 2 * threads:
            yield from waiting.popleft().result()
    while waiting:
        yield from waiting.popleft().result()


def mapped(
    function: Callable[[T], R], items: Sequence[T], *, threads: int, what: str
) -> Iterator[R]:
    """Yield ``function`` of each item in order, with progress; in this process if it is one thread.

    Errors of the function reach the caller as they are.
    """
    if threads == 1 or len(items) < 2:
        yield from tracked(map(function, items), total=len(items), what=what)
        return
    for library in ("OMP", "OPENBLAS", "MKL"):
        # Each process is one thread; set before the processes that read it are started.
        os.environ[f"{library}_NUM_THREADS"] = "1"
    context = multiprocessing.get_context("forkserver")
    chunks = [items[start : start + CHUNK] for start in range(0, len(items), CHUNK)]
    with ProcessPoolExecutor(threads, mp_context=context) as pool:
        work = partial(_each, function)
        yield from tracked(_in_order(pool, work, chunks, threads), total=len(items), what=what)
