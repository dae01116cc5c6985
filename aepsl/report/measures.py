"""What is worth knowing about one image: its IoU, its errors, and where the stages disagree."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from aepsl.evaluation.confusion import Counts, intersection_over_union, mean_iou
from aepsl.masks import IGNORE_INDEX

Mask = NDArray[np.uint8]

FOUND = 0.1
"""Fraction of a class's true pixels; with fewer hits, the class counts as missed."""
MADE_UP = 0.01
"""Fraction of the image; a class that is not there and covers less does not count as false."""
HALF = 0.5
"""IoU below which a found class has a wrong extent; ignored fraction that counts as most."""

Cause = tuple[str, int]
"""Cause of an error, and the class that it concerns (1 is the first object class)."""


def causes_by_truth(matrix: Counts) -> Iterator[Cause]:
    """Yield what is wrong with the objects of a mask.

    - ``missed``: less than a tenth of a true class's pixels are found;
    - ``false``: a class that is not in the image covers more than a hundredth of it;
    - ``small``, ``large``: the class is found, but its IoU is below one half, because more of its
      pixels are missing than added, or the reverse.

    Args:
        matrix: (classes, classes + 1), from :func:`aepsl.evaluation.confusion.confusion_matrix`.
    """
    true, predicted = matrix.sum(axis=1), matrix[:, :-1].sum(axis=0)
    hits, overlap = np.diagonal(matrix), intersection_over_union(matrix)
    for number in range(1, len(matrix)):
        if not true[number]:
            if predicted[number] > MADE_UP * matrix.sum():
                yield "false", number
        elif hits[number] < FOUND * true[number]:
            yield "missed", number
        elif overlap[number] < HALF:
            yield "small" if predicted[number] < true[number] else "large", number


def causes_by_labels(mask: Mask, labels: Collection[int]) -> Iterator[Cause]:
    """Yield what is wrong with a mask according to the image labels, where there is no true mask.

    ``missed`` is a class of the image without a pixel; ``false`` is another class that covers more
    than a hundredth of the image.

    Args:
        mask: (height, width), 0 background, 1 + class, 255 ignored.
        labels: the values in the mask of the classes that the image shows.
    """
    counts = np.bincount(mask.ravel(), minlength=IGNORE_INDEX + 1)
    for number in range(1, IGNORE_INDEX):
        if number in labels and not counts[number]:
            yield "missed", number
        elif number not in labels and counts[number] > MADE_UP * mask.size:
            yield "false", number


def kinds_of_errors(truth: Mask, mask: Mask) -> Mask:
    """Return 1 where an object is missed, 2 where one is made up, 3 where two are confused, else 0.

    An ignored pixel of an object is missed; pixels that the truth ignores are no error.
    """
    object_there = (truth != 0) & (truth != IGNORE_INDEX)
    object_claimed = (mask != 0) & (mask != IGNORE_INDEX)
    kinds = np.zeros(truth.shape, np.uint8)
    kinds[object_there & ~object_claimed] = 1
    kinds[(truth == 0) & object_claimed] = 2
    kinds[object_there & object_claimed & (mask != truth)] = 3
    return kinds


def ignored_fraction(mask: Mask) -> float:
    """Return the fraction of a mask's pixels that are ignored."""
    return float((mask == IGNORE_INDEX).mean())


def disagreement(first: Mask, second: Mask) -> float | None:
    """Return the fraction of different pixels, of those that both masks label; None without any."""
    both = (first != IGNORE_INDEX) & (second != IGNORE_INDEX)
    return float((first != second)[both].mean()) if both.any() else None


def confidence(log_scores: NDArray[np.floating]) -> float:
    """Return the mean over the cells of the largest class probability, 0..1.

    Args:
        log_scores: (classes, cells, cells), log-probabilities.
    """
    return float(np.exp(log_scores.astype(np.float32).max(axis=0)).mean())


def iou_by_class(matrix: Counts) -> dict[str, Any]:
    """Return the mean IoU of one image, and the IoU of each class in the image or its mask.

    >>> iou_by_class(np.array([[3, 1, 0], [0, 4, 0]]))
    {'iou': 0.775, 'by_class': [[0, 0.75], [1, 0.8]]}
    """
    values = intersection_over_union(matrix)
    present = [[k, rounded(float(v))] for k, v in enumerate(values) if np.isfinite(v)]
    return {"iou": rounded(float(mean_iou(matrix))), "by_class": present}


def rounded(value: float | None) -> float | None:
    """Return a value with the four digits that the page needs; None for NaN."""
    return None if value is None or np.isnan(value) else round(value, 4)
