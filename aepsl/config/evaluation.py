"""How predictions are scored."""

from __future__ import annotations

from typing import Literal

from aepsl.config.sections import Section, setting


class Evaluation(Section):
    """How predictions are scored."""

    boundary_tolerance: float = setting(
        0.0075,
        "Boundary F: largest distance between matching boundary pixels.",
        unit="fraction of the image diagonal",
        source="Csurka et al. 2013",
        gt=0,
    )
    resamples: int = setting(
        1000,
        "Number of bootstrap resamples for confidence intervals.",
        unit="resamples",
        source="usual",
        ge=10,
    )
    confidence: float = setting(
        0.95,
        "Confidence level of the bootstrap intervals.",
        unit="fraction",
        source="usual",
        gt=0,
        lt=1,
    )
    voc_competition: Literal["comp5", "comp6"] = setting(
        "comp6",
        "VOC competition of the test archive: comp5 if only VOC was trained on, else comp6.",
        unit="-",
        source="VOC; ImageNet weights count as other data",
    )
