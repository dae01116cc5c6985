"""Mine regions from class activation maps, and erase the regions from images."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from aepsl.mining.rules import ERASE_RULES

Map = NDArray[np.floating]
Mask = NDArray[np.bool_]


def mine_region(heatmap: Map, *, rule: str, delta: float) -> tuple[Mask, float]:
    """Return ``R``, the pixels of one class's map that are larger than a threshold (Algorithm 1).

    A pixel with value 0 is never mined.

    Args:
        heatmap: (height, width), the rectified activation map of one class.
        rule: a key of ``ERASE_RULES``: how ``delta`` becomes a threshold.
        delta: the paper's delta: a fraction of the maximum, a fraction of the pixels, or a score,
            depending on the rule.

    Returns:
        The (height, width) region, and the threshold used.
    """
    threshold = ERASE_RULES[rule].threshold(heatmap, delta=delta)
    return (heatmap > threshold) & (heatmap > 0), threshold


def mined_fraction(heatmaps: Sequence[Map], *, rule: str, delta: float) -> float:
    """Return the mean fraction of a map's cells that the rule mines with ``delta``."""
    fractions = [mine_region(heatmap, rule=rule, delta=delta)[0].mean() for heatmap in heatmaps]
    return float(np.mean(fractions)) if fractions else 0.0


def delta_for_area(heatmaps: Sequence[Map], *, rule: str, area: float) -> float:
    """Return the delta with which ``rule`` mines the fraction ``area`` of the cells on average.

    This makes rules comparable whose deltas have different meanings. The function bisects, to 1e-4
    of the range from 0 to the rule's limit, or to the largest value of the maps if the rule has no
    limit. It returns the loosest delta if even that mines less.

    Args:
        heatmaps: (height, width) maps, one per image and present class.
        rule: a key of ``ERASE_RULES``.
        area: target fraction, 0..1.
    """
    reading = ERASE_RULES[rule]
    largest = max((float(heatmap.max(initial=0.0)) for heatmap in heatmaps), default=0.0)
    low, high = 0.0, largest if reading.limit is None else reading.limit
    for _ in range(14):
        middle = (low + high) / 2
        too_much = mined_fraction(heatmaps, rule=rule, delta=middle) > area
        low, high = (low, middle) if too_much == reading.larger_mines_more else (middle, high)
    return (low + high) / 2


def union_of_regions(earlier: Mask, mined: Mask) -> Mask:
    """Return ``F_i = F_i union F_{i,t}``, class by class, of two (classes, height, width) masks."""
    return earlier | mined


def erase(
    image: NDArray[np.uint8], erased: Mask, *, fill: tuple[int, int, int]
) -> NDArray[np.uint8]:
    """Return a copy of the (height, width, 3) image with ``fill`` painted where ``erased``.

    The paper fills with the mean pixel of the training images. The input is not modified.
    """
    painted = image.copy()
    painted[erased] = fill
    return painted
