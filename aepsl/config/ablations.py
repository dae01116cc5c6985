"""The tables of ``snakemake ablations``: their rows, and the settings that each row overrides."""

from __future__ import annotations

import difflib
from typing import Annotated, Any, Literal

from pydantic import Field, field_validator, model_validator

from aepsl.config.sections import WORD_NULL, Section, setting
from aepsl.targets import TARGETS

TableName = Annotated[str, Field(pattern=r"^\w+$")]
"""Name of a table or row. No dash: it separates table, row and seed in variant names."""


class Row(Section):
    """One row: its overrides and the paper's value."""

    label: str = setting(..., "Label of the row.", unit="-", source="-")
    override: dict[str, Any] = setting({}, "Settings that the row changes.", unit="-", source="-")
    paper: float | None = setting(None, "mIoU in the paper.", unit="percent", source="paper")
    paper_source: Literal["quoted", "read off a figure", "recalled"] = setting(
        "recalled", "How the paper's value was obtained.", unit="-", source="-"
    )

    @field_validator("override")
    @classmethod
    def _leaves_the_seed_alone(cls, override: dict[str, Any]) -> dict[str, Any]:
        if "seed" in override:
            raise ValueError("overrides the seed, but every row runs with all of ablations.seeds")
        return override


class Table(Section):
    """Rows and columns of one table."""

    title: str = setting(..., "Title.", unit="-", source="-")
    note: str = setting("", "Note below the table.", unit="-", source="-")
    columns: tuple[str, ...] = setting(
        ("labels.miou", "predictions.miou"),
        "Columns, as target.measure.",
        unit="-",
        source="-",
    )
    reference: str | None = setting(
        None,
        "Reference row; an extra column shows each row relative to it.",
        unit="-",
        source="-",
    )
    rows: dict[TableName, Annotated[Row | None, WORD_NULL]] = setting(
        ..., "Rows by name; null removes a row.", unit="-", source="-"
    )

    @field_validator("columns")
    @classmethod
    def _columns_are_known(cls, columns: tuple[str, ...]) -> tuple[str, ...]:
        known = [f"{name}.{measure}" for name, of in TARGETS.items() for measure in of.measures]
        for column in columns:
            if column not in known:
                near = difflib.get_close_matches(column, known, n=1)
                raise ValueError(f"no column {column}" + (f", but {near[0]}" if near else ""))
        return columns

    @model_validator(mode="after")
    def _reference_is_a_row(self) -> Table:
        if self.reference is not None and self.rows.get(self.reference) is None:
            raise ValueError(f"reference names {self.reference}, which is not a row")
        return self


class Ablations(Section):
    """Tables of ``snakemake ablations``: every row of every table runs once per seed."""

    seeds: tuple[int, ...] = setting(
        (0, 1, 2), "Seeds of each row.", unit="-", source="chosen", min_length=1
    )
    tables: dict[TableName, Annotated[Table | None, WORD_NULL]] = setting(
        {}, "Tables by name; null removes a table.", unit="-", source="-"
    )
    loss_curves: str | None = setting(
        None,
        "Row, as table.row, whose classifier losses are plotted (as in Fig. 5a).",
        unit="-",
        source="-",
    )

    @model_validator(mode="after")
    def _loss_curves_of_a_row(self) -> Ablations:
        if self.loss_curves is not None:
            name, _, row = self.loss_curves.partition(".")
            table = self.tables.get(name)
            if table is None or table.rows.get(row) is None:
                raise ValueError(f"loss_curves names {self.loss_curves}, which is not a row")
        return self
