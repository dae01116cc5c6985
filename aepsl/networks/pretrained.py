"""Input conventions of pretrained weights: channel order and normalisation."""

from __future__ import annotations

from typing import NamedTuple

Triple = tuple[float, float, float]


class InputConvention(NamedTuple):
    """Channel order and normalisation that weights expect, independent of the dataset."""

    mean: Triple
    """Mean that is subtracted, RGB, 0..255."""
    scale: Triple
    """Scale that RGB is divided by."""
    bgr: bool
    """Whether the weights expect BGR."""


CONVENTIONS = {
    "torchvision": InputConvention((123.675, 116.28, 103.53), (58.395, 57.12, 57.375), bgr=False),
    "caffe_bgr": InputConvention((123.68, 116.779, 103.939), (1.0, 1.0, 1.0), bgr=True),
    "caffe_rgb": InputConvention((123.68, 116.779, 103.939), (1.0, 1.0, 1.0), bgr=False),
}
"""``caffe_bgr``: the original VGG-16; ``caffe_rgb``: torchvision's ``IMAGENET1K_FEATURES``."""
