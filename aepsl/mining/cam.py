"""Class activation maps (Zhou et al., CVPR 2016; paper, section 3.1)."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional


def class_activation_maps(features: Tensor, weight: Tensor) -> Tensor:
    """Return the rectified class activation maps ``H_c = max(0, sum_k w_ck F_k)``.

    The classifier is global average pooling followed by one linear layer, so applying its weights
    to the unpooled features gives each position's contribution to each class score.

    Args:
        features: (n, channels, h, w), the last feature maps.
        weight: (classes, channels), the weights of the linear layer.

    Returns:
        (n, classes, h, w), at least 0.
    """
    return functional.relu(functional.conv2d(features, weight[:, :, None, None]))


def class_probability_maps(cells: Tensor, labels: Tensor) -> Tensor:
    """Return the probability of each class at each cell, among the background and the present ones.

    Args:
        cells: (n, 1 + classes, h, w) scores, background first.
        labels: (n, classes), 1 where the class is present, else 0.

    Returns:
        (n, classes, h, w), 0..1; 0 for an absent class.
    """
    absent = functional.pad(labels == 0, (1, 0))
    return cells.masked_fill(absent[:, :, None, None], -torch.inf).softmax(dim=1)[:, 1:]
