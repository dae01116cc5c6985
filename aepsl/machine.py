"""What this machine has, without waking torch."""

from __future__ import annotations

from pathlib import Path


def find_gpus() -> list[Path]:
    """Return the device files of NVIDIA's GPUs, or of AMD's driver; empty if there is none."""
    return sorted(Path("/dev").glob("nvidia[0-9]*")) or sorted(Path("/dev").glob("kfd"))
