"""Pseudo-labels from class maps and saliency together, in the place of mined regions.

The paper thresholds class maps and saliency each alone, and ignores a pixel where they contradict
each other or neither claims it. Here their scores are added before anything is decided.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def weights_of_saliency(maps: NDArray[np.floating]) -> NDArray[np.float32]:
    """Return the weight of saliency beside each class: ``(1 - area of its map) / classes``.

    A small map is coarser than its object, and saliency sees the whole of it. Of an object that
    fills the photograph, saliency sees a part. It tells no classes apart: with n of them, each has
    an n-th of its weight.

    Args:
        maps: (present, height, width), 0..1; the area of a map is its mean.

    Returns:
        (present,) weights, 0..1.
    """
    return ((1 - maps.mean(axis=(1, 2))) / len(maps)).astype(np.float32)


def blended_probabilities(
    maps: NDArray[np.floating],
    saliency: NDArray[np.floating] | None,
    *,
    saliency_weight: float | None,
    background_score: float,
    class_peak: float,
    sharpness: float,
) -> NDArray[np.float32]:
    """Return the probability of each present class, and of the background, at each pixel.

    The score of a class is the weighted mean of its map and of saliency; that of the background is
    the same everywhere. The probabilities are the softmax of ``sharpness`` times the scores.

    A present class is somewhere in the image, even where saliency disagrees: if its highest score
    is below ``class_peak``, its scores are scaled to that maximum.

    Args:
        maps: (present, height, width), 0..1, the map of each present class, scaled to a maximum
            of 1.
        saliency: (height, width), 0..1; None leaves the maps alone.
        saliency_weight: weight of saliency in the mean, 0..1; None: :func:`weights_of_saliency`.
        background_score: score of the background, 0..1.
        class_peak: least maximum of a class's scores, 0..1; 0 leaves them as they are.
        sharpness: at least 0; 0 makes all classes equally probable.

    Returns:
        (1 + present, height, width), background first; 1 where only the background is possible.
    """
    scores = np.full((1 + len(maps), *maps.shape[1:]), background_score, np.float32)
    scores[1:] = maps
    if saliency is not None:
        weights = weights_of_saliency(maps) if saliency_weight is None else saliency_weight
        scores[1:] += np.float32(weights).reshape(-1, 1, 1) * (saliency - scores[1:])
    peaks = scores[1:].max(axis=(1, 2), initial=0.0, keepdims=True)
    scores[1:] *= np.maximum(1, class_peak / np.where(peaks > 0, peaks, np.inf))
    odds = np.exp(sharpness * (scores - scores.max(axis=0)))
    return odds / odds.sum(axis=0)
