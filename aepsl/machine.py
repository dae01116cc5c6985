"""What this machine has, without waking torch."""

from __future__ import annotations

import os
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path


def find_gpus(devices: Path = Path("/dev")) -> list[Path]:
    """Return the device files of NVIDIA's GPUs, or of AMD's driver; empty if there is none."""
    return sorted(devices.glob("nvidia[0-9]*")) or sorted(devices.glob("kfd"))


def usable_gpus(devices: Path = Path("/dev")) -> list[str]:
    """Return the GPUs that this process may use, as CUDA_VISIBLE_DEVICES has them."""
    there = find_gpus(devices)
    given = os.environ.get("CUDA_VISIBLE_DEVICES")
    if given is None or not there:
        return [str(number) for number in range(len(there))]
    names = [name.strip() for name in given.split(",")]
    return [name for name in names if name.isdecimal() or name.startswith(("GPU-", "MIG-"))]


LIBRARIES = (
    "h5py",
    "numpy",
    "onnxruntime",
    "onnxruntime-gpu",
    "opencv-python",
    "opencv-python-headless",
    "pillow",
    "pydensecrf",
    "pydensecrf2",
    "safetensors",
    "scikit-image",
    "scipy",
    "torch",
    "torchvision",
)
"""Whose version may change a result."""


def _lines(path: Path, start: str) -> set[str]:
    try:
        lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return set()
    return {" ".join(line.split()) for line in lines if line.startswith(start)}


def _versions() -> Iterator[str]:
    for name in LIBRARIES:
        try:
            yield f"{name} {version(name)}"
        except PackageNotFoundError:
            yield f"{name} absent"


def numerics(kind: str) -> list[str]:
    """Return what decides beside the work what it comes to: libraries, and units for bfloat16.

    Args:
        kind: of the device, ``cpu`` or ``cuda``.
    """
    if kind == "cpu":
        flags = " ".join(_lines(Path("/proc/cpuinfo"), "flags")).split()
        units = ["amx_bf16"] if "amx_bf16" in flags else []
    else:
        about = sorted(Path("/proc/driver/nvidia/gpus").glob("*/information"))
        units = sorted({line for path in about for line in _lines(path, "Model")})
    return [kind, *units, *_versions()]
