"""The two networks of the method: a classifier to mine with, a segmentation network to keep."""

from __future__ import annotations

from typing import NamedTuple

from torch import Tensor, nn

from aepsl.networks.pretrained import CONVENTIONS, Triple
from aepsl.networks.vgg import LargeFovShape, Normalise, fully_connected, largefov_features

PLAIN = CONVENTIONS["torchvision"]
"""What random weights are given: mean and spread of ImageNet's pixels."""


def _linear(inputs: int, outputs: int) -> nn.Linear:
    layer = nn.Linear(inputs, outputs)
    nn.init.normal_(layer.weight, std=0.01)
    nn.init.zeros_(layer.bias)
    return layer


class Classifier(nn.Module):
    """LargeFOV features, global average pooling on fc7, one linear layer (paper, section 3.1)."""

    def __init__(
        self,
        *,
        classes: int,
        shape: LargeFovShape,
        mean: Triple = PLAIN.mean,
        scale: Triple = PLAIN.scale,
    ) -> None:
        super().__init__()
        self.normalise = Normalise(mean, scale)
        self.features = largefov_features(shape)
        self.classify = _linear(shape.feature_channels, classes)

    def forward(self, images: Tensor) -> Tensor:
        """Return the (n, classes) scores of (n, 3, h, w) RGB images in 0..255."""
        return self.classify(self.features(self.normalise(images)).mean(dim=(2, 3)))

    def new_layers(self) -> list[nn.Module]:
        """Return the layers that pretrained weights never reach, which learn faster."""
        return [*fully_connected(self.features), self.classify]


class Segmentation(NamedTuple):
    """What the segmentation network says of a batch."""

    pixels: Tensor
    """(n, 1 + classes, h, w) scores at the network's stride, background first."""
    image: Tensor
    """(n, classes) scores of the classification branch."""


class SegmentationNetwork(nn.Module):
    """LargeFOV with a classification branch on its shared features (paper, Fig. 3b)."""

    def __init__(
        self,
        *,
        classes: int,
        shape: LargeFovShape,
        mean: Triple = PLAIN.mean,
        scale: Triple = PLAIN.scale,
    ) -> None:
        super().__init__()
        self.normalise = Normalise(mean, scale)
        self.features = largefov_features(shape)
        self.segment = nn.Conv2d(shape.feature_channels, 1 + classes, 1)
        nn.init.normal_(self.segment.weight, std=0.01)
        assert self.segment.bias is not None
        nn.init.zeros_(self.segment.bias)
        self.classify = _linear(shape.feature_channels, classes)

    def forward(self, images: Tensor) -> Segmentation:
        """Return pixel and image scores of (n, 3, h, w) RGB images in 0..255."""
        features = self.features(self.normalise(images))
        return Segmentation(self.segment(features), self.classify(features.mean(dim=(2, 3))))

    def new_layers(self) -> list[nn.Module]:
        """Return the layers that pretrained weights never reach, which learn faster."""
        return [*fully_connected(self.features), self.segment, self.classify]
