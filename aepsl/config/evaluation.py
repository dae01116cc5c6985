"""How answers are scored."""

from __future__ import annotations

from typing import Literal

from aepsl.config.sections import Section, knob


class Evaluation(Section):
    """How answers are scored."""

    boundary_tolerance: float = knob(
        0.0075,
        "How far off an outline may lie.",
        unit="share of the diagonal",
        source="Csurka et al. 2013",
        gt=0,
    )
    resamples: int = knob(
        1000, "Sets of images drawn for intervals.", unit="sets", source="usual", ge=10
    )
    confidence: float = knob(0.95, "Of the intervals.", unit="share", source="usual", gt=0, lt=1)
    voc_competition: Literal["comp5", "comp6"] = knob(
        "comp6",
        "Folder in the test server's archive: comp6 if anything but VOC was learnt from.",
        unit="-",
        source="VOC; ImageNet's weights count",
    )
