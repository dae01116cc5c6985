"""The network that is kept, and what it answers."""

from __future__ import annotations

from typing import Literal

from aepsl.config.networks import Training
from aepsl.config.sections import Section, knob


class SegmentationTraining(Training):
    """Training of the segmentation network."""

    poly_power: float = knob(0.9, "Power of the poly policy.", unit="-", source="DeepLab", gt=0)


class Segmentation(Section):
    """The network that is kept."""

    head: Literal["largefov", "aspp"] = knob(
        "largefov",
        "Layers between the backbone and the scores; aspp is DeepLabV3's.",
        unit="-",
        source="paper: LargeFOV",
    )
    psl: Literal["none", "scores", "labels"] = knob(
        "scores",
        "Prohibitive learning: v is the image scores, or the true labels; none is without.",
        unit="-",
        source="paper, sec. 3.2 and Table 4",
    )
    psl_after: int = knob(
        0,
        "Epochs before PSL sets in; a branch that starts from random weights prohibits everything.",
        unit="epochs",
        source="paper: 0, from ImageNet's weights",
        ge=0,
    )
    relabel_rounds: int = knob(
        0,
        "Times that the trained network labels its images and is trained anew (PSL++: 1).",
        unit="rounds",
        source="paper, Table 4",
        ge=0,
    )
    relabel_by: Literal["none", "scores", "labels"] = knob(
        "scores",
        "v of these masks: the image scores, the true labels, or 1 for every class.",
        unit="-",
        source="paper, section 3.2: the equation of S_hat",
    )
    relabel_crf: bool = knob(
        False, "Refine these masks by the CRF.", unit="-", source="the paper does not say"
    )
    train: SegmentationTraining = SegmentationTraining()


class Prediction(Section):
    """Masks from the segmentation network."""

    scales: tuple[float, ...] = knob(
        (1.0,), "Scales whose scores are averaged.", unit="-", source="paper: 1", min_length=1
    )
    flip: bool = knob(False, "Average with the mirrored image.", unit="-", source="paper: no")
    threshold: float = knob(
        0.1, "Class scores below p become 0.", unit="0..1", source="paper, sec. 3.2", ge=0, lt=1
    )
    palette_png: bool = knob(
        False, "Write the last masks as palette PNGs, too.", unit="-", source="VOC"
    )


class Crf(Section):
    """Fully connected CRF; the defaults are DeepLab-LargeFOV's."""

    enabled: bool = knob(True, "Refine the predictions.", unit="-", source="paper, sec. 3.2")
    iterations: int = knob(
        10, "Mean-field iterations.", unit="iterations", source="DeepLab-LargeFOV", ge=1
    )
    bilateral_weight: float = knob(4.0, "bi_w.", unit="-", source="DeepLab-LargeFOV", ge=0)
    bilateral_xy: float = knob(121.0, "bi_xy_std.", unit="px", source="DeepLab-LargeFOV", gt=0)
    bilateral_rgb: float = knob(5.0, "bi_rgb_std.", unit="0..255", source="DeepLab-LargeFOV", gt=0)
    gaussian_weight: float = knob(3.0, "pos_w.", unit="-", source="DeepLab-LargeFOV", ge=0)
    gaussian_xy: float = knob(3.0, "pos_xy_std.", unit="px", source="DeepLab-LargeFOV", gt=0)
