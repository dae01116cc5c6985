"""A function over many images, on as many processes as the job was given threads."""

from __future__ import annotations

import multiprocessing
import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from typing import TypeVar

from aepsl.console import tracked

T = TypeVar("T")
R = TypeVar("R")


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
    with ProcessPoolExecutor(threads, mp_context=context) as pool:
        chunk = max(1, len(items) // (8 * threads))
        results = pool.map(function, items, chunksize=chunk)
        yield from tracked(results, total=len(items), what=what)
