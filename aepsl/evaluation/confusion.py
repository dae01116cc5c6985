"""Confusion matrix and intersection over union (PASCAL VOC's segmentation measure)."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from aepsl.masks import IGNORED


def confusion_matrix(
    truth: NDArray[np.uint8], answer: NDArray[np.uint8], *, classes: int
) -> NDArray[np.int64]:
    """Count pixels by true class and answer.

    Args:
        truth: any shape, 0..classes-1; 255 is void and not counted.
        answer: the same shape, 0..classes-1; 255 means "no answer".
        classes: how many classes, background included.

    Returns:
        (classes, classes + 1): rows are true classes, columns answers; the last column counts the
        pixels without an answer.

    Raises:
        ValueError: if the shapes differ, or a value is neither a class nor 255.
    """
    if truth.shape != answer.shape:
        raise ValueError(f"truth has shape {truth.shape}, answer {answer.shape}")
    for name, values in (("truth", truth), ("answer", answer)):
        known = (values < classes) | (values == IGNORED)
        if not known.all():
            raise ValueError(f"{name} holds {int(values[~known][0])}, not one of {classes} classes")
    counted = truth != IGNORED
    columns = np.where(answer[counted] == IGNORED, classes, answer[counted]).astype(np.int64)
    flat = truth[counted].astype(np.int64) * (classes + 1) + columns
    return np.bincount(flat, minlength=classes * (classes + 1)).reshape(classes, classes + 1)


def intersection_over_union(matrix: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return the IoU of each class, NaN where a class is neither true nor answered anywhere.

    A pixel without an answer is a miss for its true class and a false alarm for none: leaving
    pixels out never earns anything.

    Args:
        matrix: (classes, classes + 1), as :func:`confusion_matrix` counts.
    """
    hits = np.diagonal(matrix).astype(np.float64)
    union = matrix.sum(axis=1) + matrix[:, :-1].sum(axis=0) - hits
    return np.divide(hits, union, out=np.full(len(hits), np.nan), where=union > 0)


def mean_iou(matrix: NDArray[np.int64]) -> float:
    """Return the mean IoU over the classes that occur; NaN if none does."""
    values = intersection_over_union(matrix)
    return float(np.nanmean(values)) if np.isfinite(values).any() else float("nan")
