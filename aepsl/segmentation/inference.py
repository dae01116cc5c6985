"""From a trained network to masks: scales, flip, threshold p (paper, section 3.2)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from aepsl.grid import Grid
from aepsl.networks.grids import mirror, resample, shrunk, unmirror
from aepsl.networks.models import SegmentationNetwork
from aepsl.segmentation.psl import weighted_scores

ImageScores = Callable[[Tensor], Tensor]
"""Function from the (n, classes) scores of the classification branch to v, 0..1."""


class GridScores(NamedTuple):
    """Network output for a batch of n images of one size, averaged over the views."""

    log_pixels: Tensor
    """(n, 1 + classes, cells, cells), log-probabilities on the cells of the network's
    ``photograph_grid``, background first."""
    image: Tensor
    """(n, classes), v, the image scores, 0..1."""


def softmax(scores: Tensor) -> Tensor:
    """Return the softmax of (n, classes) scores."""
    return scores.softmax(dim=1)


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
    cells = (network.grid.cells(height), network.grid.cells(width))
    scores = resample(out.pixels, cells, source=network.grid.scaled(1 / scale), target=network.grid)
    return scores.softmax(dim=1), image_scores(out.image)


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
    images = shrunk(images, scale=network.scale)
    views = [
        _probabilities(network, images, scale=scale, image_scores=image_scores) for scale in scales
    ]
    if flip:
        mirrored = mirror(images, grid=network.grid)
        columns = network.grid.cells(images.shape[3])
        for scale in scales:
            pixels, v = _probabilities(network, mirrored, scale=scale, image_scores=image_scores)
            views.append((unmirror(pixels, grid=network.grid, columns=columns), v))
    pixels = torch.stack([pixels for pixels, _ in views]).mean(dim=0)
    return GridScores(pixels.clamp(min=1e-8).log(), torch.stack([v for _, v in views]).mean(dim=0))


def weighted_probabilities(
    log_pixels: Tensor, weights: Tensor, *, size: tuple[int, int], grid: Grid
) -> Tensor:
    """Return ``[1, v] (x) f``, normalised to sum to 1.

    Its argmax is ``S_hat``, the mask that PSL++ trains on.

    Args:
        log_pixels: (n, 1 + classes, cells, cells), log-probabilities on the cells of ``grid``.
        weights: (n, classes), v in 0..1; 0 prohibits the class.
        size: height and width of the images, pixels.
        grid: of the network.

    Returns:
        (n, 1 + classes, height, width), background first.
    """
    full = resample(log_pixels, size, source=grid).log_softmax(dim=1)
    return weighted_scores(full, weights).softmax(dim=1)


def upsample_probabilities(log_pixels: Tensor, size: tuple[int, int], *, grid: Grid) -> Tensor:
    """Return (n, 1 + classes, *size) probabilities from log-probabilities on the cells."""
    return resample(log_pixels, size, source=grid).softmax(dim=1)


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
            cells.half().float(), (height, width), grid=self.network.photograph_grid
        )
        masks = predict_masks(probabilities, threshold=self.threshold)
        return MaskOutput(masks, probabilities, scores)
