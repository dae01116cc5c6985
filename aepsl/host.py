"""GPUs and libraries of this machine, found without importing torch."""

from __future__ import annotations

import os
import platform
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path

from aepsl.errors import AepslError


def gpu_device_files(devices: Path = Path("/dev")) -> list[Path]:
    """Return the device files of NVIDIA GPUs, or of AMD's driver; empty without a GPU."""
    return sorted(devices.glob("nvidia[0-9]*")) or sorted(devices.glob("kfd"))


def usable_gpus(devices: Path = Path("/dev")) -> list[str]:
    """Return the GPUs that this process may use, in the notation of CUDA_VISIBLE_DEVICES."""
    there = gpu_device_files(devices)
    given = os.environ.get("CUDA_VISIBLE_DEVICES")
    if given is None or not there:
        return [str(number) for number in range(len(there))]
    names = [name.strip() for name in given.split(",")]
    return [name for name in names if name.isdecimal() or name.startswith(("GPU-", "MIG-"))]


def has_crf() -> bool:
    """Return whether pydensecrf is installed; it needs a C++ compiler."""
    return find_spec("pydensecrf") is not None


INSTALL_CRF = 'install a C++ compiler, then pip install "aepsl[crf]"'
INSTALL_ONNX = 'pip install "aepsl[onnx]", or "aepsl[gpu]" for an NVIDIA GPU'
"""Hints where an optional library is missing."""


def require_crf() -> None:
    """Check that the CRF can be used.

    Raises:
        AepslError: if pydensecrf is not installed.
    """
    if not has_crf():
        raise AepslError.of("pydensecrf", "is not installed", INSTALL_CRF)


def has_onnx_runtime() -> bool:
    """Return whether ONNX Runtime is installed, for the CPU or for GPUs."""
    return find_spec("onnxruntime") is not None


def require_onnx_runtime() -> None:
    """Check that networks in ONNX format can be used.

    Raises:
        AepslError: if ONNX Runtime is not installed.
    """
    if not has_onnx_runtime():
        raise AepslError.of("ONNX Runtime", "is not installed", INSTALL_ONNX)


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
    "segmentation-models-pytorch",
    "timm",
    "torch",
    "torchvision",
)
"""Libraries whose version may change a result."""


def _lines(path: Path, start: str) -> set[str]:
    try:
        lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return set()
    return {" ".join(line.split()) for line in lines if line.startswith(start)}


BFLOAT16_UNITS = ("amx_bf16", "avx512_bf16")
"""Flags of CPUs with instructions for bfloat16."""


def cpu(about: Path = Path("/proc/cpuinfo")) -> tuple[str, list[str]]:
    """Return who made the CPU, as ``AuthenticAMD``, else its kind; and its units for bfloat16."""
    maker = " ".join(_lines(about, "vendor_id")).rpartition(" ")[2] or platform.machine()
    flags = " ".join(_lines(about, "flags")).split()
    return maker, [unit for unit in BFLOAT16_UNITS if unit in flags]


def _versions() -> Iterator[str]:
    for name in LIBRARIES:
        try:
            yield f"{name} {version(name)}"
        except PackageNotFoundError:
            yield f"{name} absent"


def numerical_environment(kind: str) -> list[str]:
    """Return what can change numerical results besides code and input.

    These are the device type, the bfloat16 hardware of a CPU or the model of each GPU, and the
    versions of the libraries.

    Args:
        kind: device type, ``cpu`` or ``cuda``.
    """
    if kind == "cpu":
        maker, units = cpu()
        units = [maker, *units]
    else:
        about = sorted(Path("/proc/driver/nvidia/gpus").glob("*/information"))
        units = sorted({line for path in about for line in _lines(path, "Model")})
    return [kind, *units, *_versions()]
