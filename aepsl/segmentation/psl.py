"""Online prohibitive segmentation learning: section 3.2 of the paper, equation by equation.

A segmentation network predicts f, the probability of each class at each pixel, and v, the score of
each class for the whole image. J is :func:`segmentation_loss`, and the paper's objective of PSL
(equation 2; the number is recalled) is :func:`prohibitive_loss`.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from aepsl.masks import IGNORE_INDEX


def segmentation_loss(log_probabilities: Tensor, masks: Tensor) -> Tensor:
    """Return ``J(f, S) = -1 / (sum_c |S_c|) sum_c sum_{u in S_c} log f_{u,c}``, mean over images.

    Args:
        log_probabilities: (n, 1 + classes, h, w), ``log f``, background first.
        masks: (n, h, w), the class of each pixel, 0 for background; 255 is ignored.

    Returns:
        A scalar, at least 0. An image without labelled pixels contributes 0.
    """
    summed = functional.nll_loss(
        log_probabilities, masks, ignore_index=IGNORE_INDEX, reduction="none"
    ).sum(dim=(1, 2))
    labelled = (masks != IGNORE_INDEX).sum(dim=(1, 2)).clamp(min=1)
    return (summed / labelled).mean()


def weighted_scores(log_probabilities: Tensor, image_scores: Tensor) -> Tensor:
    """Return ``log([1, v] (x) f)``: the background keeps the weight 1, class c has v_c.

    Args:
        log_probabilities: (n, 1 + classes, h, w), ``log f``, background first.
        image_scores: (n, classes), v in 0..1; 0 prohibits a class.
    """
    weights = functional.pad(image_scores.clamp(min=0).log(), (1, 0))
    return log_probabilities + weights[:, :, None, None]


@torch.no_grad()
def auxiliary_masks(log_probabilities: Tensor, image_scores: Tensor) -> Tensor:
    """Return ``S_hat = argmax_c [1, v] (x) f(I; theta)``: the online auxiliary mask.

    The background keeps the weight 1; the classes are weighted by the image scores v, so that
    absent classes are suppressed. The mask is a constant target: no gradient flows through it.

    Args:
        log_probabilities: (n, 1 + classes, h, w), ``log f``, background first.
        image_scores: (n, classes), v in 0..1.

    Returns:
        (n, h, w) int64 classes.
    """
    # On a CPU several times as fast as argmax.
    return weighted_scores(log_probabilities, image_scores).max(dim=1).indices


def prohibitive_loss(log_probabilities: Tensor, masks: Tensor, scores: Tensor) -> Tensor:
    """Return ``J(f, S) + J(f, S_hat)``, the loss of the segmentation branch under PSL.

    Shapes as in :func:`segmentation_loss` and :func:`auxiliary_masks`.
    """
    auxiliary = auxiliary_masks(log_probabilities, scores)
    return segmentation_loss(log_probabilities, masks) + segmentation_loss(
        log_probabilities, auxiliary
    )
