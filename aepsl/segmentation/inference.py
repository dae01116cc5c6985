"""From a trained network to masks: scales, flip, threshold p (paper, section 3.2)."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from aepsl.networks.layers import mirror
from aepsl.networks.models import SegmentationNetwork
from aepsl.segmentation.psl import resize_scores, weighted_scores

ImageScores = Callable[[Tensor], Tensor]
"""Function from the (n, classes) scores of the classification branch to v, 0..1."""


class GridScores(NamedTuple):
    """Network output for a batch of n images of one size, averaged over the views."""

    log_pixels: Tensor
    """(n, 1 + classes, cells, cells), log-probabilities on the cells, background first."""
    image: Tensor
    """(n, classes), v, the image scores, 0..1."""


def softmax(scores: Tensor) -> Tensor:
    """Return the softmax of (n, classes) scores."""
    return scores.softmax(dim=1)


def grid_size(height: int, width: int, *, stride: int) -> tuple[int, int]:
    """Return the number of rows and columns of the network's output for an image."""
    return math.ceil(height / stride), math.ceil(width / stride)


def _probabilities(
    network: SegmentationNetwork, images: Tensor, *, scale: float, image_scores: ImageScores
) -> tuple[Tensor, Tensor]:
    """Return class probabilities on the cells of the unscaled image, and v."""
    height, width = images.shape[2:]
    if scale == 1:
        out = network(images)
        return out.pixels.softmax(dim=1), image_scores(out.image)
    size = (max(1, round(height * scale)), max(1, round(width * scale)))
    out = network(functional.interpolate(images, size, mode="bilinear", align_corners=False))
    full = functional.interpolate(
        resize_scores(out.pixels, height=size[0], width=size[1], stride=network.stride),
        (height, width),
        mode="bilinear",
        align_corners=False,
    )
    step = network.stride
    return full.softmax(dim=1)[:, :, ::step, ::step], image_scores(out.image)


@torch.inference_mode()
def grid_scores(
    network: SegmentationNetwork,
    images: Tensor,
    *,
    scales: Sequence[float],
    flip: bool,
    image_scores: ImageScores = softmax,
) -> GridScores:
    """Return the probabilities of each class on the images' cells, averaged over the views.

    These suffice for a mask at full resolution: scores and log-probabilities differ by a constant
    over classes, so interpolating either and normalising gives the same probabilities.

    Args:
        network: in evaluation mode.
        images: (n, 3, height, width) RGB, 0..255.
        scales: scale factors of the views.
        flip: whether to include the mirrored images.
        image_scores: the probabilities that the label loss trains; a softmax in the paper.
    """
    views = [
        _probabilities(network, images, scale=scale, image_scores=image_scores) for scale in scales
    ]
    if flip:
        mirrored = mirror(images, stride=network.stride)
        columns = grid_size(*images.shape[2:], stride=network.stride)[1]
        for scale in scales:
            pixels, v = _probabilities(network, mirrored, scale=scale, image_scores=image_scores)
            views.append((pixels.flip(3)[..., :columns], v))
    pixels = torch.stack([pixels for pixels, _ in views]).mean(dim=0)
    return GridScores(pixels.clamp(min=1e-8).log(), torch.stack([v for _, v in views]).mean(dim=0))


def weighted_probabilities(
    log_pixels: Tensor, weights: Tensor, *, height: int, width: int, stride: int
) -> Tensor:
    """Return ``[1, v] (x) f``, normalised to sum to 1.

    Its argmax is ``S_hat``, the mask that PSL++ trains on.

    Args:
        log_pixels: (n, 1 + classes, cells, cells), log-probabilities at ``stride``.
        weights: (n, classes), v in 0..1; 0 prohibits the class.
        height: image height, pixels.
        width: image width, pixels.
        stride: pixels from one cell to the next.

    Returns:
        (n, 1 + classes, height, width), background first.
    """
    full = resize_scores(log_pixels, height=height, width=width, stride=stride).log_softmax(dim=1)
    return weighted_scores(full, weights).softmax(dim=1)


def upsample_probabilities(log_pixels: Tensor, *, height: int, width: int, stride: int) -> Tensor:
    """Return (n, 1 + classes, height, width) probabilities from log-probabilities on the cells."""
    return resize_scores(log_pixels, height=height, width=width, stride=stride).softmax(dim=1)


def predict_masks(probabilities: Tensor, *, threshold: float) -> Tensor:
    """Return the (n, height, width) uint8 classes after class scores below p are set to 0.

    Args:
        probabilities: (n, 1 + classes, height, width), background first.
        threshold: p, 0..1 (paper: 0.1). A pixel where every score is below p is background.
    """
    largest, classes = probabilities.max(dim=1)  # on a CPU several times as fast as argmax
    return torch.where(largest < threshold, 0, classes).to(torch.uint8)


class MaskOutput(NamedTuple):
    """Output of :class:`MaskNetwork` for n images."""

    mask: Tensor
    """(n, height, width) uint8, the class of each pixel, 0 for background."""
    probabilities: Tensor
    """(n, 1 + classes, height, width), background first, before the threshold."""
    scores: Tensor
    """(n, classes), v, the image scores, 0..1."""


class MaskNetwork(nn.Module):
    """A segmentation network with all that prediction does around it: views, upsampling, p."""

    def __init__(
        self,
        network: SegmentationNetwork,
        *,
        scales: Sequence[float],
        flip: bool,
        threshold: float,
        image_scores: ImageScores = softmax,
    ) -> None:
        """Options as of :func:`grid_scores` and :func:`predict_masks`."""
        super().__init__()
        self.network = network
        self.scales, self.flip = tuple(scales), flip
        self.image_scores = image_scores
        self.threshold = threshold

    def forward(self, images: Tensor) -> MaskOutput:
        """Return masks, probabilities and image scores of (n, 3, height, width) RGB, 0..255."""
        height, width = images.shape[2:]
        cells, scores = grid_scores(
            self.network,
            images,
            scales=self.scales,
            flip=self.flip,
            image_scores=self.image_scores,
        )
        # Rounded to float16, as the stage predict stores them: both predict the same mask.
        probabilities = upsample_probabilities(
            cells.half().float(), height=height, width=width, stride=self.network.stride
        )
        masks = predict_masks(probabilities, threshold=self.threshold)
        return MaskOutput(masks, probabilities, scores)
