"""Random generators that depend on (seed, epoch, image) only, never on the order of calls."""

from __future__ import annotations

import zlib

import numpy as np


def generator(seed: int, *key: int | str) -> np.random.Generator:
    """Return a generator seeded by ``seed`` and ``key``, independent of earlier calls."""
    words = [zlib.crc32(part.encode()) if isinstance(part, str) else part for part in key]
    return np.random.default_rng([seed, *words])


def shuffled_batches(count: int, *, batch_size: int, seed: int, epoch: int) -> list[list[int]]:
    """Return the batches of one epoch over ``count`` images; the order depends on (seed, epoch).

    Each image occurs once. If the last batch has a single image, or fewer than half of
    ``batch_size``, it is merged into the batch before it: batch normalisation needs two images, and
    the gradient of a very small batch is noisy.
    """
    order = generator(seed, epoch, "order").permutation(count).tolist()
    batches = [order[start : start + batch_size] for start in range(0, count, batch_size)]
    if len(batches) > 1 and (len(batches[-1]) * 2 < batch_size or len(batches[-1]) == 1):
        last = batches.pop()
        batches[-1] += last
    return batches
