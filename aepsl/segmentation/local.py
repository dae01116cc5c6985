"""Local refinement of masks: pixel-adaptive averaging in plain torch.

The idea is that of PAMR (Araslanov & Roth, CVPR 2020): each pixel takes the mean of its neighbours'
probabilities, weighted by how similar their colours are; several times.
"""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor
from torch.nn import functional

DILATIONS = (1, 2, 4, 8, 12, 24)
"""Distances of the eight neighbours, px (PAMR)."""
TEMPERATURE = 0.1
"""Colour difference that matters, in standard deviations of the neighbours (recalled of PAMR)."""


def _neighbours(values: Tensor) -> Iterator[Tensor]:
    """Yield (n, c, h, w) values shifted to each neighbour; the border is repeated."""
    height, width = values.shape[2:]
    for step in DILATIONS:
        padded = functional.pad(values, (step,) * 4, mode="replicate")
        for y in (0, step, 2 * step):
            for x in (0, step, 2 * step):
                if (y, x) != (step, step):
                    yield padded[:, :, y : y + height, x : x + width]


def affinities(images: Tensor) -> Tensor:
    """Return the (n, neighbours, h, w) weights of each pixel's neighbours; they sum to 1.

    Args:
        images: (n, 3, h, w) RGB, 0..255.
    """
    count = 8 * len(DILATIONS)
    total, squares = torch.zeros_like(images), torch.zeros_like(images)
    for shifted in _neighbours(images):
        total += shifted
        squares += shifted**2
    deviation = (squares / count - (total / count) ** 2).clamp(min=0).sqrt()
    scale = 1 / (TEMPERATURE * deviation + 1e-3)
    similar = [-((images - shifted).abs() * scale).mean(dim=1) for shifted in _neighbours(images)]
    return torch.stack(similar, dim=1).softmax(dim=1)


def refine_locally(images: Tensor, probabilities: Tensor, *, iterations: int) -> Tensor:
    """Return class probabilities averaged over neighbours of similar colour.

    Args:
        images: (n, 3, h, w) RGB, 0..255.
        probabilities: (n, classes, h, w), 0..1.
        iterations: how often (PAMR: 10).

    Returns:
        (n, classes, h, w), 0..1, with the sums of ``probabilities``.
    """
    weights = affinities(images)
    for _ in range(iterations):
        mixed = torch.zeros_like(probabilities)
        for number, shifted in enumerate(_neighbours(probabilities)):
            mixed += weights[:, number : number + 1] * shifted
        probabilities = mixed
    return probabilities
