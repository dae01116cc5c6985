"""DeepLab-LargeFOV on VGG-16 (Chen et al., 2015): stride 8, one wide fully convolutional fc6."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass

import torch
from torch import Tensor, nn

STRIDE = 8
"""Pixels from one output cell to the next."""

VGG16_BLOCKS = ((64, 2), (128, 2), (256, 3), (512, 3), (512, 3))
"""Channels and convolutions of each block of VGG-16 (Simonyan & Zisserman, 2015)."""

FC_CHANNELS = 1024
"""Channels of fc6 and fc7 in LargeFOV (4096 in VGG-16)."""


OFF_CENTRE = 0.3
"""Random 3x3 kernels start with their outer rows and columns damped to this share, at He's
variance. Twelve plain ones on top of each other see the whole of a small image at every place, and
a network that starts so never learns where things are."""


@dataclass(frozen=True)
class LargeFovShape:
    """The choices that fix a LargeFOV's parameters: two equal shapes take each other's weights."""

    width: float = 1.0
    fc6_dilation: int = 12
    batch_norm: bool = False
    dropout: float = 0.5

    def channels(self, full: int) -> int:
        """Return the channels of a layer that has ``full`` of them at width 1; at least 4."""
        return max(4, round(full * self.width))

    @property
    def feature_channels(self) -> int:
        """Channels of fc7, what the heads see."""
        return self.channels(FC_CHANNELS)


def _convolution(
    name: str, inputs: int, outputs: int, *, kernel: int, dilation: int, batch_norm: bool
) -> list[tuple[str, nn.Module]]:
    padding = dilation * (kernel // 2)
    conv = nn.Conv2d(inputs, outputs, kernel, padding=padding, dilation=dilation)
    nn.init.kaiming_normal_(conv.weight, mode="fan_in", nonlinearity="relu")
    assert conv.bias is not None
    nn.init.zeros_(conv.bias)
    if kernel == 3:
        window = torch.tensor([OFF_CENTRE, 1.0, OFF_CENTRE])
        window = window[:, None] * window
        with torch.no_grad():
            conv.weight.mul_(window * (9 / window.square().sum()).sqrt())
    layers: list[tuple[str, nn.Module]] = [(name, conv)]
    if batch_norm:
        layers.append((f"{name}_norm", nn.BatchNorm2d(outputs)))
    return [*layers, (f"{name}_relu", nn.ReLU(inplace=True))]


def largefov_features(shape: LargeFovShape) -> nn.Sequential:
    """Return the layers up to fc7, named as in Caffe: conv1_1 ... conv5_3, fc6, fc7.

    (n, 3, height, width) normalised RGB in; (n, feature_channels, ceil(height / 8),
    ceil(width / 8)) out. Output cell k lies on pixel 8 k.
    """
    layers: list[tuple[str, nn.Module]] = []
    inputs = 3
    for block, (full, repeats) in enumerate(VGG16_BLOCKS, start=1):
        outputs = shape.channels(full)
        for index in range(1, repeats + 1):
            layers += _convolution(
                f"conv{block}_{index}",
                inputs,
                outputs,
                kernel=3,
                dilation=2 if block == 5 else 1,
                batch_norm=shape.batch_norm,
            )
            inputs = outputs
        pool = nn.MaxPool2d(3, stride=2 if block <= 3 else 1, padding=1)
        layers.append((f"pool{block}", pool))
    for name, kernel, dilation in (("fc6", 3, shape.fc6_dilation), ("fc7", 1, 1)):
        outputs = shape.feature_channels
        layers += _convolution(
            name,
            inputs,
            outputs,
            kernel=kernel,
            dilation=dilation,
            batch_norm=shape.batch_norm,
        )
        if not shape.batch_norm:
            # VGG's features reach thousands: He's variance would saturate the softmax at once.
            nn.init.normal_(layers[-2][1].weight, std=0.01)  # type: ignore[arg-type]
        layers.append((f"{name}_dropout", nn.Dropout(shape.dropout)))
        inputs = outputs
    return nn.Sequential(OrderedDict(layers))


def fully_connected(features: nn.Sequential) -> list[nn.Module]:
    """Return the layers of fc6 and fc7."""
    return [layer for name, layer in features.named_children() if name.startswith("fc")]


class Normalise(nn.Module):
    """Turn RGB 0..255 into what the weights were trained on; saved with the network."""

    def __init__(self, mean: tuple[float, float, float], scale: tuple[float, float, float]) -> None:
        super().__init__()
        self.mean: Tensor
        self.scale: Tensor
        self.register_buffer("mean", torch.tensor(mean).view(1, 3, 1, 1))
        self.register_buffer("scale", torch.tensor(scale).view(1, 3, 1, 1))

    def forward(self, images: Tensor) -> Tensor:
        """Return ``(images - mean) / scale`` for (n, 3, h, w) RGB images in 0..255."""
        # Channels last: half as slow again on a CPU with few channels, no slower elsewhere.
        return ((images - self.mean) / self.scale).contiguous(memory_format=torch.channels_last)
