"""Background from saliency, and what the pseudo-labels are made of."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from aepsl.config.sections import Section, knob

Threshold = Annotated[float, Field(ge=0, le=1)]


class SaliencyNetwork(Section):
    """A salient object detector in ONNX (``saliency.method: network``)."""

    file: str | None = knob(None, "The network.", unit="path", source="its author")
    size: int = knob(
        320, "Side that photographs are resized to.", unit="px", source="its author", ge=8
    )
    mean: tuple[float, float, float] = knob(
        (123.675, 116.28, 103.53), "Subtracted from RGB.", unit="0..255", source="its author"
    )
    scale: tuple[float, float, float] = knob(
        (58.395, 57.12, 57.375), "RGB is divided by it.", unit="0..255", source="its author"
    )
    bgr: bool = knob(False, "Whether it sees blue first.", unit="-", source="its author")
    input: str | None = knob(None, "Name of its input; the first.", unit="-", source="its author")
    output: str | None = knob(
        None, "Name of the output that is the map; the first.", unit="-", source="its author"
    )
    answer: Literal["probability", "logit", "relative"] = knob(
        "probability",
        "What it answers: 0..1, before the logistic function, or to be stretched to 0..1.",
        unit="-",
        source="its author",
    )


class Saliency(Section):
    """Where background is to be found."""

    method: Literal["robust_background", "network", "precomputed", "none"] = knob(
        "robust_background",
        "Computed here, by a network, read from a folder; or what is not mined is background.",
        unit="-",
        source="paper: DRFI",
    )
    folder: str | None = knob(
        None, "Maps <id>.png, 8 bit, for precomputed.", unit="path", source="-"
    )
    superpixels: int = knob(
        200, "Superpixels an image.", unit="superpixels", source="Zhu et al. 2014", ge=10
    )
    network: SaliencyNetwork = SaliencyNetwork()

    @model_validator(mode="after")
    def _has_files(self) -> Saliency:
        if self.method == "precomputed" and self.folder is None:
            raise ValueError("saliency.method is precomputed, but saliency.folder is not set")
        if self.method == "network" and self.network.file is None:
            raise ValueError("saliency.method is network, but saliency.network.file is not set")
        return self


class Labels(Section):
    """Pseudo-labels S = F union B."""

    source: Literal["mined", "truth"] = knob(
        "mined", "Mined regions, or true masks (the upper bound).", unit="-", source="-"
    )
    background_threshold: Threshold = knob(
        0.06, "Saliency below it is background.", unit="0..1", source="paper, sec. 4.1"
    )
    class_thresholds: dict[str, Threshold] = knob(
        {},
        "Other thresholds, by class; an image takes the largest of its classes'.",
        unit="0..1",
        source="recalled: indoor classes had one of their own",
    )
