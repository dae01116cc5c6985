"""The interface of backbones; each kind of backbone is a class in a module of its own."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

from torch import Tensor, nn

from aepsl.grid import Grid


@dataclass(frozen=True)
class BackboneShape:
    """Options of a backbone; backbones with equal options can exchange weights."""

    stride: int | None = 8
    """Largest stride, px, reached by dilation where the network allows it; None: its own."""
    width: float = 1.0
    batch_norm: bool = False
    fixed_norm: bool = False
    """Whether batch normalisation uses the pretrained statistics, and does not learn (timm)."""


class Level(NamedTuple):
    """The features of one stage of a backbone."""

    channels: int
    grid: Grid
    """Where the cells lie in the image."""


class Backbone(nn.Module, ABC):
    """Feature extractor for normalised images, which can load pretrained weights."""

    levels: tuple[Level, ...]
    """The stages, finest first; the last is the deepest."""

    multiple: int = 1
    """The sides of its images must be multiples of this, px."""

    @abstractmethod
    def forward(self, images: Tensor) -> list[Tensor]:
        """Return the features of each level.

        Of (n, 3, h, w) images each is (n, channels, ceil(h / stride), ceil(w / stride)).
        """

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
