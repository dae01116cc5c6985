"""The fully connected CRF, 375 x 500 px, 21 classes, with DeepLab's kernels.

The plain way gives pydensecrf the probabilities of all classes; ours those of the classes that
reach the threshold p = 0.1 somewhere. The probabilities are true masks on cells of 8 px, blurred
and mixed with noise, as those of a network. Two processes share the photographs; their start is not
counted. Method local needs no pydensecrf and gives other masks.
"""

from functools import partial
from typing import NamedTuple

import cv2
import numpy as np
from scipy.special import softmax
from speed_inputs import dataset
from speed_saliency import pool_of_two
from speed_tools import Bench, Row, Table, Way, compare

from aepsl.config.segmentation import Crf
from aepsl.data.photographs import photograph
from aepsl.grid import Grid, resample
from aepsl.host import has_crf
from aepsl.masks import IGNORE_INDEX
from aepsl.segmentation.crf import LocalOptions, RefineOptions, refine, refine_options
from aepsl.stages._truth import true_mask

IMAGES, CLASSES, STRIDE, THRESHOLD = 8, 21, 8, 0.1


class Case(NamedTuple):
    """A photograph and the (21, height, width) probabilities of its classes."""

    image: np.ndarray
    probabilities: np.ndarray


def _probabilities(mask, rng):
    cells = np.where(mask == IGNORE_INDEX, 0, mask)[::STRIDE, ::STRIDE]
    scores = np.stack([(cells == k).astype(np.float32) for k in range(CLASSES)])
    scores = np.stack([cv2.GaussianBlur(score, (0, 0), 1.5) for score in scores])
    scores = 9 * scores + rng.normal(0, 0.3, scores.shape).astype(np.float32)
    height, width = mask.shape
    return softmax(resample(scores, (height, width), source=Grid(STRIDE)), axis=0)


def _cases(made):
    rng, truth, found = np.random.default_rng(0), made.masks(), []
    masks = {entry.id: entry for entry in truth.masks}
    for image in made.images().images:
        mask = true_mask(masks[image.id], truth, root=made.root)
        found.append(Case(photograph(image, root=made.root), _probabilities(mask, rng)))
    return found


def plain(case: Case, options: RefineOptions):
    """Return the mask that pydensecrf gives with all classes."""
    from pydensecrf.densecrf import DenseCRF2D  # noqa: PLC0415
    from pydensecrf.utils import unary_from_softmax  # noqa: PLC0415

    classes, height, width = case.probabilities.shape
    crf = DenseCRF2D(width, height, classes)
    crf.setUnaryEnergy(np.ascontiguousarray(unary_from_softmax(case.probabilities)))
    crf.addPairwiseGaussian(sxy=options.gaussian_xy, compat=options.gaussian_weight)
    crf.addPairwiseBilateral(
        sxy=options.bilateral_xy,
        srgb=options.bilateral_rgb,
        rgbim=np.ascontiguousarray(case.image).copy(),
        compat=options.bilateral_weight,
    )
    marginals = np.array(crf.inference(options.iterations))
    return marginals.argmax(axis=0).reshape(height, width).astype(np.uint8)


def ours(case: Case, options: RefineOptions):
    """Return the mask that the project gives."""
    return refine(case.image, case.probabilities, threshold=THRESHOLD, options=options)


def _each(function, cases):
    for case in cases:
        function(case)


def _in_pool(pool, function, cases):
    list(pool.map(function, cases))


def _agreement(cases, by_iterations) -> Table:
    table = Table("Pixels with the mask of the plain way, 10 iterations", "%", statistic="mean")
    reference = [plain(case, by_iterations[10]) for case in cases]
    for name, function in (("ours", ours), ("plain", plain)):
        for iterations, options in by_iterations.items():
            pairs = zip(cases, reference, strict=True)
            equal = [np.mean(function(case, options) == mask) for case, mask in pairs]
            title = f"{name}, {iterations} iterations"
            table.rows.append(Row(title, 100 * float(np.mean(equal))))
    return table


def measure(bench: Bench):
    """Yield the speeds and the shares of equal pixels."""
    if not has_crf():
        yield Table("CRF", "images/s", rows=[Row("pydensecrf", note="not installed")])
        return
    cases = _cases(dataset(bench, bench.count(IMAGES)))
    kernels = {**Crf().kernels()}
    by_iterations = {n: refine_options(**{**kernels, "iterations": n}) for n in (10, 5)}
    with pool_of_two() as pool:
        ways = [
            Way(
                f"{name}, {n} iterations", partial(_each, partial(function, options=options), cases)
            )
            for n, options in by_iterations.items()
            for name, function in (("ours", ours), ("plain", plain))
        ]
        for name, function in (("ours", ours), ("plain", plain)):
            work = partial(function, options=by_iterations[10])
            title = f"{name}, 10 iterations, 2 processes"
            ways.append(Way(title, partial(_in_pool, pool, work, cases)))
        local = partial(ours, options=LocalOptions(10))
        ways.append(Way("method local, 10 iterations", partial(_each, local, cases)))
        against = "ours, 10 iterations"
        yield compare("CRF", ways, bench=bench, work=len(cases), against=against)
    yield _agreement(cases, by_iterations)
