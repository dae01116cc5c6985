"""Parallel map over images, with one process per thread of the job."""

from __future__ import annotations

import multiprocessing
import os
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Executor, Future, ProcessPoolExecutor
from functools import partial
from threading import Thread
from typing import TypeVar

from aepsl.console import tracked

T = TypeVar("T")
R = TypeVar("R")


CHUNK_SIZE = 8
"""Items sent to a process at a time: enough to amortise the transfer, few enough for memory."""


def _apply_chunk(function: Callable[[T], R], items: Sequence[T]) -> list[R]:
    return [function(item) for item in items]


def _ordered_results(
    pool: Executor, work: Callable[[T], list[R]], chunks: Sequence[T], threads: int
) -> Iterator[R]:
    """Yield results in order; submit only enough chunks ahead to keep the processes busy."""
    waiting: deque[Future[list[R]]] = deque()
    for chunk in chunks:
        waiting.append(pool.submit(work, chunk))
        if len(waiting) > 2 * threads:
            yield from waiting.popleft().result()
    while waiting:
        yield from waiting.popleft().result()


def _end_with_parent() -> None:
    """End this process when its parent is killed; otherwise it would wait forever."""
    parent = multiprocessing.parent_process()
    assert parent

    def watch() -> None:
        parent.join()
        os._exit(1)

    Thread(target=watch, daemon=True).start()


def parallel_map(
    function: Callable[[T], R], items: Sequence[T], *, threads: int, what: str
) -> Iterator[R]:
    """Yield ``function(item)`` in order, with progress.

    One thread, or items for a single chunk, run in this process: starting others costs seconds.
    Exceptions of ``function`` propagate unchanged.
    """
    if threads == 1 or len(items) <= CHUNK_SIZE:
        yield from tracked(map(function, items), total=len(items), what=what)
        return
    for library in ("OMP", "OPENBLAS", "MKL"):
        # One thread per process; set before the processes start, because they read it only then.
        os.environ[f"{library}_NUM_THREADS"] = "1"
    context = multiprocessing.get_context("forkserver")
    chunks = [items[start : start + CHUNK_SIZE] for start in range(0, len(items), CHUNK_SIZE)]
    with ProcessPoolExecutor(threads, mp_context=context, initializer=_end_with_parent) as pool:
        work = partial(_apply_chunk, function)
        try:
            yield from tracked(
                _ordered_results(pool, work, chunks, threads), total=len(items), what=what
            )
        except BaseException:
            for process in multiprocessing.active_children():
                process.kill()  # the pool would wait for a process stuck on a dead network mount
            raise
