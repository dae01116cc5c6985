"""The two networks of the method: the classifier and the segmentation network."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from aepsl.grid import Grid
from aepsl.networks.backbones import Backbone, BackboneShape, Level
from aepsl.networks.decoders import DECODERS, DILATED, Decoder
from aepsl.networks.grids import cropped
from aepsl.networks.heads import FC_CHANNELS, LargeFov, NoHead
from aepsl.networks.layers import Normalise, pad_to_multiple, suppress
from aepsl.networks.pretrained import CONVENTIONS, InputConvention
from aepsl.networks.vgg import Vgg16, scaled_channels
from aepsl.precision import mixed_precision

TIMM = "timm/"
"""What the names of timm's backbones begin with."""

DEFAULT_CONVENTION = CONVENTIONS["torchvision"]
"""Input normalisation of randomly initialised networks: mean and deviation of ImageNet."""


@dataclass(frozen=True)
class NetworkShape:
    """Options of a network; networks with equal options can exchange weights."""

    backbone: str = "vgg16"
    head: str = "largefov"
    stride: int = 8
    scale: float = 1.0
    """Size of the images that the network sees, as a factor of the photographs'."""
    width: float = 1.0
    fc6_dilation: int = 12
    batch_norm: bool = False
    fixed_norm: bool = False
    dropout: float = 0.5
    suppression: float | None = None
    """Largest feature of the last layer, as a fraction of the maximum of its channel in the image;
    None: no suppression. Kim et al. suppress after every ReLU; see docs/labels.md."""

    def make_backbone(self) -> Backbone:
        """Return the backbone, randomly initialised."""
        own = self.head in DECODERS and self.head not in DILATED
        stride = None if own else self.stride
        shape = BackboneShape(stride, self.width, self.batch_norm, self.fixed_norm)
        if not self.backbone.startswith(TIMM):
            return Vgg16(shape)
        from aepsl.networks.timm_networks import TimmBackbone

        return TimmBackbone(self.backbone.removeprefix(TIMM), shape)

    def make_head(self, levels: Sequence[Level]) -> LargeFov | NoHead | Decoder:
        """Return the layers after a backbone."""
        if self.head in DECODERS:
            return DECODERS[self.head](levels)
        return HEADS[self.head](levels[-1], self)


def _largefov(level: Level, shape: NetworkShape) -> LargeFov:
    return LargeFov(
        level.channels,
        scaled_channels(FC_CHANNELS, shape.width),
        dilation=shape.fc6_dilation,
        batch_norm=shape.batch_norm,
        dropout=shape.dropout,
    )


HEADS: dict[str, Callable[[Level, NetworkShape], LargeFov | NoHead]] = {
    "largefov": _largefov,
    "none": lambda level, shape: NoHead(level.channels),
}
"""Functions from the deepest features and the network's options to layers on them alone."""


class _Network(nn.Module):
    """Normalisation, backbone and head, which both networks have."""

    def __init__(self, shape: NetworkShape, convention: InputConvention) -> None:
        super().__init__()
        self.normalise = Normalise(convention.mean, convention.scale)
        self.backbone = shape.make_backbone()
        self.head = shape.make_head(self.backbone.levels)
        decoder = self.head if isinstance(self.head, Decoder) else None
        self._deep = self.backbone.levels[-1].grid
        self.grid = decoder.grid if decoder else self._deep
        """Of the features that :meth:`features` returns."""
        self.scale = shape.scale
        self._multiple = math.lcm(self.backbone.multiple, decoder.multiple if decoder else 1)
        self.suppression = shape.suppression
        self.head_loaded = False
        self.precision = "float32"
        """Of the backbone and the head; see :func:`aepsl.precision.mixed_precision`."""

    @property
    def photograph_grid(self) -> Grid:
        """Return :attr:`grid` in pixels of the photographs, which the network sees at ``scale``."""
        return self.grid.scaled(1 / self.scale)

    def load(self, tensors: Mapping[str, Tensor], *, bgr: bool) -> None:
        """Copy pretrained tensors into the backbone, and into fc6 and fc7 if possible.

        Raises:
            ValueError: if a tensor of the backbone is missing, or one has another shape.
        """
        self.backbone.load(tensors, bgr=bgr)
        if isinstance(self.head, LargeFov):
            self.head_loaded = self.head.load(tensors)

    def _with_head(self, *heads: nn.Module) -> list[nn.Module]:
        return list(heads) if self.head_loaded else [self.head, *heads]

    def features(self, images: Tensor) -> Tensor:
        """Return the float32 features of (n, 3, h, w) RGB images, 0..255, on :attr:`grid`."""
        return self._features(images)[0]

    def _features(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Return the features, and those from which the whole image is classified."""
        size = (images.shape[2], images.shape[3])
        with mixed_precision(self.precision, images.device):
            padded = pad_to_multiple(self.normalise(images), self._multiple)
            levels = self.backbone(padded)
            whole = cropped(levels[-1], size, grid=self._deep)
            if not isinstance(self.head, Decoder):
                features = self.head(whole).float()
                if self.suppression is not None:
                    features = suppress(features, fraction=self.suppression)
                return features, features
            features = self.head(levels, (padded.shape[2], padded.shape[3])).float()
        return cropped(features, size, grid=self.grid), whole.float()


def _linear(inputs: int, outputs: int) -> nn.Linear:
    layer = nn.Linear(inputs, outputs)
    nn.init.normal_(layer.weight, std=0.01)
    nn.init.zeros_(layer.bias)
    return layer


class Classifier(_Network):
    """Features, global average pooling, one linear layer (paper, section 3.1)."""

    def __init__(
        self, *, classes: int, shape: NetworkShape, convention: InputConvention = DEFAULT_CONVENTION
    ) -> None:
        super().__init__(shape, convention)
        self.classify = _linear(self.head.channels, classes)

    def forward(self, images: Tensor) -> Tensor:
        """Return the (n, classes) scores of (n, 3, h, w) RGB images in 0..255."""
        return self.classify(self.features(images).mean(dim=(2, 3)))

    def new_layers(self) -> list[nn.Module]:
        """Return the new layers: those without pretrained weights, which learn at a higher rate."""
        return self._with_head(self.classify)


class DenseOutput(NamedTuple):
    """Scores of a batch, from a network that scores the background, too."""

    pixels: Tensor
    """(n, 1 + classes, h, w) scores at the network's stride, background first."""
    image: Tensor
    """(n, classes) scores of the whole image."""


class SalientClassifier(Classifier):
    """A classifier that also scores the background, and returns every cell's scores.

    For Lee et al. (CVPR 2021). An image's score of a class is the mean over its cells, as in
    :class:`Classifier`; the background has no score of the image.
    """

    def __init__(
        self, *, classes: int, shape: NetworkShape, convention: InputConvention = DEFAULT_CONVENTION
    ) -> None:
        super().__init__(classes=classes, shape=shape, convention=convention)
        self.background = _linear(self.head.channels, 1)

    def forward(self, images: Tensor) -> DenseOutput:  # type: ignore[override]
        """Return cell and image scores of (n, 3, h, w) RGB images in 0..255."""
        features = self.features(images)
        return DenseOutput(self.cells(features), self.classify(features.mean(dim=(2, 3))))

    def cells(self, features: Tensor) -> Tensor:
        """Return the (n, 1 + classes, h, w) scores of features, background first."""
        layers = (self.background, self.classify)
        weight = torch.cat([layer.weight for layer in layers])
        bias = torch.cat([layer.bias for layer in layers])
        return functional.conv2d(features, weight[:, :, None, None], bias)

    def new_layers(self) -> list[nn.Module]:
        """Return the new layers: those without pretrained weights, which learn at a higher rate."""
        return self._with_head(self.classify, self.background)


class SegmentationNetwork(_Network):
    """Pixel scores, and a classification branch on the same features (paper, Fig. 3b).

    Behind a decoder, the branch takes the deepest features of the backbone.
    """

    def __init__(
        self, *, classes: int, shape: NetworkShape, convention: InputConvention = DEFAULT_CONVENTION
    ) -> None:
        super().__init__(shape, convention)
        decoded = isinstance(self.head, Decoder)
        self.segment = nn.Conv2d(self.head.channels, 1 + classes, 1)
        if decoded:  # few channels: with weights as small as LargeFOV's, U-Net hardly learns
            nn.init.xavier_uniform_(self.segment.weight)
        else:
            nn.init.normal_(self.segment.weight, std=0.01)
        assert self.segment.bias is not None
        nn.init.zeros_(self.segment.bias)
        inputs = self.backbone.levels[-1].channels if decoded else self.head.channels
        self.classify = _linear(inputs, classes)

    def forward(self, images: Tensor) -> DenseOutput:
        """Return pixel and image scores of (n, 3, h, w) RGB images in 0..255."""
        features, whole = self._features(images)
        return DenseOutput(self.segment(features), self.classify(whole.mean(dim=(2, 3))))

    def new_layers(self) -> list[nn.Module]:
        """Return the new layers: those without pretrained weights, which learn at a higher rate."""
        return self._with_head(self.segment, self.classify)
