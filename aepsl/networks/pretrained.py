"""Pretrained VGG-16 weights: whose names, whose channel order, whose normalisation."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import NamedTuple

import torch
from torch import Tensor, nn

from aepsl.networks.vgg import VGG16_BLOCKS

Triple = tuple[float, float, float]


class InputConvention(NamedTuple):
    """What a network's weights expect; a property of the weights, never of the dataset."""

    mean: Triple
    """RGB, 0..255, subtracted."""
    scale: Triple
    """RGB, divided by."""
    bgr: bool
    """Whether conv1_1 of the file sees blue first."""


CONVENTIONS = {
    "torchvision": InputConvention((123.675, 116.28, 103.53), (58.395, 57.12, 57.375), bgr=False),
    "caffe_bgr": InputConvention((123.68, 116.779, 103.939), (1.0, 1.0, 1.0), bgr=True),
    "caffe_rgb": InputConvention((123.68, 116.779, 103.939), (1.0, 1.0, 1.0), bgr=False),
}
"""``caffe_bgr``: the original VGG-16; ``caffe_rgb``: torchvision's ``IMAGENET1K_FEATURES``."""

TORCHVISION_INPUT = {"IMAGENET1K_V1": "torchvision", "IMAGENET1K_FEATURES": "caffe_rgb"}
"""torchvision's names of VGG-16 weights and their convention."""

CONVOLUTIONS = tuple(
    f"conv{block}_{index}"
    for block, (_, repeats) in enumerate(VGG16_BLOCKS, start=1)
    for index in range(1, repeats + 1)
)


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
        convolution = tensors[layers[number]["weight"]].ndim == 4
        current = next(convolutions) if convolution else current
        prefix = current if convolution else f"{current}_norm"
        ours |= {name: f"{prefix}.{part}" for part, name in layers[number].items()}
    return ours


def backbone_tensors(tensors: Mapping[str, Tensor], *, bgr: bool) -> dict[str, Tensor]:
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


def load_backbone(features: nn.Sequential, tensors: Mapping[str, Tensor]) -> None:
    """Copy tensors named as in :func:`backbone_tensors` into the convolutions; fc6, fc7 stay.

    Raises:
        ValueError: if a shape differs, or the network has layers that the tensors lack.
    """
    own = {name: t for name, t in features.state_dict().items() if name.startswith("conv")}
    for name, tensor in own.items():
        if name.endswith("num_batches_tracked") and name not in tensors:
            continue
        if name not in tensors:
            raise ValueError(f"the network has {name}, the weights do not")
        if tensor.shape != tensors[name].shape:
            ours, theirs = tuple(tensor.shape), tuple(tensors[name].shape)
            raise ValueError(f"{name} has shape {theirs}, the network needs {ours}")
        with torch.no_grad():
            tensor.copy_(tensors[name])


def leading_blocks(features: nn.Sequential, count: int) -> list[nn.Module]:
    """Return the layers of the first ``count`` of VGG-16's five blocks."""
    names = tuple(f"conv{block}_" for block in range(1, count + 1))
    return [layer for name, layer in features.named_children() if name.startswith(names)]
