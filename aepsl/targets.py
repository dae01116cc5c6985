"""Results that can be scored, their measures, and the titles of both in tables."""

from __future__ import annotations

from typing import Literal, NamedTuple


class Measure(NamedTuple):
    """Title and format of a measure in tables."""

    title: str
    in_percent: bool = True


MEASURES = {
    "loss": Measure("loss", in_percent=False),
    "recall": Measure("recall"),
    "mae": Measure("MAE", in_percent=False),
    "max_f": Measure("max F"),
    "miou": Measure("mIoU"),
    "iou": Measure("IoU"),
    "precision": Measure("precision"),
    "boundary_f": Measure("boundary F"),
    "area": Measure("foreground"),
    "coverage": Measure("labelled"),
    "error": Measure("error rate"),
    "missed": Measure("missed"),
}

MASK_MEASURES = (
    *("miou", "iou", "precision", "recall", "boundary_f"),
    *("area", "coverage", "error", "missed"),
)
"""Measures of masks."""


class Target(NamedTuple):
    """A result that is scored."""

    stage: str
    """Stage that computes it."""
    kind: str | None
    """Kind of store that holds it; None if its measures come from a training curve."""
    title: str
    """Title in table columns."""
    summary_title: str | None = None
    """Name in the scores of a run, with ``{step}`` for the step; None if a run does not list it."""
    measures: tuple[str, ...] = MASK_MEASURES
    """Keys of :data:`MEASURES`."""
    role: Literal["train", "eval"] = "train"
    """Split that is scored: training or evaluation."""
    counted: Literal["step", "round"] | None = None
    """Whether one exists per erasing step or per relabelling round; None if there is only one."""


TARGETS = {
    "classifier": Target(
        "train_classifier", None, "classifier", measures=("loss", "recall"), counted="step"
    ),
    "saliency": Target("detect_saliency", "saliency", "saliency", measures=("mae", "max_f")),
    "regions": Target(
        "erase_regions", "regions", "regions", "mined regions, step {step}", counted="step"
    ),
    "labels": Target("assemble_labels", "labels", "labels", "pseudo-labels"),
    "relabelled": Target(
        "relabel", "labels", "relabelled", "pseudo-labels, relabelled", counted="round"
    ),
    "predictions": Target("predict", "predictions", "predictions", "predictions", role="eval"),
    "predictions_crf": Target(
        "refine_predictions",
        "predictions",
        "predictions after the CRF",
        "predictions after the CRF",
        role="eval",
    ),
}
"""Targets by name, in the order of the scores of a run."""

SCORED = "|".join(
    rf"{name}-{about.counted}[1-9]\d*" if about.counted else name
    for name, about in TARGETS.items()
    if about.kind
)
"""Regular expression of the names of score files."""
