"""Weakly-supervised semantic segmentation from image labels (AE-PSL, Wei et al., CVPR 2017)."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from aepsl.deployment.predictor import Predictor, Segmentation, load

__version__ = "0.1.0"
__all__ = ["Predictor", "Segmentation", "load"]


def __getattr__(name: str) -> Any:
    """Import the Python interface when it is first used: torch takes seconds."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module("aepsl.deployment.predictor"), name)
