"""The interface of backbones; each backbone is a class in a module of its own."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor, nn


@dataclass(frozen=True)
class BackboneShape:
    """Options of a backbone; backbones with equal options can exchange weights."""

    stride: int = 8
    width: float = 1.0
    batch_norm: bool = False
    fixed_norm: bool = False
    """Whether batch normalisation uses the pretrained statistics (ResNet)."""


class Backbone(nn.Module, ABC):
    """Feature extractor for normalised images, which can load pretrained weights.

    Cell k of the features is aligned with pixel ``stride * k``, and there are
    ``ceil(length / stride)`` cells: every layer with a stride has an odd kernel, padded by half.
    """

    weights: ClassVar[Mapping[str, str]]
    """torchvision's weights names, and the input convention of each."""

    channels: int
    """Channels of the features."""

    @abstractmethod
    def forward(self, images: Tensor) -> Tensor:
        """Return (n, channels, ceil(h / stride), ceil(w / stride)) of (n, 3, h, w) images."""

    @abstractmethod
    def load(self, tensors: Mapping[str, Tensor], *, bgr: bool) -> None:
        """Copy pretrained tensors in.

        Args:
            tensors: tensors under their original names; those of other layers are skipped.
            bgr: whether the first layer expects BGR; its input channels are then reversed.

        Raises:
            ValueError: if a tensor is missing or has another shape.
        """

    @abstractmethod
    def blocks(self) -> list[list[nn.Module]]:
        """Return the layers of each block, in order."""


def copy_tensors(module: nn.Module, tensors: Mapping[str, Tensor]) -> None:
    """Copy ``tensors`` into the state of ``module``, name by name.

    Raises:
        ValueError: if a tensor is missing or has another shape.
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
