"""The device that a network runs on."""

from __future__ import annotations

import os
from contextlib import suppress
from dataclasses import dataclass

import torch

from aepsl.console import log
from aepsl.errors import AepslError


@dataclass(frozen=True)
class Compute:
    """Device and threads of a network; both change the last bits of its results."""

    device: torch.device
    threads: int = 1


def pick_device(name: str) -> torch.device:
    """Return the torch device ``name``; ``auto`` is a GPU if one is available.

    Raises:
        AepslError: if the device does not exist.
    """
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
        given = os.environ.get("CUDA_VISIBLE_DEVICES", "")
        if name == "cpu" and given not in ("", "-1", "NoDevFiles"):
            what = "GPU %s was given, but torch %s finds none: the job runs on the CPU"
            log.warning(what, given, torch.__version__)
    if name.startswith("cuda") and not torch.cuda.is_available():
        raise AepslError.of("runtime.device", f"{name}, but no GPU was found", "use cpu or auto")
    with suppress(RuntimeError):
        if (device := torch.device(name)).type in ("cpu", "cuda"):
            return device
    raise AepslError.of("runtime.device", f"no device {name!r}", "cpu, cuda or auto")
