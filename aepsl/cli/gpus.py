"""Assign GPUs to jobs: Snakemake counts GPUs, but does not assign one to a job."""

from __future__ import annotations

import functools
import os
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from aepsl.console import log
from aepsl.host import usable_gpus
from aepsl.stores.lock import FileLock

LOCK_FOLDER = Path(tempfile.gettempdir(), f"aepsl-gpus-{os.getuid()}")
"""Folder with one lock file for each GPU of this machine."""

POLL_SECONDS = 0.5
"""Seconds between attempts to lock a GPU."""


def _lock_of(folder: Path, gpu: str) -> FileLock:
    # SLURM numbers the GPUs of each job from 0, so the job id is part of the name.
    return FileLock(folder / f"{os.environ.get('SLURM_JOB_ID', 'machine')}-{gpu}.lock")


def _lock_all_or_none(locks: dict[str, FileLock], count: int) -> list[str]:
    """Lock ``count`` of the GPUs, all or none; return their ids."""
    taken: list[str] = []
    for gpu, lock in locks.items():
        if len(taken) < count and lock.take():
            taken.append(gpu)
    if len(taken) < count:
        for gpu in taken:
            locks[gpu].release()
        return []
    return taken


@contextmanager
def reserve_gpus(device: str, count: int, *, folder: Path = LOCK_FOLDER) -> Iterator[list[str]]:
    """Reserve ``count`` GPUs for the block, waiting for free ones; yield their ids.

    Sets CUDA_VISIBLE_DEVICES, so it must run before torch initialises CUDA. Reserves nothing
    without GPUs, for the device ``cpu``, and for an explicit device such as ``cuda:1``.

    Args:
        device: ``auto``, ``cpu``, ``cuda``, or an explicit device.
        count: number of GPUs; limited to those that exist.
        folder: folder of the lock files.
    """
    usable = usable_gpus() if device in ("auto", "cuda") else []
    if not usable:
        yield []
        return
    locks = {gpu: _lock_of(folder, gpu) for gpu in usable}
    count = min(count, len(usable))
    waited = False
    while not (taken := _lock_all_or_none(locks, count)):
        if not waited:
            holders = "; ".join(f"{gpu}: {lock.holder}" for gpu, lock in locks.items())
            log.info("waiting for %d of %d GPUs (%s)", count, len(usable), holders)
            waited = True
        time.sleep(POLL_SECONDS * (1 + os.getpid() % 7 / 7))  # differs by job: no endless collision
    before = os.environ.get("CUDA_VISIBLE_DEVICES")
    os.environ["CUDA_VISIBLE_DEVICES"] = ",".join(taken)
    log.info("GPU %s", ", ".join(taken))
    try:
        yield taken
    finally:
        for gpu in taken:
            locks[gpu].release()
        if before is None:
            del os.environ["CUDA_VISIBLE_DEVICES"]
        else:
            os.environ["CUDA_VISIBLE_DEVICES"] = before


def with_gpus(command: Callable[..., None]) -> Callable[..., None]:
    """Wrap ``command`` so that it reserves a GPU, depending on its option ``device``."""

    @functools.wraps(command)
    def run(**options: Any) -> None:
        if "RANK" in os.environ:  # the process that started torchrun reserved the GPUs
            command(**options)
            return
        with reserve_gpus(options["device"], 1):
            command(**options)

    return run
