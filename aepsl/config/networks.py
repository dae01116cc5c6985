"""Which networks, and how any of them is trained."""

from __future__ import annotations

from typing import Literal

from pydantic import model_validator

from aepsl.config.sections import Section, knob


class Networks(Section):
    """What turns a photograph into features, for mining and for segmentation."""

    backbone: Literal["vgg16", "resnet50"] = knob(
        "vgg16", "The network that weights are pretrained for.", unit="-", source="paper: VGG-16"
    )
    stride: Literal[8, 16] = knob(
        8, "Pixels from one cell of the features to the next.", unit="px", source="paper: 8"
    )
    weights: str = knob(
        "random",
        "random, torchvision's name of weights, or a .npz/.pth/.safetensors file.",
        unit="-",
        source="paper: ImageNet's",
    )
    weights_input: Literal["torchvision", "caffe_bgr", "caffe_rgb"] = knob(
        "torchvision", "What a local weights file was trained on.", unit="-", source="its author"
    )
    width: float = knob(
        1.0, "Factor of every layer's channels (vgg16).", unit="-", source="VGG-16", gt=0
    )
    fc6_dilation: int = knob(12, "Dilation of fc6.", unit="cells", source="DeepLab-LargeFOV", ge=1)
    batch_norm: bool = knob(
        False,
        "Batch normalisation after each convolution (vgg16; ResNet always has it).",
        unit="-",
        source="needed from scratch",
    )
    dropout: float = knob(
        0.5,
        "Dropout after fc6 and fc7; DeepLabV3's pyramid has its own, 0.5.",
        unit="share",
        source="VGG-16",
        ge=0,
        lt=1,
    )
    frozen_blocks: int = knob(
        0, "Leading blocks of the backbone kept as loaded.", unit="blocks", source="-", ge=0, le=5
    )

    @model_validator(mode="after")
    def _known_to_the_backbone(self) -> Networks:
        if self.backbone != "vgg16" and self.width != 1:
            raise ValueError("width is for vgg16 only; set networks.width to 1")
        return self


class Training(Section):
    """How a network is trained."""

    epochs: int = knob(15, "Passes over the images.", unit="epochs", source="paper, Fig. 5a", ge=1)
    batch_size: int = knob(30, "Images a step.", unit="images", source="paper, sec. 4.2", ge=1)
    crop: int = knob(321, "Side of the random crop, 8 k + 1.", unit="px", source="paper", ge=33)
    scale_min: float = knob(
        0.8, "Smallest random scale.", unit="-", source="chosen; 1 in DeepLab", gt=0
    )
    scale_max: float = knob(1.2, "Largest random scale.", unit="-", source="chosen", gt=0)
    flip: bool = knob(True, "Mirror every second image.", unit="-", source="DeepLab")
    learning_rate: float = knob(
        1e-3, "First learning rate.", unit="-", source="paper, sec. 4.2", gt=0
    )
    new_layers_factor: float = knob(
        10.0,
        "Times as fast for the layers that no weights are loaded for: heads, often fc6 and fc7.",
        unit="-",
        source="paper, sec. 4.2: the last layer, its fc6 and fc7 being ImageNet's",
        gt=0,
    )
    momentum: float = knob(0.9, "Momentum of SGD.", unit="-", source="recalled: 0.9", ge=0, lt=1)
    weight_decay: float = knob(5e-4, "Weight decay.", unit="-", source="recalled: 5e-4", ge=0)
    precision: Literal["float32", "bfloat16", "auto"] = knob(
        "float32",
        "Of the products in a step; auto is bfloat16 where the hardware multiplies it.",
        unit="-",
        source="paper's years; mixed precision: Kalamkar et al. 2019",
    )

    @model_validator(mode="after")
    def _ordered(self) -> Training:
        if self.scale_min > self.scale_max:
            raise ValueError("scale_min is larger than scale_max")
        return self
