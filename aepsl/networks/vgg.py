"""The convolutions of VGG-16 as DeepLab uses them: stride 8, every pooling 3x3."""

from __future__ import annotations

import re
from collections import OrderedDict
from collections.abc import Mapping

import torch
from torch import Tensor, nn

from aepsl.grid import Grid
from aepsl.networks.backbones import Backbone, BackboneShape, Level, copy_tensors
from aepsl.networks.layers import convolution

BLOCKS = ((64, 2), (128, 2), (256, 3), (512, 3), (512, 3))
"""Channels and convolutions of each block of VGG-16 (Simonyan & Zisserman, 2015)."""

CONVOLUTIONS = tuple(
    f"conv{block}_{index}"
    for block, (_, repeats) in enumerate(BLOCKS, start=1)
    for index in range(1, repeats + 1)
)

WEIGHTS = {"IMAGENET1K_V1": "torchvision", "IMAGENET1K_FEATURES": "caffe_rgb"}
"""torchvision's weights of VGG-16 by name, and the input convention of each."""


def scaled_channels(full: int, width: float) -> int:
    """Return ``full`` channels times ``width``, at least 4."""
    return max(4, round(full * width))


class Vgg16(Backbone):
    """conv1_1 ... conv5_3, named as in Caffe; later poolings and conv5 keep the stride."""

    def __init__(self, shape: BackboneShape) -> None:
        super().__init__()
        if shape.stride not in (8, 16):
            raise ValueError("vgg16 has stride 8 or 16; set networks.stride to one of them")
        striding = {8: 3, 16: 4}[shape.stride]
        layers: list[tuple[str, nn.Module]] = []
        inputs = 3
        for block, (full, repeats) in enumerate(BLOCKS, start=1):
            outputs = scaled_channels(full, shape.width)
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
        self.levels = (Level(inputs, Grid(shape.stride)),)
        self.layers = nn.Sequential(OrderedDict(layers))

    def forward(self, images: Tensor) -> list[Tensor]:
        """Return the features after pool5."""
        return [self.layers(images)]

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


def caffe_named(tensors: Mapping[str, Tensor], *, bgr: bool) -> dict[str, Tensor]:
    """Return the convolution tensors under Caffe's names, with conv1_1 converted to RGB.

    Args:
        tensors: named as in Caffe (``conv1_1.weight``) or torchvision (``features.0.weight``);
            tensors of other layers are skipped.
        bgr: whether conv1_1 expects BGR; its input channels are then reversed.

    Raises:
        ValueError: if a convolution is missing.
    """
    names = caffe_names({name: tuple(tensor.shape) for name, tensor in tensors.items()})
    renamed = {ours: tensors[name] for ours, name in names.items()}
    missing = [name for name in CONVOLUTIONS if f"{name}.weight" not in renamed]
    if missing:
        raise ValueError(f"no weights for {', '.join(missing)}")
    if bgr:
        renamed["conv1_1.weight"] = renamed["conv1_1.weight"].flip(1)
    return renamed


def caffe_names(shapes: Mapping[str, tuple[int, ...]]) -> dict[str, str]:
    """Map Caffe's names of VGG-16's convolutional tensors to the names in a weights file.

    torchvision numbers its layers (``features.0.weight``) in the same order.

    Args:
        shapes: tensor shapes in the file, named as in Caffe (``conv1_1.weight``) or torchvision.

    Raises:
        ValueError: if the numbered layers are not those of VGG-16.
    """
    layers: dict[int, dict[str, str]] = {}
    for name in shapes:
        if match := re.fullmatch(r"features\.(\d+)\.(\w+)", name):
            layers.setdefault(int(match[1]), {})[match[2]] = name
    if not layers:
        return {name: name for name in shapes if name.split(".")[0].startswith("conv")}
    names: dict[str, str] = {}
    convolutions = iter(CONVOLUTIONS)
    current = ""
    for number in sorted(layers):
        is_convolution = len(shapes.get(layers[number].get("weight", ""), ())) == 4
        current = next(convolutions, "") if is_convolution else current
        if not current:
            raise ValueError(f"features.{number} is no layer of VGG-16")
        prefix = current if is_convolution else f"{current}_norm"
        names |= {f"{prefix}.{part}": name for part, name in layers[number].items()}
    return names
