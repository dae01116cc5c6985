"""Boundary F: how well outlines are met (Csurka et al., BMVC 2013)."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from aepsl.masks import IGNORED

CROSS = np.array([[0, 1, 0], [1, 1, 1], [0, 1, 0]], np.uint8)


def fill_void(truth: NDArray[np.uint8], *, reach: float) -> NDArray[np.uint8]:
    """Return the mask with bands of void (255) given the class of the nearest other pixel.

    VOC leaves a band of void along outlines; the outline then runs along its middle. Wider void
    areas, whole objects of no class, stay void.

    Args:
        truth: (height, width); 255 is void.
        reach: half the width of the widest band, in pixels.
    """
    void = truth == IGNORED
    if not void.any() or void.all():
        return truth
    away, nearest = cv2.distanceTransformWithLabels(
        void.astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_5, labelType=cv2.DIST_LABEL_PIXEL
    )
    classes = np.zeros(int(nearest.max()) + 1, np.uint8)
    classes[nearest[~void]] = truth[~void]
    deep = away > reach
    if not deep.any():
        return classes[nearest]
    from_deep = cv2.distanceTransform((~deep).astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_5)
    wide = void & (from_deep <= reach + 1)
    return np.where(wide, IGNORED, classes[nearest]).astype(np.uint8)


def outline(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Return the pixels of a mask with one of their four neighbours outside it.

    The border of the image is no outline.
    """
    return mask & ~cv2.erode(mask.astype(np.uint8), CROSS).astype(bool)


def _met(lines: NDArray[np.bool_], others: NDArray[np.bool_], tolerance: float) -> float:
    """Return the share of the pixels of ``lines`` within ``tolerance`` of ``others``."""
    if not lines.any() or not others.any():
        return 0.0
    away = cv2.distanceTransform((~others).astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
    return float((away[lines] <= tolerance).mean())


def boundary_f(
    truth: NDArray[np.uint8], answer: NDArray[np.uint8], *, classes: int, tolerance: float
) -> NDArray[np.float64]:
    """Return the F measure of each class's outlines in one image.

    Args:
        truth: (height, width), 0..classes-1; 255 is void, see :func:`fill_void`.
        answer: (height, width), 0..classes-1; 255 means "no answer".
        classes: how many classes, background included.
        tolerance: how far off an outline may lie, as a share of the image's diagonal (0.0075).

    Returns:
        (classes,), 0..1; NaN for a class that has no outline in truth nor answer.
    """
    reach = tolerance * float(np.hypot(*truth.shape))
    filled = fill_void(truth, reach=reach)
    unknown = filled == IGNORED
    values = np.full(classes, np.nan)
    for number in np.union1d(filled, answer):
        if number == IGNORED:
            continue
        # What borders on the unknown is no outline, and nothing inside it is judged.
        true_lines = outline((filled == number) | unknown) & ~unknown
        lines = outline((answer == number) | unknown) & ~unknown
        if true_lines.any() or lines.any():
            precision, recall = _met(lines, true_lines, reach), _met(true_lines, lines, reach)
            both = precision + recall
            values[number] = 2 * precision * recall / both if both else 0.0
    return values
