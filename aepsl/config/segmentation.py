"""Segmentation network, prediction and CRF."""

from __future__ import annotations

from typing import Any, Literal

from aepsl.config.networks import Training
from aepsl.config.sections import Section, setting


class SegmentationTraining(Training):
    """Training of the segmentation network."""

    poly_power: float = setting(
        0.9, "Exponent of the poly learning-rate schedule.", unit="-", source="DeepLab", gt=0
    )


class Segmentation(Section):
    """The segmentation network."""

    head: Literal[
        "largefov",
        "none",
        "deeplabv3",
        "deeplabv3plus",
        "fpn",
        "linknet",
        "manet",
        "pspnet",
        "segformer",
        "unet",
        "unetplusplus",
        "upernet",
    ] = setting(
        "largefov",
        "Head of the segmentation network: largefov, the paper's; none; or a decoder of"
        " segmentation_models_pytorch.",
        unit="-",
        source="paper: LargeFOV",
    )
    psl: Literal["none", "scores", "labels"] = setting(
        "scores",
        "Prohibitive segmentation learning: scores (v from the classification branch), labels (v"
        " from the image labels), or none.",
        unit="-",
        source="paper, sec. 3.2 and Table 4",
    )
    psl_after: int = setting(
        0,
        "Epochs before PSL starts; a randomly initialised classification branch would prohibit"
        " every class.",
        unit="epochs",
        source="paper: 0, with ImageNet weights",
        ge=0,
    )
    relabel_rounds: int = setting(
        0,
        "Rounds of relabelling: the trained network labels the training images, and a new network"
        " is trained on these labels (PSL++: 1).",
        unit="rounds",
        source="paper, Table 4",
        ge=0,
    )
    relabel_by: Literal["none", "scores", "labels"] = setting(
        "scores",
        "Class weights v of relabelling: scores, labels, or none (v = 1).",
        unit="-",
        source="paper, section 3.2: the equation of S_hat",
    )
    relabel_crf: bool = setting(
        False,
        "Refine the relabelled masks with the CRF.",
        unit="-",
        source="not stated in the paper",
    )
    train: SegmentationTraining = SegmentationTraining()


class Prediction(Section):
    """Masks from the segmentation network."""

    scales: tuple[float, ...] = setting(
        (1.0,),
        "Test-time scales whose probabilities are averaged, relative to networks.scale.",
        unit="-",
        source="paper: 1",
        min_length=1,
    )
    flip: bool = setting(
        False, "Also average with the mirrored image.", unit="-", source="paper: no"
    )
    threshold: float = setting(
        0.1,
        "Threshold p: class scores below it are set to 0.",
        unit="0..1",
        source="paper, sec. 3.2",
        ge=0,
        lt=1,
    )
    palette_png: bool = setting(
        False,
        "Also export the final masks as PNGs with VOC's palette.",
        unit="-",
        source="VOC",
    )


class Crf(Section):
    """Refinement of predictions; the defaults are DeepLab-LargeFOV's fully connected CRF."""

    enabled: bool = setting(
        True, "Whether to refine the predictions.", unit="-", source="paper, sec. 3.2"
    )
    method: Literal["dense", "local"] = setting(
        "dense",
        "dense: fully connected CRF, needs pydensecrf; local: averages over neighbours of similar"
        " colour, needs no compiler.",
        unit="-",
        source="paper, sec. 3.2; local: Araslanov & Roth 2020",
    )
    iterations: int = setting(
        10,
        "Number of mean-field iterations (dense) or averages (local).",
        unit="iterations",
        source="DeepLab-LargeFOV; Araslanov & Roth 2020",
        ge=1,
    )
    bilateral_weight: float = setting(
        4.0,
        "DeepLab's bi_w (method dense).",
        unit="-",
        source="DeepLab-LargeFOV",
        ge=0,
    )
    bilateral_xy: float = setting(121.0, "bi_xy_std.", unit="px", source="DeepLab-LargeFOV", gt=0)
    bilateral_rgb: float = setting(
        5.0, "bi_rgb_std.", unit="0..255", source="DeepLab-LargeFOV", gt=0
    )
    gaussian_weight: float = setting(3.0, "pos_w.", unit="-", source="DeepLab-LargeFOV", ge=0)
    gaussian_xy: float = setting(3.0, "pos_xy_std.", unit="px", source="DeepLab-LargeFOV", gt=0)

    def kernels(self) -> dict[str, Any]:
        """Return method, iterations and kernels: all but whether it is enabled."""
        return self.model_dump(exclude={"enabled"})
