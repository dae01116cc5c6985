"""Refinement of masks: a fully connected CRF (Kraehenbuehl & Koltun 2011), or locally."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class CrfOptions:
    """Iterations of the fully connected CRF; weights and standard deviations of its kernels."""

    iterations: int
    bilateral_weight: float
    bilateral_xy: float
    bilateral_rgb: float
    gaussian_weight: float
    gaussian_xy: float


@dataclass(frozen=True)
class LocalOptions:
    """Options of :func:`aepsl.segmentation.local.refine_locally`."""

    iterations: int


RefineOptions = CrfOptions | LocalOptions


def refine_options(*, method: str, iterations: int, **kernels: float) -> RefineOptions:
    """Return the options of a method, ``dense`` or ``local``; only ``dense`` has kernels."""
    if method == "local":
        return LocalOptions(iterations)
    return CrfOptions(iterations, **kernels)


def refine(
    image: NDArray[np.uint8],
    probabilities: NDArray[np.float32],
    *,
    threshold: float,
    options: RefineOptions,
) -> NDArray[np.uint8]:
    """Refine class probabilities and return the mask.

    The result has the classes that reach ``threshold`` at some pixel, since the cost grows with
    their number. The same threshold decides which classes a mask may contain unrefined.

    Args:
        image: (height, width, 3) RGB, the original photograph; never mean-subtracted.
        probabilities: (1 + classes, height, width), background first.
        threshold: p, 0..1.
        options: iterations and kernels.

    Returns:
        (height, width) classes.
    """
    peaks = probabilities.reshape(len(probabilities), -1).max(axis=1)
    present = np.flatnonzero(peaks >= threshold)
    if len(present) < 2:
        return np.full(image.shape[:2], present[0] if len(present) else 0, np.uint8)
    if isinstance(options, LocalOptions):
        refined = _locally(image, probabilities[present], options)
    else:
        refined = _densely(image, probabilities[present], options)
    return present[refined.argmax(axis=0)].astype(np.uint8)


def _densely(
    image: NDArray[np.uint8], probabilities: NDArray[np.float32], options: CrfOptions
) -> NDArray[np.float32]:
    """Return the marginals of the CRF, of the shape of ``probabilities``."""
    from pydensecrf.densecrf import DenseCRF2D

    classes, height, width = probabilities.shape
    crf = DenseCRF2D(width, height, classes)
    unary = -np.log(probabilities.clip(1e-5, 1)).reshape(classes, -1)
    crf.setUnaryEnergy(np.ascontiguousarray(unary, dtype=np.float32))
    crf.addPairwiseGaussian(sxy=options.gaussian_xy, compat=options.gaussian_weight)
    crf.addPairwiseBilateral(
        sxy=options.bilateral_xy,
        srgb=options.bilateral_rgb,
        rgbim=np.array(image, order="C"),  # a copy: the library needs it writable
        compat=options.bilateral_weight,
    )
    return np.array(crf.inference(options.iterations)).reshape(classes, height, width)


def _locally(
    image: NDArray[np.uint8], probabilities: NDArray[np.float32], options: LocalOptions
) -> NDArray[np.float32]:
    """Return locally averaged probabilities, of the shape of ``probabilities``."""
    import torch

    from aepsl.segmentation.local import refine_locally

    pixels = torch.from_numpy(image.copy()).permute(2, 0, 1)[None].float()
    start = torch.from_numpy(probabilities)[None]
    return refine_locally(pixels, start, iterations=options.iterations)[0].numpy()
