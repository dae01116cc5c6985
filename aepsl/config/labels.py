"""Saliency (background) and pseudo-labels."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field

from aepsl.config.sections import Section, setting

Threshold = Annotated[float, Field(ge=0, le=1)]


def _weight(value: Any) -> Any:
    try:
        if value == "auto" or 0 <= float(value) <= 1:
            return value
    except (TypeError, ValueError):
        pass
    raise ValueError("must be auto or a number, 0..1")


Weight = Annotated[Threshold | Literal["auto"], BeforeValidator(_weight)]


class SaliencyNetworkConfig(Section):
    """A saliency network in ONNX (``saliency.method: network``)."""

    file: str = setting(
        "u2netp",
        "ONNX file of the network, or u2netp: U2-Netp (4.6 MB), which is downloaded once.",
        unit="path",
        source="Qin et al. 2020",
    )
    size: int = setting(
        320,
        "Input side: photographs are resized to it.",
        unit="px",
        source="the network's documentation",
        ge=8,
    )
    mean: tuple[float, float, float] = setting(
        (123.675, 116.28, 103.53),
        "Mean that is subtracted from RGB.",
        unit="0..255",
        source="the network's documentation",
    )
    scale: tuple[float, float, float] = setting(
        (58.395, 57.12, 57.375),
        "Scale that RGB is divided by after the mean is subtracted.",
        unit="0..255",
        source="the network's documentation",
    )
    bgr: bool = setting(
        False,
        "Whether the network expects BGR.",
        unit="-",
        source="the network's documentation",
    )
    input: str | None = setting(
        None,
        "Name of the input; null: the first one.",
        unit="-",
        source="the network's documentation",
    )
    output: str | None = setting(
        None,
        "Name of the output with the saliency map; null: the first one.",
        unit="-",
        source="the network's documentation",
    )
    answer: Literal["probability", "logit", "relative"] = setting(
        "relative",
        "Range of the output: probability (0..1), logit, or relative (rescaled per image to 0..1).",
        unit="-",
        source="the network's documentation",
    )
    flip: bool = setting(
        False,
        "Average with the saliency of the mirrored photograph, in twice the time.",
        unit="-",
        source="docs/labels-measured.md",
    )

    def paths(self) -> set[str]:
        """Return ``file``."""
        return {"file"}


class Saliency(Section):
    """Saliency maps, which determine the background."""

    method: Literal["robust_background", "network", "precomputed", "none"] = setting(
        "robust_background",
        "robust_background: computed without training; network: by an ONNX network; precomputed:"
        " read from a folder; none: every pixel that is not mined is background.",
        unit="-",
        source="paper: DRFI",
    )
    folder: str | None = setting(
        None,
        "Folder of 8-bit maps <id>.png, for method precomputed.",
        unit="path",
        source="-",
    )
    superpixels: int = setting(
        200,
        "Number of superpixels per image, for robust_background.",
        unit="superpixels",
        source="Zhu et al. 2014",
        ge=10,
    )
    network: SaliencyNetworkConfig = SaliencyNetworkConfig()


class Labels(Section):
    """Pseudo-labels."""

    source: Literal["mined", "truth"] = setting(
        "mined",
        "mined: from the maps of the classifiers; truth: true masks (upper bound).",
        unit="-",
        source="-",
    )
    method: Literal["regions", "blend"] = setting(
        "regions",
        "regions: the mined regions, and background from a threshold on saliency; blend: class maps"
        " and saliency, averaged; no pixel is ignored.",
        unit="-",
        source="paper, sec. 3.2: regions",
    )
    saliency_weight: Weight = setting(
        0.5,
        "With method blend: weight of saliency beside the map of a class; lower for a weaker"
        " detector. auto: the part of the photograph that the map leaves, divided by the number of"
        " its classes.",
        unit="fraction",
        source="docs/labels.md; auto: docs/labels-measured.md",
    )
    background_score: Threshold = setting(
        0.55,
        "With method blend: average of saliency and class map, scaled to a maximum of 1, below"
        " which a pixel is background.",
        unit="0..1",
        source="docs/labels.md",
    )
    class_peak: Threshold = setting(
        0.75,
        "With method blend: least maximum of these averages for each class of the image label;"
        " lower ones are scaled up to it, so that saliency cannot erase a class. 0: none.",
        unit="0..1",
        source="docs/labels-measured.md",
    )
    sharpness: float = setting(
        8.0,
        "With method blend: factor (inverse temperature) of the averages in the softmax that the"
        " CRF starts from.",
        unit="-",
        source="docs/labels.md",
        gt=0,
    )
    background_threshold: Threshold = setting(
        0.06,
        "With method regions: pixels with a saliency below this threshold are background.",
        unit="0..1",
        source="paper, sec. 4.1",
    )
    class_thresholds: dict[str, Threshold] = setting(
        {},
        "With method regions: thresholds of single classes; an image uses the largest threshold"
        " among its classes.",
        unit="0..1",
        source="recalled: indoor classes had a different threshold",
    )
    crf: bool = setting(
        False,
        "Refine the pseudo-labels by the CRF (crf.*), which also decides on ignored pixels.",
        unit="-",
        source="paper: no",
    )
    crf_certainty: float = setting(
        0.95,
        "With crf and method regions: probability of a labelled pixel's class.",
        unit="0..1",
        source="docs/labels.md",
        gt=0,
        lt=1,
    )
    corrections: str | None = setting(
        None,
        "With source mined: masks corrected by hand, which replace the pseudo-labels of their"
        " images: a folder of PNGs, such as CVAT exports, or a COCO file.",
        unit="path",
        source="-",
    )

    def paths(self) -> set[str]:
        """Return ``corrections``."""
        return {"corrections"}
