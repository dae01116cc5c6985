"""What pretrained weights expect of their input: channel order and normalisation."""

from __future__ import annotations

from typing import NamedTuple

Triple = tuple[float, float, float]


class InputConvention(NamedTuple):
    """What a network's weights expect; a property of the weights, never of the dataset."""

    mean: Triple
    """RGB, 0..255, subtracted."""
    scale: Triple
    """RGB, divided by."""
    bgr: bool
    """Whether the first layer of the file sees blue first."""


CONVENTIONS = {
    "torchvision": InputConvention((123.675, 116.28, 103.53), (58.395, 57.12, 57.375), bgr=False),
    "caffe_bgr": InputConvention((123.68, 116.779, 103.939), (1.0, 1.0, 1.0), bgr=True),
    "caffe_rgb": InputConvention((123.68, 116.779, 103.939), (1.0, 1.0, 1.0), bgr=False),
}
"""``caffe_bgr``: the original VGG-16; ``caffe_rgb``: torchvision's ``IMAGENET1K_FEATURES``."""
