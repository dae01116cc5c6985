"""Backbones behind one small interface; a new one is a class here or in a file of its own."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor, nn


@dataclass(frozen=True)
class BackboneShape:
    """The choices that fix a backbone's parameters: equal shapes take each other's weights."""

    stride: int = 8
    width: float = 1.0
    batch_norm: bool = False
    fixed_norm: bool = False
    """Whether normalisation keeps the statistics of the loaded weights (ResNet)."""


class Backbone(nn.Module, ABC):
    """What turns normalised photographs into features, and knows how its weights are named.

    Cell k of the features lies on pixel ``stride * k``, and there are ``ceil(length / stride)`` of
    them: every layer that strides has an odd kernel, padded by half of it.
    """

    weights: ClassVar[Mapping[str, str]]
    """torchvision's names of weights, and the input convention of each."""

    channels: int
    """Channels of the features."""

    @abstractmethod
    def forward(self, images: Tensor) -> Tensor:
        """Return (n, channels, ceil(h / stride), ceil(w / stride)) of (n, 3, h, w) images."""

    @abstractmethod
    def load(self, tensors: Mapping[str, Tensor], *, bgr: bool) -> None:
        """Copy pretrained tensors in.

        Args:
            tensors: named as their author did; those of other layers are left out.
            bgr: whether the first layer sees blue first; its input channels are then reversed.

        Raises:
            ValueError: if one is missing, or has another shape.
        """

    @abstractmethod
    def blocks(self) -> list[list[nn.Module]]:
        """Return the layers block by block, the first one first."""


def copy_tensors(module: nn.Module, tensors: Mapping[str, Tensor]) -> None:
    """Copy ``tensors`` into the state of ``module``, name by name.

    Raises:
        ValueError: if one is missing or has another shape.
    """
    own = module.state_dict()
    for name, tensor in own.items():
        if name.endswith("num_batches_tracked"):
            continue
        if name not in tensors:
            raise ValueError(f"the network has {name}, the weights do not")
        if tensor.shape != tensors[name].shape:
            ours, theirs = tuple(tensor.shape), tuple(tensors[name].shape)
            raise ValueError(f"{name} has shape {theirs}, the network needs {ours}")
        tensor.copy_(tensors[name])
