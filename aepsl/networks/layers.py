"""Layers that several networks are made of."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

OFF_CENTRE = 0.3
"""Random 3x3 kernels start with their outer rows and columns damped to this share, at He's
variance. Twelve plain ones on top of each other see the whole of a small image at every place, and
a network that starts so never learns where things are."""


def convolution(
    name: str, inputs: int, outputs: int, *, kernel: int, dilation: int, batch_norm: bool
) -> list[tuple[str, nn.Module]]:
    """Return a named convolution, its normalisation if it has one, and its rectifier."""
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


def mirror(images: Tensor, *, stride: int) -> Tensor:
    """Return (n, 3, h, w) images mirrored, such that their cells lie on the unmirrored cells.

    Cells lie on pixels 0, stride, 2 stride, ...: the image is padded until its last pixel has one.
    """
    padding = (1 - images.shape[3]) % stride
    return functional.pad(images, (0, padding, 0, 0), mode="replicate").flip(3)
