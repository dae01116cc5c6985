"""A GPU for each job: Snakemake counts them, but says to no job which one is its own."""

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
from aepsl.machine import usable_gpus
from aepsl.stores.lease import Lease

LEASES = Path(tempfile.gettempdir(), f"aepsl-gpus-{os.getuid()}")
"""Where the GPUs of this machine are leased."""

PAUSE = 0.5
"""Seconds until it is looked again whether a GPU is free."""


def _lease(folder: Path, gpu: str) -> Lease:
    # Inside a job of a cluster GPUs are counted anew: number 0 is another one in each job.
    return Lease(folder / f"{os.environ.get('SLURM_JOB_ID', 'machine')}-{gpu}.lock")


def _take(leases: dict[str, Lease], count: int) -> list[str]:
    """Take ``count`` of the leases, all or none; return which."""
    taken: list[str] = []
    for gpu, lease in leases.items():
        if len(taken) < count and lease.take():
            taken.append(gpu)
    if len(taken) < count:
        for gpu in taken:
            leases[gpu].release()
        return []
    return taken


@contextmanager
def leased_gpus(device: str, count: int, *, folder: Path = LEASES) -> Iterator[list[str]]:
    """Hold ``count`` GPUs that no other job of ours uses until the block ends; yield which.

    Sets CUDA_VISIBLE_DEVICES to them, so it has to come before torch. Nothing is held where there
    are no GPUs, for the device ``cpu``, and for one that is named (``cuda:1``).

    Args:
        device: ``auto``, ``cpu``, ``cuda``, or one of them.
        count: how many; not more than there are.
        folder: of the leases.
    """
    usable = usable_gpus() if device in ("auto", "cuda") else []
    if not usable:
        yield []
        return
    leases = {gpu: _lease(folder, gpu) for gpu in usable}
    count = min(count, len(usable))
    waited = False
    while not (taken := _take(leases, count)):
        if not waited:
            holders = "; ".join(f"{gpu}: {lease.holder}" for gpu, lease in leases.items())
            log.info("waits for %d of %d GPUs (%s)", count, len(usable), holders)
            waited = True
        time.sleep(PAUSE * (1 + os.getpid() % 7 / 7))  # two who want two do not meet for ever
    before = os.environ.get("CUDA_VISIBLE_DEVICES")
    os.environ["CUDA_VISIBLE_DEVICES"] = ",".join(taken)
    log.info("GPU %s", ", ".join(taken))
    try:
        yield taken
    finally:
        for gpu in taken:
            leases[gpu].release()
        if before is None:
            del os.environ["CUDA_VISIBLE_DEVICES"]
        else:
            os.environ["CUDA_VISIBLE_DEVICES"] = before


def on_gpu(command: Callable[..., None]) -> Callable[..., None]:
    """Return ``command``, which holds the GPUs that its option ``device`` asks for."""

    @functools.wraps(command)
    def run(**options: Any) -> None:
        with leased_gpus(options["device"], options.get("training_gpus", 1)):
            command(**options)

    return run
