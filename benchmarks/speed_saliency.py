"""Saliency by robust background detection, 375 x 500 px, from pixels to a map of their size.

The plain way has the same sections of the paper, but analyses the photograph in its full size and
calls scikit-image's `slic` and `rgb2lab` once per level, with `np.unique` for the pairs of
neighbours. Two processes share the photographs; their start is not counted.
"""

import multiprocessing
from concurrent.futures import ProcessPoolExecutor
from functools import partial

import numpy as np
from scipy.spatial.distance import cdist
from skimage.color import rgb2lab
from skimage.segmentation import slic
from speed_inputs import dataset
from speed_tools import Bench, Row, Table, Way, compare

from aepsl.data.photographs import photograph
from aepsl.saliency.robust_background import (
    COMPACTNESS,
    SIGMA_BNDCON,
    background_weighted_contrast,
    boundary_connectivity,
    optimise,
    robust_background_saliency,
)

IMAGES = 12


def _pairs(labels):
    """Return the pairs of neighbours, each once."""
    sides = ((labels[:, :-1], labels[:, 1:]), (labels[:-1], labels[1:]))
    sides += ((labels[:-1, :-1], labels[1:, 1:]), (labels[:-1, 1:], labels[1:, :-1]))
    pairs = np.concatenate([np.stack([a.ravel(), b.ravel()], axis=1) for a, b in sides])
    return np.unique(np.sort(pairs[pairs[:, 0] != pairs[:, 1]], axis=1), axis=0)


def _plain_level(image, count):
    labels = slic(image, n_segments=count, compactness=COMPACTNESS, sigma=1, start_label=0)
    lab, labels = rgb2lab(image), np.unique(labels, return_inverse=True)[1].reshape(labels.shape)
    flat = labels.ravel()
    grid = np.indices(labels.shape).reshape(2, -1) / (max(labels.shape) - 1)
    channels = (*np.moveaxis(lab, -1, 0), *grid)
    mean = [np.bincount(flat, weights=one.ravel()) / np.bincount(flat) for one in channels]
    colours, places = np.stack(mean[:3], axis=1), np.stack(mean[3:], axis=1)
    edge = np.concatenate([labels[0], labels[-1], labels[:, 0], labels[:, -1]])
    on_border, pairs = np.isin(np.arange(len(colours)), edge), _pairs(labels)
    distance = cdist(colours, colours)
    connectivity = boundary_connectivity(distance, on_border, pairs)
    background = 1 - np.exp(-(connectivity**2) / (2 * SIGMA_BNDCON**2))
    contrast = background_weighted_contrast(distance, places, background)
    values = optimise(contrast, background, distance, pairs, on_border)
    return ((values - values.min()) / (np.ptp(values) or 1))[labels]


def plain_saliency(image):
    """Return the saliency of a photograph, analysed in its full size."""
    mean = np.mean([_plain_level(image, count) for count in (100, 200, 400)], axis=0)
    return (mean - mean.min()) / (np.ptp(mean) or 1)


def _each(function, images):
    for image in images:
        function(image)


def _in_pool(pool, function, images):
    list(pool.map(function, images))


def pool_of_two():
    """Return two processes that have started."""
    pool = ProcessPoolExecutor(2, mp_context=multiprocessing.get_context("forkserver"))
    list(pool.map(abs, range(8)))
    return pool


def _agreement(images) -> Table:
    """Return how far the maps of both ways are apart."""
    table = Table("Difference of the maps", "0..1", statistic="mean")
    pairs = [(robust_background_saliency(image), plain_saliency(image)) for image in images]
    distance = [float(np.abs(ours - plain).mean()) for ours, plain in pairs]
    alike = [float(np.corrcoef(ours.ravel(), plain.ravel())[0, 1]) for ours, plain in pairs]
    table.rows.append(Row("mean absolute difference", float(np.mean(distance))))
    table.rows.append(Row("correlation", float(np.mean(alike))))
    return table


def measure(bench: Bench):
    """Yield the speeds and the differences."""
    made = dataset(bench, bench.count(IMAGES))
    images = [photograph(image, root=made.root) for image in made.images().images]
    with pool_of_two() as pool:
        ways = [
            Way("ours", partial(_each, robust_background_saliency, images)),
            Way("plain", partial(_each, plain_saliency, images)),
            Way("ours, 2 processes", partial(_in_pool, pool, robust_background_saliency, images)),
            Way("plain, 2 processes", partial(_in_pool, pool, plain_saliency, images)),
        ]
        yield compare("Saliency", ways, bench=bench, work=len(images), against="ours")
    yield _agreement(images)
