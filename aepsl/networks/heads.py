"""Layers between backbone and classifier that enlarge the receptive field."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from aepsl.networks.layers import convolution

FC_CHANNELS = 1024
"""Channels of fc6 and fc7 in LargeFOV."""

VGG_FC_CHANNELS = 4096
"""Channels of fc6 and fc7 in VGG-16."""


class LargeFov(nn.Sequential):
    """fc6, a wide fully convolutional layer, and fc7 (DeepLab-LargeFOV, Chen et al., 2015)."""

    def __init__(
        self, inputs: int, channels: int, *, dilation: int, batch_norm: bool, dropout: float
    ) -> None:
        layers: list[tuple[str, nn.Module]] = []
        for name, kernel, spread in (("fc6", 3, dilation), ("fc7", 1, 1)):
            layers += convolution(
                name, inputs, channels, kernel=kernel, dilation=spread, batch_norm=batch_norm
            )
            if not batch_norm:
                # VGG's features reach thousands: He's variance would saturate the softmax.
                weight: Any = layers[-2][1].weight
                nn.init.normal_(weight, std=0.01)
            layers.append((f"{name}_dropout", nn.Dropout(dropout)))
            inputs = channels
        super().__init__(OrderedDict(layers))
        self.channels = channels

    @torch.no_grad()
    def load(self, tensors: Mapping[str, Tensor]) -> bool:
        """Copy VGG-16's fc6 and fc7, subsampled as in DeepLab; return whether that was possible.

        Keeps every fourth of the 4096 channels, and rows and columns 0, 3 and 6 of fc6's 7x7
        kernel: with dilation 12 at stride 8 they span the same area as 7x7 at stride 32.

        Returns False if ``tensors`` lacks one of them, or this network has other channels.

        Args:
            tensors: named as in torchvision (``classifier.0.weight``) or Caffe (``fc6.weight``).

        Raises:
            ValueError: if their shapes differ from VGG-16's.
        """
        sixth = _first(tensors, "classifier.0", "fc6")
        seventh = _first(tensors, "classifier.3", "fc7")
        conv6: Any = self.get_submodule("fc6")
        conv7: Any = self.get_submodule("fc7")
        shape = tuple(conv6.weight.shape)
        if sixth is None or seventh is None or shape[:2] != (FC_CHANNELS, 512):
            return False
        sizes = sixth[0].numel(), seventh[0].numel()
        if sizes != (VGG_FC_CHANNELS * 512 * 7 * 7, VGG_FC_CHANNELS**2):
            shapes = tuple(sixth[0].shape), tuple(seventh[0].shape)
            raise ValueError(f"fc6 and fc7 have shapes {shapes}, not those of VGG-16's")
        step = VGG_FC_CHANNELS // FC_CHANNELS
        places = sixth[0].view(VGG_FC_CHANNELS, 512, 7, 7)
        conv6.weight.copy_(places[::step, :, ::3, ::3])
        conv6.bias.copy_(sixth[1][::step])
        channels = seventh[0].view(VGG_FC_CHANNELS, VGG_FC_CHANNELS, 1, 1)
        conv7.weight.copy_(channels[::step, ::step])
        conv7.bias.copy_(seventh[1][::step])
        return True


def _first(tensors: Mapping[str, Tensor], *names: str) -> tuple[Tensor, Tensor] | None:
    for name in names:
        pair = tensors.get(f"{name}.weight"), tensors.get(f"{name}.bias")
        if pair[0] is not None and pair[1] is not None and pair[0].isfinite().all():
            return pair[0], pair[1]
    return None


class NoHead(nn.Identity):
    """Identity: the backbone's features unchanged."""

    def __init__(self, inputs: int) -> None:
        super().__init__()
        self.channels = inputs
