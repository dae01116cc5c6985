"""Parallel map over images, with one process per thread of the job."""

from __future__ import annotations

import multiprocessing
import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from itertools import chain
from threading import Thread
from typing import TypeVar

from aepsl.concurrency import ordered_results
from aepsl.console import tracked

T = TypeVar("T")
R = TypeVar("R")


CHUNK_SIZE = 8
"""Items sent to a process at a time: enough to amortise the transfer, few enough for memory."""


def _apply_chunk(function: Callable[[T], R], items: Sequence[T]) -> list[R]:
    return [function(item) for item in items]


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
            done = ordered_results(pool, work, chunks, ahead=2 * threads)
            yield from tracked(chain.from_iterable(done), total=len(items), what=what)
        except BaseException:
            for process in multiprocessing.active_children():
                process.kill()  # the pool would wait for a process stuck on a dead network mount
            raise
