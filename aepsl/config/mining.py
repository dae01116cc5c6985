"""Adversarial erasing."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator

from aepsl.config.networks import Training
from aepsl.config.sections import Section, setting


def _steps(value: Any) -> Any:
    if value == "auto" or (str(value).isdecimal() and int(value) >= 1):
        return value
    raise ValueError("must be auto or a number of steps, at least 1")


Steps = Annotated[int | Literal["auto"], BeforeValidator(_steps)]


class ClassifierTraining(Training):
    """Training of the classifier of each erasing step."""

    decay_every: int = setting(
        6,
        "Number of epochs between decays of the learning rate.",
        unit="epochs",
        source="paper",
        ge=1,
    )
    decay_factor: float = setting(
        0.1, "Factor by which the learning rate decays.", unit="-", source="paper", gt=0
    )


class Success(Section):
    """When the training of a classifier has succeeded, for ``mining.steps: auto``."""

    loss: float = setting(
        0.36,
        "Largest loss of the last epoch, relative to the loss of uniform predictions.",
        unit="fraction",
        source="Fig. 5a: between step 3 (0.10 of 0.362) and step 4 (0.16), which over-erases",
        gt=0,
    )
    recall: float = setting(
        0.5,
        "Smallest label recall: fraction of an image's k labels among its k top-ranked classes.",
        unit="fraction",
        source="chosen: more often right than not",
        ge=0,
        le=1,
    )


class Mining(Section):
    """Adversarial erasing: Algorithm 1."""

    steps: Steps = setting(
        3,
        "Number of erasing steps; auto: until a training fails.",
        unit="steps",
        source="paper: 3",
    )
    max_steps: int = setting(
        8,
        "Largest number of steps of auto.",
        unit="steps",
        source="chosen; the paper tried 4",
        ge=1,
    )
    success: Success = Success()
    head: Literal["largefov", "none"] = setting(
        "largefov", "Head between backbone and pooling.", unit="-", source="paper, sec. 3.1"
    )
    loss: Literal["squared", "sigmoid"] = setting(
        "squared",
        "Label loss of the classifiers and of the classification branch. squared: of a softmax over"
        " the classes; sigmoid: each class alone, so that one class, and images of background only,"
        " can be learnt.",
        unit="-",
        source="paper, sec. 3.1: squared",
    )
    suppression: float | None = setting(
        None,
        "If set, largest feature of the classifiers' last layer, as a fraction of its channel's"
        " maximum in the image: their maps then spread over whole objects.",
        unit="fraction",
        source="Kim et al., AAAI 2021: 0.55; paper: none",
        gt=0,
        lt=1,
    )
    saliency_loss: float = setting(
        0.0,
        "Weight of the loss of class maps that disagree with saliency, beside the label loss;"
        " 0, or without saliency: none.",
        unit="-",
        source="Lee et al., CVPR 2021: 1; paper: none",
        ge=0,
    )
    saliency_overlap: float = setting(
        0.4,
        "Fraction of a class's region that must be salient, for its map to be foreground in this"
        " loss (tau).",
        unit="fraction",
        source="Lee et al., CVPR 2021",
        ge=0,
        lt=1,
    )
    erase_rule: Literal["fraction_of_max", "top_fraction", "absolute"] = setting(
        "fraction_of_max",
        "Erase rule: how delta is turned into a threshold.",
        unit="-",
        source="paper's Figs. 5b, 6",
    )
    delta: float = setting(
        0.52,
        "By erase rule: fraction of the maximum, fraction of the pixels, or class score"
        " (a probability with saliency_loss).",
        unit="by rule",
        source="Figs. 5b, 6",
        gt=0,
    )
    area: float | None = setting(
        None,
        "If set, delta is calibrated at each step to mine this fraction of the pixels on average.",
        unit="fraction of the pixels, per image and class",
        source="to compare rules",
        gt=0,
        lt=1,
    )
    cam_scales: tuple[float, ...] = setting(
        (1.0,),
        "Test-time scales whose CAMs are merged, relative to networks.scale.",
        unit="-",
        source="paper: 1",
    )
    cam_flip: bool = setting(
        False, "Merge with the CAMs of the mirrored image.", unit="-", source="paper: no"
    )
    cam_merge: Literal["mean", "normalised_mean"] = setting(
        "mean",
        "mean: average the CAMs; normalised_mean: scale each to a maximum of 1 first.",
        unit="-",
        source="chosen: a view that misses the object then has little weight",
    )
    train: ClassifierTraining = ClassifierTraining()
