"""Networks and their training."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Literal

from pydantic import model_validator

from aepsl.config.sections import Section, setting


class Networks(Section):
    """Backbone and pretrained weights of the classifier and the segmentation network."""

    backbone: str = setting(
        "vgg16",
        "Backbone: vgg16, the paper's, or timm/ and the name of a network of timm.",
        unit="-",
        source="paper: VGG-16",
        pattern=r"^(vgg16|timm/\S+)$",
    )
    stride: int = setting(
        8,
        "Largest stride of the backbone, by dilation where it can; decoders that take features of"
        " all strides (fpn, unet) leave them as they are.",
        unit="px",
        source="paper: 8",
        ge=1,
    )
    scale: float = setting(
        1.0,
        "Size at which the networks see photographs, as a factor of their size; the scales of"
        " trainings, CAMs and predictions are relative to it.",
        unit="-",
        source="paper: 1",
        gt=0,
        le=1,
    )
    weights: str = setting(
        "random",
        "Initial weights: random; pretrained, which are timm's; a torchvision weights name (vgg16);"
        " or a .npz/.pth/.safetensors file.",
        unit="-",
        source="paper: ImageNet weights",
    )
    weights_input: Literal["torchvision", "caffe_bgr", "caffe_rgb"] = setting(
        "torchvision",
        "Input convention of a weights file of vgg16: channel order and normalisation.",
        unit="-",
        source="the weights' documentation",
    )
    width: float = setting(
        1.0, "Width multiplier of all layers (vgg16 only).", unit="-", source="VGG-16", gt=0
    )
    fc6_dilation: int = setting(
        12, "Dilation of fc6 (largefov).", unit="cells", source="DeepLab-LargeFOV", ge=1
    )
    batch_norm: bool = setting(
        False,
        "Batch normalisation after each convolution (vgg16).",
        unit="-",
        source="needed from scratch",
    )
    dropout: float = setting(
        0.5,
        "Dropout probability after fc6 and fc7; aspp always uses 0.5.",
        unit="probability",
        source="VGG-16",
        ge=0,
        lt=1,
    )
    frozen_blocks: int = setting(
        0,
        "Number of leading backbone blocks that are frozen.",
        unit="blocks",
        source="-",
        ge=0,
        le=5,
    )
    precision: Literal["float32", "bfloat16", "auto"] = setting(
        "auto",
        "Precision of convolutions, in training, CAMs and predictions; auto: bfloat16 if this"
        " hardware computes it faster than float32.",
        unit="-",
        source="float32 when the paper was written; mixed precision: Kalamkar et al. 2019",
    )

    @property
    def weights_are_a_file(self) -> bool:
        """Whether ``weights`` is the path of a file, not a torchvision name."""
        return self.weights.endswith((".npz", ".pth", ".pt", ".safetensors"))

    def paths(self) -> set[str]:
        """Return ``weights`` if it is a file."""
        return {"weights"} if self.weights_are_a_file else set()

    @model_validator(mode="after")
    def _known_to_the_backbone(self) -> Networks:
        if self.backbone != "vgg16" and self.width != 1:
            raise ValueError("width is for vgg16 only; set networks.width to 1")
        return self


class Training(Section):
    """How a network is trained."""

    epochs: int = setting(15, "Number of epochs.", unit="epochs", source="paper, Fig. 5a", ge=1)
    batch_size: int = setting(30, "Batch size.", unit="images", source="paper, sec. 4.2", ge=1)
    crop: int = setting(
        321,
        "Side of the random crop, at most that of the largest photograph.",
        unit="px",
        source="paper",
        ge=33,
    )
    scale_min: float = setting(
        0.8,
        "Smallest scale factor of the augmentation, relative to networks.scale.",
        unit="-",
        source="chosen; 1 in DeepLab",
        gt=0,
    )
    scale_max: float = setting(
        1.2,
        "Largest scale factor of the augmentation, relative to networks.scale.",
        unit="-",
        source="chosen",
        gt=0,
    )
    flip: bool = setting(True, "Mirror images with probability 0.5.", unit="-", source="DeepLab")
    learning_rate: float = setting(
        1e-3, "Initial learning rate.", unit="-", source="paper, sec. 4.2", gt=0
    )
    new_layers_factor: float = setting(
        10.0,
        "Learning-rate factor of new layers: those without pretrained weights (last layers, often"
        " fc6 and fc7).",
        unit="-",
        source="paper, sec. 4.2: the last layer; its fc6 and fc7 are pretrained on ImageNet",
        gt=0,
    )
    optimizer: Literal["sgd", "adamw"] = setting(
        "sgd", "Optimizer.", unit="-", source="paper: SGD; AdamW: Loshchilov & Hutter 2019"
    )
    momentum: float = setting(0.9, "Momentum of SGD.", unit="-", source="recalled: 0.9", ge=0, lt=1)
    weight_decay: float = setting(5e-4, "Weight decay.", unit="-", source="recalled: 5e-4", ge=0)

    @model_validator(mode="after")
    def _ordered(self) -> Training:
        if self.scale_min > self.scale_max:
            raise ValueError("scale_min is larger than scale_max")
        return self

    def crop_of(self, sides: Iterable[int], *, scale: float) -> int:
        """Return the side of the crops, px: ``crop``, or as much as the largest photograph fills.

        Args:
            sides: longer side of each photograph, px.
            scale: ``networks.scale``.
        """
        filled = (math.ceil(side * scale * self.scale_max) for side in sides)
        return min(self.crop, max(filled, default=self.crop))
