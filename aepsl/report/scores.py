"""Readable scores: titles of targets, and means over classes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from aepsl.masks import BACKGROUND_NAME
from aepsl.targets import TARGETS


def class_mean(by_class: Mapping[str, float | None]) -> float | None:
    """Return the mean over the object classes that have a value; None without any."""
    values = [v for name, v in by_class.items() if name != BACKGROUND_NAME and v is not None]
    return sum(values) / len(values) if values else None


def target_title(row: Mapping[str, Any]) -> str:
    """Return the title of a row's target.

    >>> target_title({"target": "regions", "step": 2})
    'mined regions, step 2'
    """
    target = TARGETS[row["target"]]
    return (target.summary_title or target.title).format(step=row["step"])
