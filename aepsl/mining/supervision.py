"""Saliency as supervision of the class maps: explicit pseudo-pixel supervision (EPS, Lee et al.,
CVPR 2021).

A saliency map knows outlines, but not classes, and labels know classes, but not outlines. The maps
of the classes and of the background, together one map of what is salient, are trained to agree with
the saliency map.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from aepsl.grid import Grid
from aepsl.masks import IGNORE_INDEX
from aepsl.networks.grids import means

FULL_SALIENCY = 254
"""Saliency 1 as an integer; 255 is unknown."""

DECIDED = 0.5
"""Probability, or saliency, from which a cell belongs to a class, or to the foreground [EPS]."""


class CellSaliency(NamedTuple):
    """Saliency on the cells of a network."""

    saliency: Tensor
    """(n, h, w), 0..1; the mean of the known pixels around a cell."""
    known: Tensor
    """(n, h, w), 0..1; the fraction of these pixels that is known."""


def on_cells(saliency: Tensor, *, grid: Grid) -> CellSaliency:
    """Average saliency over the pixels around each cell.

    Args:
        saliency: (n, height, width), 0..254; 255 is unknown.
        grid: of the network.
    """
    known = (saliency != IGNORE_INDEX).float()[:, None]
    pixels = torch.cat([saliency[:, None] / FULL_SALIENCY * known, known], dim=1)
    summed, share = means(pixels, grid=grid).unbind(dim=1)
    return CellSaliency(summed / share.clamp(min=1e-6), share)


def estimated_saliency(
    cells: Tensor, labels: Tensor, saliency: Tensor, *, overlap: float
) -> Tensor:
    """Return the saliency that the maps of the classes and of the background compose.

    It is the mean of two estimates: the probability of the classes that are foreground, and one
    minus that of the background and of the other present classes. The region of a class is the
    cells where its probability is above one half. A present class is foreground if more than the
    fraction ``overlap`` of its region is salient; a class without a region is not.

    Args:
        cells: (n, 1 + classes, h, w) scores, background first.
        labels: (n, classes), 1 where the class is present, else 0.
        saliency: (n, h, w), 0..1.
        overlap: fraction, 0..1.

    Returns:
        (n, h, w), 0..1.
    """
    probabilities = cells.softmax(dim=1)
    region = (probabilities[:, 1:].detach() > DECIDED).float()
    salient = (saliency > DECIDED).float()[:, None]
    inside = (region * salient).sum(dim=(2, 3)) / region.sum(dim=(2, 3)).clamp(min=1)
    foreground = labels * (inside > overlap)
    objects = torch.einsum("nchw,nc->nhw", probabilities[:, 1:], foreground)
    rest = torch.einsum("nchw,nc->nhw", probabilities[:, 1:], labels - foreground)
    return (objects + 1 - probabilities[:, 0] - rest) / 2


def saliency_loss(
    cells: Tensor, labels: Tensor, saliency: Tensor, *, grid: Grid, overlap: float
) -> Tensor:
    """Return the mean squared difference between the composed and the given saliency.

    Args:
        cells: (n, 1 + classes, h, w) scores, background first.
        labels: (n, classes), 1 where the class is present, else 0.
        saliency: (n, height, width), 0..254; 255 is unknown, and not compared.
        grid: of the network.
        overlap: see :func:`estimated_saliency`.

    Returns:
        A scalar, 0..1, the mean over the cells of the batch, each weighted by its fraction of known
        pixels.
    """
    given, known = on_cells(saliency, grid=grid)
    composed = estimated_saliency(cells, labels, given, overlap=overlap)
    return (known * (composed - given).square()).sum() / known.sum().clamp(min=1)
