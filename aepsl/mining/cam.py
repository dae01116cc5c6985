"""Class activation maps (Zhou et al., CVPR 2016; paper, section 3.1)."""

from __future__ import annotations

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
