"""Decoders of segmentation_models_pytorch, on the features of any backbone.

Their layers and sizes are the library's; where cells lie is ours to keep.
"""

from __future__ import annotations

import importlib
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from aepsl.grid import Grid
from aepsl.networks.backbones import Level
from aepsl.networks.grids import resample
from aepsl.networks.pyramid import Pyramid

FINE = 4
"""Finest stride of a decoder's output, px; a finer one is averaged, so that stores stay small."""

PYRAMID = (2, 4, 8, 16, 32)
"""Strides of the features that U-Net and its like take, px."""

ATROUS_RATES = {8: (12, 24, 36), 16: (6, 12, 18), 32: (3, 6, 9)}
"""Dilation rates of DeepLabV3's branches (Chen et al., 2017), in cells, by stride."""


def _library(place: str, *channels: Any, **options: Any) -> Any:
    """Return a decoder of the library, initialised; ``place`` is its package and class."""
    from segmentation_models_pytorch.base.initialization import initialize_decoder

    package, name = place.split(".")
    module = importlib.import_module(f"segmentation_models_pytorch.decoders.{package}.decoder")
    decoder = getattr(module, name)(*channels, **options)
    initialize_decoder(decoder)
    return decoder


def _aspp(stride: float) -> dict[str, Any]:
    """Return the options of atrous spatial pyramid pooling on features at ``stride``."""
    nearest = min(ATROUS_RATES, key=lambda known: abs(known - stride))
    rates = ATROUS_RATES[nearest]
    return {"atrous_rates": rates, "aspp_separable": True, "aspp_dropout": 0.5}


class Decoder(nn.Module, ABC):
    """Layers from the features of each level of a backbone to those of pixels."""

    channels: int
    """Of the output."""
    grid: Grid
    """Of the output."""
    multiple: int = 1
    """The sides of the network's images must be multiples of this, px."""

    @abstractmethod
    def forward(self, features: Sequence[Tensor], size: tuple[int, int]) -> Tensor:
        """Return (n, channels, h, w) features on :attr:`grid`.

        Args:
            features: of each level of the backbone.
            size: height and width of the images, px.
        """


class DeepDecoder(Decoder):
    """Layers on the deepest features alone: DeepLabV3, PSPNet."""

    def __init__(self, levels: Sequence[Level], *, name: str) -> None:
        super().__init__()
        inputs, self.grid = levels[-1]
        if name == "deeplabv3":
            self.channels, options = 256, _aspp(self.grid.stride)
            self.layers = _library("deeplabv3.DeepLabV3Decoder", inputs, 256, **options)
        else:
            self.channels = 512
            self.layers = _library("pspnet.PSPDecoder", [inputs])

    def forward(self, features: Sequence[Tensor], size: tuple[int, int]) -> Tensor:
        """Return the decoded features."""
        decoded: Tensor = self.layers([features[-1]])
        return decoded


class DeepLabV3Plus(Decoder):
    """The deepest features, joined with those at stride 4 (Chen et al., 2018).

    The library's own upsampling aligns the corners of features of any size, so that cells would not
    stay where they are; ours stands in its place.
    """

    def __init__(self, levels: Sequence[Level]) -> None:
        super().__init__()
        self._fine, self._deep = Pyramid(levels, (FINE,)), levels[-1].grid
        if not self._fine.channels[0]:
            raise ValueError(f"deeplabv3plus needs features at stride {FINE}, which it lacks")
        self.channels, (self.grid,) = 256, self._fine.grids
        inputs = [0, 0, self._fine.channels[0], levels[-1].channels]
        options = _aspp(self._deep.stride) | {"out_channels": 256, "output_stride": 16}
        self.layers = _library("deeplabv3.DeepLabV3PlusDecoder", inputs, 4, **options)

    def forward(self, features: Sequence[Tensor], size: tuple[int, int]) -> Tensor:
        """Return the joined features."""
        (fine,) = self._fine(features, size)
        deep, cells = self.layers.aspp(features[-1]), (fine.shape[2], fine.shape[3])
        deep = resample(deep, cells, source=self._deep, target=self.grid)
        joined: Tensor = self.layers.block2(torch.cat([deep, self.layers.block1(fine)], dim=1))
        return joined


class PyramidDecoder(Decoder):
    """Layers on the features at each stride from 2 to 32: FPN, U-Net and their like."""

    multiple = PYRAMID[-1]

    def __init__(
        self, levels: Sequence[Level], *, place: str, channels: int, stride: int, **options: Any
    ) -> None:
        """``place``: see :func:`_library`; channels and stride (px) are those of the output."""
        super().__init__()
        self._pyramid, self.channels = Pyramid(levels, PYRAMID), channels
        self._average = FINE // stride
        fine = self._pyramid.grids[PYRAMID.index(FINE)]
        self.grid = fine if self._average == 1 else Grid(FINE, (FINE - 1) / 2)
        self.layers = _library(place, [3, *self._pyramid.channels], **options)

    def forward(self, features: Sequence[Tensor], size: tuple[int, int]) -> Tensor:
        """Return the decoded features."""
        image = features[-1].new_zeros(features[-1].shape[0], 0, *size)  # only its size counts
        decoded: Tensor = self.layers([image, *self._pyramid(features, size)])
        return functional.avg_pool2d(decoded, self._average) if self._average > 1 else decoded


_UNET: dict[str, Any] = {"channels": 16, "stride": 1, "decoder_channels": (256, 128, 64, 32, 16)}

DECODERS: dict[str, Callable[[Sequence[Level]], Decoder]] = {
    "deeplabv3": partial(DeepDecoder, name="deeplabv3"),
    "deeplabv3plus": DeepLabV3Plus,
    "fpn": partial(PyramidDecoder, place="fpn.FPNDecoder", channels=128, stride=4),
    "linknet": partial(PyramidDecoder, place="linknet.LinknetDecoder", channels=32, stride=1),
    "manet": partial(PyramidDecoder, place="manet.MAnetDecoder", **_UNET),
    "pspnet": partial(DeepDecoder, name="pspnet"),
    "segformer": partial(
        PyramidDecoder, place="segformer.SegformerDecoder", channels=256, stride=4
    ),
    "unet": partial(PyramidDecoder, place="unet.UnetDecoder", **_UNET),
    "unetplusplus": partial(PyramidDecoder, place="unetplusplus.UnetPlusPlusDecoder", **_UNET),
    "upernet": partial(PyramidDecoder, place="upernet.UPerNetDecoder", channels=256, stride=4),
}
"""Decoders by name."""

DILATED = ("deeplabv3", "deeplabv3plus", "pspnet")
"""Decoders whose deepest features have ``networks.stride``; the others', the backbone's own."""
