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
from aepsl.machine import usable_gpus
from aepsl.stores.lease import Lease

LEASES = Path(tempfile.gettempdir(), f"aepsl-gpus-{os.getuid()}")
"""Folder with one lock file for each GPU of this machine."""

PAUSE = 0.5
"""Seconds between attempts to lock a GPU."""


def _lease(folder: Path, gpu: str) -> Lease:
    # SLURM numbers the GPUs of each job from 0, so the job id is part of the name.
    return Lease(folder / f"{os.environ.get('SLURM_JOB_ID', 'machine')}-{gpu}.lock")


def _take(leases: dict[str, Lease], count: int) -> list[str]:
    """Lock ``count`` of the GPUs, all or none; return their ids."""
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
    leases = {gpu: _lease(folder, gpu) for gpu in usable}
    count = min(count, len(usable))
    waited = False
    while not (taken := _take(leases, count)):
        if not waited:
            holders = "; ".join(f"{gpu}: {lease.holder}" for gpu, lease in leases.items())
            log.info("waits for %d of %d GPUs (%s)", count, len(usable), holders)
            waited = True
        time.sleep(PAUSE * (1 + os.getpid() % 7 / 7))  # differs by job: no endless collision
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
    """Wrap ``command`` so that it reserves a GPU, depending on its option ``device``."""

    @functools.wraps(command)
    def run(**options: Any) -> None:
        if "RANK" in os.environ:  # the process that started torchrun reserved the GPUs
            command(**options)
            return
        with leased_gpus(options["device"], 1):
            command(**options)

    return run
