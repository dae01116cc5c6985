"""Weakly-supervised semantic segmentation from image labels (AE-PSL, Wei et al., CVPR 2017)."""

from __future__ import annotations

import sys
from importlib import import_module
from typing import TYPE_CHECKING, Any

if sys.platform == "win32":  # here, before any module that Windows lacks, such as fcntl
    sys.exit(
        "aepsl: Windows needs WSL, which is Linux: type wsl --install in PowerShell, restart, and"
        " run the same command in the Ubuntu window that opens."
    )

if TYPE_CHECKING:
    from aepsl.deployment.predictor import Predictor, Segmentation, load

__version__ = "0.1.0"
__all__ = ["Predictor", "Segmentation", "load"]


def __getattr__(name: str) -> Any:
    """Import the Python interface when it is first used: torch takes seconds."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module("aepsl.deployment.predictor"), name)
