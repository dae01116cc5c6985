"""From a trained network to masks: scales, flip, threshold p (paper, section 3.2)."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from aepsl.networks.heads import SegmentationNetwork
from aepsl.networks.vgg import STRIDE
from aepsl.segmentation.psl import resize_scores


def grid_size(height: int, width: int) -> tuple[int, int]:
    """Return how many cells the network's output has for an image."""
    return math.ceil(height / STRIDE), math.ceil(width / STRIDE)


def _probabilities(network: SegmentationNetwork, images: Tensor, *, scale: float) -> Tensor:
    """Return class probabilities on the cells of the unscaled image."""
    height, width = images.shape[2:]
    if scale == 1:
        return network(images).pixels.softmax(dim=1)
    size = (max(1, round(height * scale)), max(1, round(width * scale)))
    scaled = functional.interpolate(images, size, mode="bilinear", align_corners=False)
    scores = network(scaled).pixels
    full = functional.interpolate(
        resize_scores(scores, height=size[0], width=size[1], stride=STRIDE),
        (height, width),
        mode="bilinear",
        align_corners=False,
    )
    return full.softmax(dim=1)[:, :, ::STRIDE, ::STRIDE]


@torch.inference_mode()
def grid_log_scores(
    network: SegmentationNetwork, image: Tensor, *, scales: Sequence[float], flip: bool
) -> Tensor:
    """Return the log-probabilities of each class on the image's cells, averaged over the views.

    A mask at full resolution follows from these alone: interpolating log-probabilities and
    normalising gives what interpolating the scores gives, for they differ by the same amount in
    every class.

    Args:
        network: in evaluation mode.
        image: (1, 3, height, width) RGB, 0..255.
        scales: factors of the image's size.
        flip: whether the mirrored image speaks too.

    Returns:
        (1 + classes, ceil(height / 8), ceil(width / 8)).
    """
    views = [_probabilities(network, image, scale=scale) for scale in scales]
    if flip:
        # Cells lie on pixels 0, 8, ...: a mirrored image is padded so that its cells do too.
        width = image.shape[3]
        padding = (1 - width) % STRIDE
        mirrored = functional.pad(image, (0, padding, 0, 0), mode="replicate").flip(3)
        views += [
            _probabilities(network, mirrored, scale=scale).flip(3)[..., : grid_size(1, width)[1]]
            for scale in scales
        ]
    return torch.stack(views).mean(dim=0)[0].clamp(min=1e-8).log()


def full_probabilities(
    log_scores: NDArray[np.floating], *, height: int, width: int
) -> NDArray[np.float32]:
    """Return (classes, height, width) probabilities from log-probabilities on the cells."""
    scores = torch.from_numpy(log_scores.astype(np.float32))[None]
    return (
        resize_scores(scores, height=height, width=width, stride=STRIDE).softmax(dim=1)[0].numpy()
    )


def decide(probabilities: NDArray[np.floating], *, threshold: float) -> NDArray[np.uint8]:
    """Return the class of each pixel after class scores below p are set to 0.

    Args:
        probabilities: (1 + classes, height, width), background first.
        threshold: p, 0..1 (paper: 0.1). A pixel where every score is below p is background.
    """
    kept = np.where(probabilities < threshold, 0, probabilities)
    return kept.argmax(axis=0).astype(np.uint8)
