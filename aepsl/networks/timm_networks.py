"""Any backbone of timm, by its name there; what a network is, timm says."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import timm
import torch
from timm.layers import Conv2dSame, freeze_batch_norm_2d
from timm.models import group_modules
from torch import Tensor, nn
from torch.nn import functional

from aepsl.grid import Grid
from aepsl.networks.backbones import Backbone, BackboneShape, Level, copy_tensors
from aepsl.networks.positions import follow, grid_of
from aepsl.networks.pretrained import InputConvention

DEPTHS = 4
"""Levels of a network of one stride (ViT): after so many equal parts of its blocks."""

ANY_SIZE: tuple[dict[str, bool], ...] = (
    {"dynamic_img_size": True},
    {"strict_img_size": False},
    {},
)
"""Options with which timm's networks take images of any size; the first that one knows counts."""


def create(name: str, *, stride: int | None) -> Any:
    """Return the network ``name`` of timm without its last layers, randomly initialised.

    Its largest stride is ``stride`` only if the network has that option.

    Raises:
        ValueError: if timm has no such network.
    """
    if not timm.is_model(name):
        raise ValueError(f"timm has no network {name}{_similar(name)}")
    options = {} if stride is None else {"output_stride": stride}
    for wanted in (options, {}):
        for sizes in ANY_SIZE:
            try:
                return timm.create_model(name, num_classes=0, **wanted, **sizes)
            except TypeError:  # an option that this network does not have
                continue
    raise ValueError(f"timm cannot make the network {name}")


def _similar(name: str) -> str:
    near = timm.list_models(f"*{name.split('.', maxsplit=1)[0]}*")[:3]
    return f"; it has {', '.join(near)}" if near else ""


def grids(model: Any, *, side: int) -> list[Grid]:
    """Return the grid of each of a network's features.

    Args:
        model: a network on the device ``meta``.
        side: of the images that it is tried with, px.
    """
    images = torch.zeros(1, 3, side, side, device="meta")
    with follow(images):
        features = _features(model, images, None)
    return [grid_of(feature, side=side) for feature in features]


def _features(model: Any, images: Tensor, indices: list[int] | None) -> list[Tensor]:
    features: list[Tensor] = model.forward_intermediates(
        images, indices=indices, norm=True, output_fmt="NCHW", intermediates_only=True
    )
    return features


def _chosen(strides: list[int]) -> list[int]:
    """Return the numbers of the features that become levels: of one stride, ``DEPTHS``."""
    count = len(strides)
    if len(set(strides)) > 1 or count <= DEPTHS:
        return list(range(count))
    return [count * (k + 1) // DEPTHS - 1 for k in range(DEPTHS)]


class TimmBackbone(Backbone):
    """A network of timm without its last layers; it keeps timm's names of tensors.

    Its levels are the features that timm reports, after the network's last normalisation.
    """

    def __init__(self, name: str, shape: BackboneShape) -> None:
        super().__init__()
        with torch.device("meta"):
            tried = create(name, stride=shape.stride)
        strides = [int(level["reduction"]) for level in _info(tried)]
        if shape.stride not in (None, max(strides)):
            raise ValueError(f"its largest stride is {max(strides)}; set networks.stride to that")
        self._indices = _chosen(strides)
        try:
            found = grids(tried.eval(), side=8 * max(strides))
        except (RuntimeError, AssertionError) as error:
            raise ValueError("it does not take images of any size; choose another") from error
        self.levels = tuple(Level(int(_info(tried)[k]["num_chs"]), found[k]) for k in self._indices)
        self.multiple = max(strides)
        self.layers = create(name, stride=shape.stride)
        self.layers.prune_intermediate_layers(self._indices)
        _with_constant_padding(self.layers)
        self._groups = group_modules(self.layers, self.layers.group_matcher(coarse=True))
        if shape.fixed_norm:
            self.layers = freeze_batch_norm_2d(self.layers)

    def forward(self, images: Tensor) -> list[Tensor]:
        """Return the features of each level."""
        return _features(self.layers, images, self._indices)

    @torch.no_grad()
    def load(self, tensors: Mapping[str, Tensor], *, bgr: bool) -> None:
        """Copy tensors under timm's names; those of the last layers are skipped."""
        if bgr:
            raise ValueError("timm's networks expect RGB")
        copy_tensors(self.layers, tensors)

    def blocks(self) -> list[list[nn.Module]]:
        """Return the stem and the blocks, as timm groups them."""
        return [
            [self.layers.get_submodule(name) for name in names if name]
            for _, names in sorted(self._groups.items())
        ]


class _SamePadding(nn.Conv2d):
    """TensorFlow's padding for sides that the stride divides: the same for every size."""

    def forward(self, images: Tensor) -> Tensor:
        """Return the convolved images."""
        options = zip(self.kernel_size, self.stride, self.dilation, strict=True)
        rows, columns = (max((kernel - 1) * d + 1 - stride, 0) for kernel, stride, d in options)
        before, above = columns // 2, rows // 2
        padded = functional.pad(images, (before, columns - before, above, rows - above))
        return super().forward(padded)


def _with_constant_padding(model: nn.Module) -> None:
    """Replace padding that is computed from each size: an ONNX graph has one for all."""
    for layer in model.modules():
        if type(layer) is Conv2dSame:
            layer.__class__ = _SamePadding


def _info(model: Any) -> list[Mapping[str, Any]]:
    info = model.feature_info
    return list(getattr(info, "info", info))


def licence_of(name: str) -> str | None:
    """Return the licence of a network's pretrained weights, if timm knows it."""
    facts = timm.get_pretrained_cfg(name)
    return facts.license if facts else None


def convention_of(name: str) -> InputConvention:
    """Return how a network's input is normalised.

    Raises:
        ValueError: if timm has no such network.
    """
    facts = timm.get_pretrained_cfg(name)
    if facts is None:
        raise ValueError(f"timm has no network {name}{_similar(name)}")
    mean, deviation = (tuple(255 * value for value in part) for part in (facts.mean, facts.std))
    return InputConvention(mean, deviation, bgr=False)
