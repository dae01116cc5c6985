"""Randomness from (seed, epoch, image), never from the order of calls."""

from __future__ import annotations

import zlib

import numpy as np


def generator(seed: int, *key: int | str) -> np.random.Generator:
    """Return the random generator that belongs to ``seed`` and ``key``, whoever asks and when."""
    words = [zlib.crc32(part.encode()) if isinstance(part, str) else part for part in key]
    return np.random.default_rng([seed, *words])


def shuffled_batches(count: int, *, batch_size: int, seed: int, epoch: int) -> list[list[int]]:
    """Return the batches of one epoch over ``count`` images, in an order of (seed, epoch) only.

    Each image comes once. A last batch smaller than half a batch, or of one image, joins the one
    before: no step is taken on a handful, and normalisation needs two.
    """
    order = generator(seed, epoch, "order").permutation(count).tolist()
    batches = [order[start : start + batch_size] for start in range(0, count, batch_size)]
    if len(batches) > 1 and (len(batches[-1]) * 2 < batch_size or len(batches[-1]) == 1):
        last = batches.pop()
        batches[-1] += last
    return batches
