"""Fully connected CRF (Kraehenbuehl & Koltun 2011) with DeepLab's two kernels."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class CrfOptions:
    """Weights and standard deviations of the kernels."""

    iterations: int
    bilateral_weight: float
    bilateral_xy: float
    bilateral_rgb: float
    gaussian_weight: float
    gaussian_xy: float


def refine(
    image: NDArray[np.uint8],
    probabilities: NDArray[np.float32],
    *,
    threshold: float,
    options: CrfOptions,
) -> NDArray[np.uint8]:
    """Refine class probabilities with the CRF and return the mask.

    The CRF decides among the classes that reach ``threshold`` at some pixel, since its cost grows
    with their number. The same threshold decides which classes a mask may contain without a CRF.

    Args:
        image: (height, width, 3) RGB, the original photograph; never mean-subtracted.
        probabilities: (1 + classes, height, width), background first.
        threshold: p, 0..1.
        options: iterations and kernels.

    Returns:
        (height, width) classes.
    """
    from pydensecrf.densecrf import DenseCRF2D

    peaks = probabilities.reshape(len(probabilities), -1).max(axis=1)
    present = np.flatnonzero(peaks >= threshold)
    height, width = image.shape[:2]
    if len(present) < 2:
        return np.full((height, width), present[0] if len(present) else 0, np.uint8)
    crf = DenseCRF2D(width, height, len(present))
    unary = -np.log(probabilities[present].clip(1e-5, 1)).reshape(len(present), -1)
    crf.setUnaryEnergy(np.ascontiguousarray(unary, dtype=np.float32))
    crf.addPairwiseGaussian(sxy=options.gaussian_xy, compat=options.gaussian_weight)
    crf.addPairwiseBilateral(
        sxy=options.bilateral_xy,
        srgb=options.bilateral_rgb,
        rgbim=np.array(image, order="C"),  # a copy: the library needs it writable
        compat=options.bilateral_weight,
    )
    marginals = np.array(crf.inference(options.iterations)).reshape(len(present), height, width)
    return present[marginals.argmax(axis=0)].astype(np.uint8)
