"""ResNet-50 (He et al., 2016) from torchvision, dilated to stride 8 or 16."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

import torch
from torch import Tensor, nn

from aepsl.networks.backbones import Backbone, BackboneShape, copy_tensors
from aepsl.networks.layouts import RESNET50


class ResNet50(Backbone):
    """torchvision's layers under torchvision's names, without pooling and classifier.

    With pretrained weights, batch normalisation uses their statistics, because batches are small.
    """

    weights: ClassVar[Mapping[str, str]] = RESNET50.weights

    def __init__(self, shape: BackboneShape) -> None:
        from torchvision.models import resnet50
        from torchvision.ops import FrozenBatchNorm2d

        super().__init__()
        dilated = {8: [False, True, True], 16: [False, False, True]}[shape.stride]
        norm = FrozenBatchNorm2d if shape.fixed_norm else nn.BatchNorm2d
        full = resnet50(weights=None, norm_layer=norm, replace_stride_with_dilation=dilated)
        self.channels = full.fc.in_features
        names = ("conv1", "bn1", "relu", "maxpool", "layer1", "layer2", "layer3", "layer4")
        self.layers = nn.Sequential()
        for name in names:
            self.layers.add_module(name, getattr(full, name))

    def forward(self, images: Tensor) -> Tensor:
        """Return the features of layer4."""
        return self.layers(images)

    @torch.no_grad()
    def load(self, tensors: Mapping[str, Tensor], *, bgr: bool) -> None:
        """Copy tensors under torchvision's names (``layer1.0.conv1.weight``)."""
        if bgr and "conv1.weight" in tensors:
            tensors = {**tensors, "conv1.weight": tensors["conv1.weight"].flip(1)}
        copy_tensors(self.layers, tensors)

    def blocks(self) -> list[list[nn.Module]]:
        """Return the stem and the four stages."""
        stem, stages = list(self.layers)[:4], list(self.layers)[4:]
        return [stem, *([stage] for stage in stages)]
