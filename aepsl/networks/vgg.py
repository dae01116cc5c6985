"""The convolutions of VGG-16 as DeepLab uses them: stride 8, every pooling 3x3."""

from __future__ import annotations

import re
from collections import OrderedDict
from collections.abc import Mapping
from typing import ClassVar

import torch
from torch import Tensor, nn

from aepsl.networks.backbones import Backbone, BackboneShape, copy_tensors
from aepsl.networks.layers import convolution

VGG16_BLOCKS = ((64, 2), (128, 2), (256, 3), (512, 3), (512, 3))
"""Channels and convolutions of each block of VGG-16 (Simonyan & Zisserman, 2015)."""

CONVOLUTIONS = tuple(
    f"conv{block}_{index}"
    for block, (_, repeats) in enumerate(VGG16_BLOCKS, start=1)
    for index in range(1, repeats + 1)
)


class Vgg16(Backbone):
    """conv1_1 ... conv5_3, named as in Caffe; later poolings and conv5 keep the stride."""

    weights: ClassVar[Mapping[str, str]] = {
        "IMAGENET1K_V1": "torchvision",
        "IMAGENET1K_FEATURES": "caffe_rgb",
    }

    def __init__(self, shape: BackboneShape) -> None:
        super().__init__()
        striding = {8: 3, 16: 4}[shape.stride]
        layers: list[tuple[str, nn.Module]] = []
        inputs = 3
        for block, (full, repeats) in enumerate(VGG16_BLOCKS, start=1):
            outputs = scaled(full, shape.width)
            for index in range(1, repeats + 1):
                layers += convolution(
                    f"conv{block}_{index}",
                    inputs,
                    outputs,
                    kernel=3,
                    dilation=2 if block > striding + 1 else 1,
                    batch_norm=shape.batch_norm,
                )
                inputs = outputs
            pool = nn.MaxPool2d(3, stride=2 if block <= striding else 1, padding=1)
            layers.append((f"pool{block}", pool))
        self.channels = inputs
        self.layers = nn.Sequential(OrderedDict(layers))

    def forward(self, images: Tensor) -> Tensor:
        """Return the features after pool5."""
        return self.layers(images)

    @torch.no_grad()
    def load(self, tensors: Mapping[str, Tensor], *, bgr: bool) -> None:
        """Copy tensors under Caffe's names (``conv1_1.weight``) or torchvision's."""
        copy_tensors(self.layers, caffe_named(tensors, bgr=bgr))

    def blocks(self) -> list[list[nn.Module]]:
        """Return the layers of the five blocks."""
        return [
            [layer for name, layer in self.layers.named_children() if name.startswith(f"conv{b}_")]
            for b in range(1, 6)
        ]


def scaled(full: int, width: float) -> int:
    """Return the channels of a layer that has ``full`` of them at width 1; at least 4."""
    return max(4, round(full * width))


def _torchvision_names(tensors: Mapping[str, Tensor]) -> dict[str, str]:
    """Return our names for torchvision's: its layers are numbered in the order of ours."""
    layers: dict[int, dict[str, str]] = {}
    for name in tensors:
        match = re.fullmatch(r"features\.(\d+)\.(\w+)", name)
        if match:
            layers.setdefault(int(match[1]), {})[match[2]] = name
    ours: dict[str, str] = {}
    convolutions = iter(CONVOLUTIONS)
    current = ""
    for number in sorted(layers):
        is_convolution = tensors[layers[number]["weight"]].ndim == 4
        current = next(convolutions) if is_convolution else current
        prefix = current if is_convolution else f"{current}_norm"
        ours |= {name: f"{prefix}.{part}" for part, name in layers[number].items()}
    return ours


def caffe_named(tensors: Mapping[str, Tensor], *, bgr: bool) -> dict[str, Tensor]:
    """Return the convolution tensors under Caffe's names, with conv1_1 seeing RGB.

    Args:
        tensors: named as in Caffe (``conv1_1.weight``) or torchvision (``features.0.weight``);
            tensors of other layers are left out.
        bgr: whether conv1_1 sees blue first; its input channels are then reversed.

    Raises:
        ValueError: if a convolution is missing.
    """
    names = _torchvision_names(tensors) or {name: name for name in tensors}
    found = {
        ours: tensors[name] for name, ours in names.items() if ours.split(".")[0].startswith("conv")
    }
    missing = [name for name in CONVOLUTIONS if f"{name}.weight" not in found]
    if missing:
        raise ValueError(f"no weights for {', '.join(missing)}")
    if bgr:
        found["conv1_1.weight"] = found["conv1_1.weight"].flip(1)
    return found
