"""Layers that several networks use."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

BORDER_WEIGHT = 0.15
"""Factor on the outer rows and columns of randomly initialised 3x3 kernels; the variance stays
He's. With twelve unscaled kernels in sequence, each output position depends on a whole small image,
and the network does not learn positions."""


def convolution(
    name: str, inputs: int, outputs: int, *, kernel: int, dilation: int, batch_norm: bool
) -> list[tuple[str, nn.Module]]:
    """Return a named convolution with a ReLU and, if requested, batch normalisation."""
    padding = dilation * (kernel // 2)
    conv = nn.Conv2d(inputs, outputs, kernel, padding=padding, dilation=dilation)
    nn.init.kaiming_normal_(conv.weight, mode="fan_in", nonlinearity="relu")
    assert conv.bias is not None
    nn.init.zeros_(conv.bias)
    if kernel == 3:
        window = torch.tensor([BORDER_WEIGHT, 1.0, BORDER_WEIGHT])
        window = window[:, None] * window
        with torch.no_grad():
            conv.weight.mul_(window * (9 / window.square().sum()).sqrt())
    layers: list[tuple[str, nn.Module]] = [(name, conv)]
    if batch_norm:
        layers.append((f"{name}_norm", nn.BatchNorm2d(outputs)))
    return [*layers, (f"{name}_relu", nn.ReLU(inplace=True))]


def as_batch(images: Sequence[NDArray[np.uint8]], device: torch.device) -> Tensor:
    """Return n (height, width, 3) images as an (n, 3, height, width) float32 batch."""
    return torch.from_numpy(np.stack(images)).to(device).permute(0, 3, 1, 2).float()


class Normalise(nn.Module):
    """Input normalisation of RGB images, 0..255; stored with the weights."""

    def __init__(self, mean: tuple[float, float, float], scale: tuple[float, float, float]) -> None:
        super().__init__()
        self.mean: Tensor
        self.scale: Tensor
        self.register_buffer("mean", torch.tensor(mean).view(1, 3, 1, 1))
        self.register_buffer("scale", torch.tensor(scale).view(1, 3, 1, 1))

    def forward(self, images: Tensor) -> Tensor:
        """Return ``(images - mean) / scale`` for (n, 3, h, w) RGB images in 0..255."""
        # channels_last: half as slow again on a CPU with few channels, no slower elsewhere
        return ((images - self.mean) / self.scale).contiguous(memory_format=torch.channels_last)


def suppress(features: Tensor, *, fraction: float) -> Tensor:
    """Return the features, at most ``fraction`` of their channel's maximum in the image.

    The most discriminative parts of an object then count no more than its others: discriminative
    region suppression (Kim et al., AAAI 2021), without weights of its own.

    Args:
        features: (n, channels, h, w), at least 0.
        fraction: 0..1.
    """
    return torch.minimum(features, fraction * features.amax(dim=(2, 3), keepdim=True))


def _repeated(length: int, multiple: int, device: torch.device) -> Tensor:
    """Return the rows, or columns, of an image whose last one is repeated up to a multiple.

    In a graph their count is a number of its own: expressions of the image's size would grow from
    layer to layer.
    """
    count: Any = torch.scalar_tensor((length + multiple - 1) // multiple, dtype=torch.int64).item()
    torch._check(count >= 1)
    return torch.arange(count * multiple, device=device).clamp(max=length - 1)


def pad_to_multiple(images: Tensor, multiple: int) -> Tensor:
    """Return (n, 3, h, w) images, repeated at the right and lower edge to sides that fit."""
    if multiple == 1:
        return images
    if torch.compiler.is_exporting():
        rows, columns = (_repeated(side, multiple, images.device) for side in images.shape[2:])
        return images[:, :, rows[:, None], columns]
    missing = (0, -images.shape[3] % multiple, 0, -images.shape[2] % multiple)
    return functional.pad(images, missing, mode="replicate") if any(missing) else images


def freeze(layers: Iterable[nn.Module]) -> None:
    """Freeze the parameters of ``layers``."""
    for layer in layers:
        layer.requires_grad_(False)
