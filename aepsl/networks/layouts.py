"""Names and shapes of the pretrained weights of each backbone, without importing torch."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from typing import NamedTuple

Shapes = dict[str, tuple[int, ...]]
"""Shape of each tensor by name."""

VGG16_BLOCKS = ((64, 2), (128, 2), (256, 3), (512, 3), (512, 3))
"""Channels and convolutions of each block of VGG-16 (Simonyan & Zisserman, 2015)."""

CONVOLUTIONS = tuple(
    f"conv{block}_{index}"
    for block, (_, repeats) in enumerate(VGG16_BLOCKS, start=1)
    for index in range(1, repeats + 1)
)

RESNET50_STAGES = ((64, 3), (128, 4), (256, 6), (512, 3))
"""Channels of the 3x3 convolutions, and blocks, of each stage of ResNet-50 (He et al., 2016)."""

NORM = ("weight", "bias", "running_mean", "running_var")
"""The tensors of a batch normalisation, with one value per channel."""


def scaled_channels(full: int, width: float) -> int:
    """Return ``full`` channels times ``width``, at least 4."""
    return max(4, round(full * width))


def _vgg16(width: float, batch_norm: bool) -> Iterator[tuple[str, tuple[int, ...]]]:
    inputs = 3
    for block, (full, repeats) in enumerate(VGG16_BLOCKS, start=1):
        outputs = scaled_channels(full, width)
        for index in range(1, repeats + 1):
            name = f"conv{block}_{index}"
            yield f"{name}.weight", (outputs, inputs, 3, 3)
            yield f"{name}.bias", (outputs,)
            if batch_norm:
                yield from ((f"{name}_norm.{part}", (outputs,)) for part in NORM)
            inputs = outputs


def _resnet50() -> Iterator[tuple[str, tuple[int, ...]]]:
    def layer(conv: str, norm: str, *shape: int) -> Iterator[tuple[str, tuple[int, ...]]]:
        yield f"{conv}.weight", shape
        yield from ((f"{norm}.{part}", shape[:1]) for part in NORM)

    yield from layer("conv1", "bn1", 64, 3, 7, 7)
    inputs = 64
    for stage, (width, blocks) in enumerate(RESNET50_STAGES, start=1):
        for block in range(blocks):
            name, outputs = f"layer{stage}.{block}.", 4 * width
            yield from layer(f"{name}conv1", f"{name}bn1", width, inputs, 1, 1)
            yield from layer(f"{name}conv2", f"{name}bn2", width, width, 3, 3)
            yield from layer(f"{name}conv3", f"{name}bn3", outputs, width, 1, 1)
            if block == 0:
                names = f"{name}downsample.0", f"{name}downsample.1"
                yield from layer(*names, outputs, inputs, 1, 1)
            inputs = outputs


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


class Layout(NamedTuple):
    """The pretrained weights that a backbone accepts."""

    weights: Mapping[str, str]
    """torchvision's weights names, and the input convention of each."""
    shapes: Callable[[float, bool], Shapes]
    """Function from width and use of batch normalisation to the tensors that the backbone loads."""
    names: Callable[[Mapping[str, tuple[int, ...]]], Mapping[str, str]]
    """Function from a file's shapes to its names, by the backbone's names; may raise ValueError."""


VGG16 = Layout(
    weights={"IMAGENET1K_V1": "torchvision", "IMAGENET1K_FEATURES": "caffe_rgb"},
    shapes=lambda width, batch_norm: dict(_vgg16(width, batch_norm)),
    names=caffe_names,
)
RESNET50 = Layout(
    weights={"IMAGENET1K_V1": "torchvision", "IMAGENET1K_V2": "torchvision"},
    shapes=lambda width, batch_norm: dict(_resnet50()),
    names=lambda shapes: {name: name for name in shapes},
)

LAYOUTS: Mapping[str, Layout] = {"vgg16": VGG16, "resnet50": RESNET50}
"""Layouts by backbone; weights of other backbones are checked only when they are loaded."""
