"""Adversarial erasing."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, model_validator

from aepsl.config.networks import Training
from aepsl.config.sections import Section, knob


def _steps(value: Any) -> Any:
    if value == "auto" or (str(value).isdecimal() and int(value) >= 1):
        return value
    raise ValueError("neither auto nor a number of steps, 1 at least")


Steps = Annotated[int | Literal["auto"], BeforeValidator(_steps)]


class ClassifierTraining(Training):
    """Training of the classifier of each erasing step."""

    decay_every: int = knob(
        6, "Epochs after which the rate is multiplied.", unit="epochs", source="paper", ge=1
    )
    decay_factor: float = knob(0.1, "By what it is multiplied.", unit="-", source="paper", gt=0)


class Success(Section):
    """When the training of a classifier has succeeded, for ``mining.steps: auto``."""

    loss: float = knob(
        0.36,
        "Largest loss of the last epoch, as a share of what knowing nothing costs.",
        unit="share",
        source="Fig. 5a: between step 3 (0.10 of 0.362) and step 4 (0.16), which over-erases",
        gt=0,
    )
    recall: float = knob(
        0.5,
        "Smallest share of the true labels among the classes that are ranked first.",
        unit="share",
        source="chosen: more often right than not",
        ge=0,
        le=1,
    )


class Mining(Section):
    """Adversarial erasing: Algorithm 1."""

    steps: Steps = knob(
        3, "Erasing steps; auto: while training succeeds.", unit="steps", source="paper: 3"
    )
    max_steps: int = knob(
        8, "Most steps of auto.", unit="steps", source="chosen; the paper tried 4", ge=1
    )
    success: Success = Success()
    head: Literal["largefov", "none"] = knob(
        "largefov", "Layers between the backbone and pooling.", unit="-", source="paper, sec. 3.1"
    )
    erase_rule: Literal["fraction_of_max", "top_fraction", "absolute"] = knob(
        "fraction_of_max", "How delta becomes a threshold.", unit="-", source="paper's Figs. 5b, 6"
    )
    delta: float = knob(
        0.52, "The threshold, as the rule reads it.", unit="by rule", source="Figs. 5b, 6", gt=0
    )
    area: float | None = knob(
        None,
        "If set, each step's delta is found, such that it mines this share on average.",
        unit="share of the pixels, by image and class",
        source="to compare rules",
        gt=0,
        lt=1,
    )
    cam_scales: tuple[float, ...] = knob(
        (1.0,), "Scales of the image whose maps are merged.", unit="-", source="paper: 1"
    )
    cam_flip: bool = knob(False, "Merge with the mirrored image's.", unit="-", source="paper: no")
    cam_merge: Literal["mean", "normalised_mean"] = knob(
        "mean",
        "Average the maps as they are, or each one scaled to a maximum of 1 first.",
        unit="-",
        source="chosen: a view without the object then adds little",
    )
    train: ClassifierTraining = ClassifierTraining()

    @model_validator(mode="after")
    def _delta_fits_the_rule(self) -> Mining:
        if self.area is None and self.erase_rule != "absolute" and self.delta >= 1:
            raise ValueError(f"mining.delta is {self.delta:g}, but {self.erase_rule} takes a share")
        return self
