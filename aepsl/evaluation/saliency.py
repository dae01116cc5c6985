"""Saliency measures: mean absolute error and F measure (Achanta et al., CVPR 2009)."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

BETA_SQUARED = 0.3
"""Weight of precision over recall in the F measure of saliency (Achanta et al.)."""

LEVELS = 256
"""Number of thresholds."""


class SaliencyCounts(NamedTuple):
    """Measures of one image, to be averaged over images."""

    absolute_error: float
    """Mean over the image's pixels."""
    precision: NDArray[np.float64]
    """(256,), at each threshold, from 0 to 1."""
    recall: NDArray[np.float64]


def saliency_counts(saliency: NDArray[np.floating], salient: NDArray[np.bool_]) -> SaliencyCounts:
    """Return the mean absolute error of one image, and its precision and recall by threshold.

    Args:
        saliency: (height, width), 0..1.
        salient: (height, width), True on the objects; at least one pixel.
    """
    error = float(np.abs(saliency.astype(np.float64) - salient).mean())
    levels = np.round(saliency.astype(np.float64) * (LEVELS - 1)).astype(int).clip(0, LEVELS - 1)
    hits = np.bincount(levels[salient], minlength=LEVELS)[::-1].cumsum()[::-1]
    claimed = np.bincount(levels.ravel(), minlength=LEVELS)[::-1].cumsum()[::-1]
    precision = np.divide(hits, claimed, out=np.zeros(LEVELS), where=claimed > 0)
    return SaliencyCounts(error, precision, hits / max(int(salient.sum()), 1))


def max_f(precision: NDArray[np.float64], recall: NDArray[np.float64]) -> float:
    """Return the maximum F over the thresholds, from the means of precision and recall."""
    weighted = BETA_SQUARED * precision + recall
    both = (1 + BETA_SQUARED) * precision * recall
    return float(np.divide(both, weighted, out=np.zeros_like(both), where=weighted > 0).max())
