"""The convolutions of VGG-16 as DeepLab uses them: stride 8, every pooling 3x3."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping
from typing import ClassVar

import torch
from torch import Tensor, nn

from aepsl.networks.backbones import Backbone, BackboneShape, copy_tensors
from aepsl.networks.layers import convolution
from aepsl.networks.layouts import CONVOLUTIONS, VGG16, VGG16_BLOCKS, caffe_names, scaled_channels


class Vgg16(Backbone):
    """conv1_1 ... conv5_3, named as in Caffe; later poolings and conv5 keep the stride."""

    weights: ClassVar[Mapping[str, str]] = VGG16.weights

    def __init__(self, shape: BackboneShape) -> None:
        super().__init__()
        striding = {8: 3, 16: 4}[shape.stride]
        layers: list[tuple[str, nn.Module]] = []
        inputs = 3
        for block, (full, repeats) in enumerate(VGG16_BLOCKS, start=1):
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
