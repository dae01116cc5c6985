"""The tables of ``snakemake ablations``: which rows they have, and what each row overrides."""

from __future__ import annotations

import difflib
from typing import Annotated, Any, Literal

from pydantic import Field, field_validator, model_validator

from aepsl.config.sections import Section, knob

Name = Annotated[str, Field(pattern=r"^\w+$")]
"""Of a table or row: without a dash, which parts them in the names of variants."""

OF_MASKS = (
    "miou",
    "iou",
    "precision",
    "recall",
    "boundary_f",
    "area",
    "coverage",
    "error",
)
MEASURES = {
    "classifier": ("loss", "recall"),
    "saliency": ("mae", "max_f"),
    "regions": OF_MASKS,
    "labels": OF_MASKS,
    "relabelled": OF_MASKS,
    "predictions": OF_MASKS,
    "predictions_crf": OF_MASKS,
}
"""What can be scored, and by which measures."""


class Row(Section):
    """One row: what it overrides, and the paper's figure for it."""

    label: str = knob(..., "What the row is called.", unit="-", source="-")
    override: dict[str, Any] = knob({}, "Keys that differ from the run's.", unit="-", source="-")
    paper: float | None = knob(None, "The paper's mIoU.", unit="percent", source="paper")
    paper_source: Literal["quoted", "read off a figure", "recalled"] = knob(
        "recalled", "How sure that figure is.", unit="-", source="-"
    )

    @field_validator("override")
    @classmethod
    def _leaves_the_seed_alone(cls, override: dict[str, Any]) -> dict[str, Any]:
        if "seed" in override:
            raise ValueError("overrides the seed; every row has all of ablations.seeds")
        return override


class Table(Section):
    """Rows, and the measures in its columns."""

    title: str = knob(..., "What the table shows.", unit="-", source="-")
    note: str = knob("", "What a reader must know.", unit="-", source="-")
    columns: tuple[str, ...] = knob(
        ("labels.miou", "predictions.miou"),
        "What is scored, a dot, a measure.",
        unit="-",
        source="-",
    )
    reference: str | None = knob(
        None, "The row that each is divided by, in a column of its own.", unit="-", source="-"
    )
    rows: dict[Name, Row | None] = knob(
        ..., "Rows by name; null leaves one out.", unit="-", source="-"
    )

    @field_validator("columns")
    @classmethod
    def _columns_are_known(cls, columns: tuple[str, ...]) -> tuple[str, ...]:
        known = [f"{target}.{name}" for target, names in MEASURES.items() for name in names]
        for column in columns:
            if column not in known:
                near = difflib.get_close_matches(column, known, n=1)
                raise ValueError(f"no column {column}" + (f", but {near[0]}" if near else ""))
        return columns

    @model_validator(mode="after")
    def _reference_is_a_row(self) -> Table:
        if self.reference is not None and self.rows.get(self.reference) is None:
            raise ValueError(f"reference names {self.reference}, which is no row")
        return self


class Ablations(Section):
    """What ``snakemake ablations`` makes: every row of every table, once a seed."""

    seeds: tuple[int, ...] = knob(
        (0, 1, 2), "Seeds of every row.", unit="-", source="chosen", min_length=1
    )
    tables: dict[Name, Table | None] = knob(
        {}, "Tables by name; null leaves one out.", unit="-", source="-"
    )
    loss_curves: str | None = knob(
        None,
        "Table, a dot, row: the losses of its classifiers are plotted (as Fig. 5a).",
        unit="-",
        source="-",
    )

    @model_validator(mode="after")
    def _loss_curves_of_a_row(self) -> Ablations:
        if self.loss_curves is not None:
            name, _, row = self.loss_curves.partition(".")
            table = self.tables.get(name)
            if table is None or table.rows.get(row) is None:
                raise ValueError(f"loss_curves names {self.loss_curves}, which is no row")
        return self
