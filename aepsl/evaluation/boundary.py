"""Boundary F measure (Csurka et al., BMVC 2013)."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from aepsl.masks import IGNORE_INDEX

CROSS = np.array([[0, 1, 0], [1, 1, 1], [0, 1, 0]], np.uint8)


def fill_void(truth: NDArray[np.uint8], *, reach: float) -> NDArray[np.uint8]:
    """Return the mask with void bands (255) filled by the class of the nearest labelled pixel.

    VOC marks object boundaries with a void band; after filling, the boundary runs along the middle
    of the band. Wider void areas, such as objects of unused classes, stay void.

    Args:
        truth: (height, width); 255 is void.
        reach: half the width of the widest band, in pixels.
    """
    void = truth == IGNORE_INDEX
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
    return np.where(wide, IGNORE_INDEX, classes[nearest]).astype(np.uint8)


def boundary_pixels(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Return the boundary pixels of a mask: those with a 4-neighbour outside it.

    The image border does not count as boundary.
    """
    return mask & ~cv2.erode(mask.astype(np.uint8), CROSS).astype(bool)


def _matched_fraction(
    boundary: NDArray[np.bool_], other_boundary: NDArray[np.bool_], tolerance: float
) -> float:
    """Return the fraction of ``lines`` within ``tolerance`` of ``others``, 0 if one is empty."""
    if not boundary.any() or not other_boundary.any():
        return 0.0
    away = cv2.distanceTransform(
        (~other_boundary).astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_PRECISE
    )
    return float((away[boundary] <= tolerance).mean())


def boundary_f(
    truth: NDArray[np.uint8], prediction: NDArray[np.uint8], *, classes: int, tolerance: float
) -> NDArray[np.float64]:
    """Return the boundary F measure of each class in one image.

    Args:
        truth: the true mask, (height, width), 0..classes-1; 255 is void, see :func:`fill_void`.
        prediction: the predicted mask, (height, width), 0..classes-1; 255 is ignored.
        classes: number of classes, background included.
        tolerance: largest distance of matching boundary pixels, as a fraction of the image
            diagonal (0.0075).

    Returns:
        (classes,), 0..1; NaN for a class without a boundary in both masks.
    """
    reach = tolerance * float(np.hypot(*truth.shape))
    filled = fill_void(truth, reach=reach)
    unknown = filled == IGNORE_INDEX
    values = np.full(classes, np.nan)
    for number in np.union1d(filled, prediction):
        if number == IGNORE_INDEX:
            continue
        # Boundaries with void areas, and pixels inside them, are not scored.
        true_boundary = boundary_pixels((filled == number) | unknown) & ~unknown
        boundary = boundary_pixels((prediction == number) | unknown) & ~unknown
        if true_boundary.any() or boundary.any():
            precision, recall = (
                _matched_fraction(boundary, true_boundary, reach),
                _matched_fraction(true_boundary, boundary, reach),
            )
            both = precision + recall
            values[number] = 2 * precision * recall / both if both else 0.0
    return values
