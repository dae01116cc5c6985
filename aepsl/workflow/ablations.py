"""The tables of ``snakemake ablations``: their variants, and what each table is made from."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

from aepsl.config.ablations import Ablations, Row, Table
from aepsl.workflow.variants import merged

Locate = Callable[[str, str], str | None]
"""From a variant and a target (``labels``) to the file that scores it; None if it has none."""


def rows_of(table: Table) -> dict[str, Row]:
    """Return the rows that were not taken out."""
    return {name: row for name, row in table.rows.items() if row is not None}


def variant_name(table: str, row: str, seed: int) -> str:
    """Return the name of the variant behind one row and seed."""
    return f"{table}-{row}-seed{seed}"


def _tables(ablations: Ablations) -> Iterator[tuple[str, Table]]:
    return ((name, table) for name, table in ablations.tables.items() if table is not None)


def table_names(ablations: Ablations) -> list[str]:
    """Return the tables that were not taken out."""
    return [name for name, _ in _tables(ablations)]


def overrides(ablations: Ablations) -> dict[str, dict[str, Any]]:
    """Return what each row's variants override, by name.

    First comes the run itself with each seed: what rows share is filed under ``seed<n>``, whichever
    tables there are.
    """
    if not any(_tables(ablations)):
        return {}
    return {f"seed{seed}": {"seed": seed} for seed in ablations.seeds} | {
        variant_name(name, row_name, seed): merged(row.override, {"seed": seed})
        for name, table in _tables(ablations)
        for row_name, row in rows_of(table).items()
        for seed in ablations.seeds
    }


def of_loss_curves(ablations: Ablations) -> list[str]:
    """Return the variants of the row whose classifiers' losses are plotted."""
    table, _, row = (ablations.loss_curves or "").partition(".")
    return [variant_name(table, row, seed) for seed in ablations.seeds] if row else []


def files_of(ablations: Ablations, name: str, locate: Locate) -> list[str]:
    """Return the files that table ``name`` is made from, each once."""
    table = ablations.tables[name]
    assert table is not None
    targets = dict.fromkeys(column.partition(".")[0] for column in table.columns)
    found = [
        locate(variant_name(name, row, seed), target)
        for row in rows_of(table)
        for seed in ablations.seeds
        for target in targets
    ]
    return list(dict.fromkeys(path for path in found if path))


def specification(ablations: Ablations, name: str, locate: Locate, *, confidence: float) -> str:
    """Return what table ``name`` says and where its numbers stand, as JSON."""
    table = ablations.tables[name]
    assert table is not None
    targets = dict.fromkeys(column.partition(".")[0] for column in table.columns)
    rows = [
        {
            "name": row_name,
            "label": row.label,
            "paper": row.paper,
            "paper_source": row.paper_source,
            "scores": {
                str(seed): {
                    target: locate(variant_name(name, row_name, seed), target) for target in targets
                }
                for seed in ablations.seeds
            },
        }
        for row_name, row in rows_of(table).items()
    ]
    facts: dict[str, Any] = {"name": name, "title": table.title, "reference": table.reference}
    facts |= {"note": table.note, "confidence": confidence}
    return json.dumps(facts | {"columns": table.columns, "rows": rows}, sort_keys=True)
