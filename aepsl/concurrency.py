"""Results of a pool of threads or processes, in the order of their items."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from contextlib import contextmanager
from typing import TypeVar

T = TypeVar("T")
R = TypeVar("R")


def ordered_results(
    pool: Executor, function: Callable[[T], R], items: Iterable[T], *, ahead: int
) -> Generator[R]:
    """Yield ``function(item)`` in order; ``ahead`` items after the current one are in work.

    Exceptions of ``function`` propagate unchanged.
    """
    waiting: deque[Future[R]] = deque()
    for item in items:
        waiting.append(pool.submit(function, item))
        if len(waiting) > ahead:
            yield waiting.popleft().result()
    while waiting:
        yield waiting.popleft().result()


@contextmanager
def read_ahead(
    function: Callable[[T], R], items: Iterable[T], *, ahead: int, threads: int = 1
) -> Iterator[Generator[R]]:
    """Give the results ``function(item)`` in order, while threads work on the next ``ahead`` items.

    For functions that read files or decode photographs: these let other threads compute. The
    threads end when the block ends, even if an exception still refers to the results.
    """
    pool = ThreadPoolExecutor(threads, thread_name_prefix="read-ahead")
    try:
        yield ordered_results(pool, function, items, ahead=ahead)
    finally:
        pool.shutdown(cancel_futures=True)
