"""Confusion matrix and intersection over union (PASCAL VOC's segmentation measure)."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from aepsl.masks import IGNORE_INDEX

Counts = NDArray[np.int64] | NDArray[np.float64]


def confusion_matrix(
    truth: NDArray[np.uint8], prediction: NDArray[np.uint8], *, classes: int
) -> NDArray[np.int64]:
    """Count pixels by true and predicted class.

    Args:
        truth: the true mask, any shape, 0..classes-1; 255 is void and not counted.
        prediction: the predicted mask, the same shape, 0..classes-1; 255 is an ignored pixel.
        classes: number of classes, background included.

    Returns:
        (classes, classes + 1): rows are true classes, columns predicted classes; the last column
        counts ignored predictions.

    Raises:
        ValueError: if the shapes differ, or a value is neither a class nor 255.
    """
    if truth.shape != prediction.shape:
        raise ValueError(f"truth has shape {truth.shape}, prediction {prediction.shape}")
    # Both values of a pixel as one number: a single count of all pairs.
    pairs = truth.ravel() * np.uint16(256) + prediction.ravel()
    counts = np.bincount(pairs, minlength=256 * 256).reshape(256, 256)
    valid = [*range(classes), IGNORE_INDEX]
    for name, values in (("truth", counts.sum(axis=1)), ("prediction", counts.sum(axis=0))):
        values[valid] = 0
        if values.any():
            raise ValueError(f"{name} holds {values.argmax()}, not one of {classes} classes")
    return counts[:classes, valid]


def intersection_over_union(matrix: Counts) -> NDArray[np.float64]:
    """Return the IoU of each class, NaN for a class that neither mask contains.

    A pixel that a mask ignores counts as a false negative of its true class, and as a false
    positive of no class. Ignoring pixels of a class therefore never raises the IoU of this class.

    Args:
        matrix: (..., classes, classes + 1), from :func:`confusion_matrix`.
    """
    return _ratio(*overlap(matrix))


def mean_iou(matrix: Counts) -> NDArray[np.float64]:
    """Return the mean IoU over the classes that occur; NaN if none does.

    Shapes as in :func:`intersection_over_union`.
    """
    return _mean(intersection_over_union(matrix))


def overlap(matrix: Counts) -> NDArray[np.float64]:
    """Return the pixels of intersection and union of each class, (2, ..., classes).

    Both can be added over images. Shape of ``matrix``: see :func:`intersection_over_union`.
    """
    hits = np.diagonal(matrix, axis1=-2, axis2=-1).astype(np.float64)
    return np.stack([hits, matrix.sum(axis=-1) + matrix[..., :-1].sum(axis=-2) - hits])


def _mean(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the mean over the last axis, NaN left out; NaN if nothing else is there."""
    return _ratio(np.nansum(values, axis=-1), np.isfinite(values).sum(axis=-1))


def precision_and_recall(matrix: Counts) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the precision and the recall of each class.

    Precision is NaN without predictions, recall NaN without true pixels. Shapes as in
    :func:`intersection_over_union`.
    """
    hits = np.diagonal(matrix, axis1=-2, axis2=-1).astype(np.float64)
    return _ratio(hits, matrix[..., :-1].sum(axis=-2)), _ratio(hits, matrix.sum(axis=-1))


def labelled_fraction(matrix: Counts) -> float:
    """Return the fraction of pixels that are not ignored; NaN without pixels."""
    return float(_ratio(matrix[:, :-1].sum(), matrix.sum()))


def foreground_fraction(matrix: Counts) -> float:
    """Return the fraction of pixels predicted as an object class; NaN without pixels."""
    return float(_ratio(matrix[:, 1:-1].sum(), matrix.sum()))


def error_rate(matrix: Counts) -> float:
    """Return the fraction of labelled pixels that are wrong; NaN without labelled pixels."""
    labelled = matrix[:, :-1].sum()
    return float(_ratio(labelled - np.trace(matrix), labelled))


def objects(matrix: Counts) -> tuple[int, int]:
    """Return how many objects an image shows, and how many of them have no pixel in its mask.

    An object is a class of the image, background not counted.

    Args:
        matrix: (classes, classes + 1), from :func:`confusion_matrix` for this image.
    """
    shown = matrix[1:].sum(axis=1) > 0
    predicted = matrix[:, 1:-1].sum(axis=0) > 0
    return int(shown.sum()), int((shown & ~predicted).sum())


def _ratio(part: Any, total: Any) -> NDArray[np.float64]:
    part, total = np.asarray(part, np.float64), np.asarray(total, np.float64)
    return np.divide(part, total, out=np.full(part.shape, np.nan), where=total > 0)


DRAWN = 10_000_000
"""Numbers drawn at a time for resamples, so that memory does not grow with the images."""


def bootstrap_miou(
    overlaps: NDArray[np.float64], *, resamples: int, confidence: float, seed: int
) -> tuple[float, float]:
    """Return a percentile-bootstrap confidence interval of the mIoU over images.

    Args:
        overlaps: (2, images, classes), from :func:`overlap` for each image.
        resamples: number of resamples of all images, with replacement.
        confidence: confidence level, 0..1.
        seed: random seed.
    """
    images = overlaps.shape[1]
    rng, chances = np.random.default_rng(seed), np.full(images, 1 / images)
    at_once, values = max(1, DRAWN // images), []
    for first in range(0, resamples, at_once):
        size = min(at_once, resamples - first)
        counts = rng.multinomial(images, chances, size=size).astype(np.float64)
        values.append(_mean(_ratio(*(counts @ overlaps))))
    tail = (1 - confidence) / 2
    low, high = np.nanquantile(np.concatenate(values), [tail, 1 - tail])
    return float(low), float(high)
