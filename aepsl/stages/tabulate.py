"""Write one ablation table as CSV, Markdown and plot."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any

import pandas as pd
import typer

from aepsl.report.escape import csv_cell
from aepsl.report.figures import plot_seeds
from aepsl.report.scores import class_mean
from aepsl.report.tables import column_title, in_percent, markdown
from aepsl.stages._options import Output, Writes
from aepsl.stores.atomic import atomic_write, read_manifest_json, write_text
from aepsl.text import parse_json, read_columns

COLUMNS = (
    "row",
    "label",
    "seed",
    "column",
    "target",
    "split",
    "images",
    "source",
    "value",
    "low",
    "high",
)


def _measures(path: Path) -> dict[str, Any]:
    """Return the measures in a score file, or in the last epoch of a training curve."""
    if path.suffix == ".csv":
        return {name: values[-1] for name, values in read_columns(path).items()}
    return read_manifest_json(path)


def _value(measures: Mapping[str, Any], measure: str) -> float:
    """Return a measure; for a per-class measure, the mean over the object classes."""
    value = measures[measure]
    if isinstance(value, Mapping):
        value = class_mean(value)
    return float("nan") if value is None else float(value)


def _lines(specification: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    for row in specification["rows"]:
        for seed, scores in row["scores"].items():
            for column in specification["columns"]:
                target, _, measure = column.partition(".")
                if scores[target] is None:
                    continue
                measures = _measures(Path(scores[target]))
                low, high = measures.get("miou_interval", (None, None))
                yield {
                    "row": row["name"],
                    "label": row["label"],
                    "seed": int(seed),
                    "column": column,
                    "target": target,
                    "split": measures.get("split"),
                    "images": measures.get("images"),
                    "source": scores[target],
                    "value": _value(measures, measure),
                    "low": low if measure == "miou" else None,
                    "high": high if measure == "miou" else None,
                }


def tabulate(
    specification: Annotated[
        str, typer.Option(help="Specification of the table, as JSON: texts and score files.")
    ],
    output: Output,
    text: Annotated[Path, typer.Option(help="Markdown file to write."), Writes()],
    plot: Annotated[Path, typer.Option(help="Plot to write."), Writes()],
) -> None:
    """Write one ablation table as CSV, Markdown and plot."""
    table = parse_json(specification, "--specification")
    data = pd.DataFrame(list(_lines(table)), columns=COLUMNS)
    write_text(output, data.map(csv_cell).to_csv(index=False, lineterminator="\n"))
    write_text(text, markdown(table, data))
    measured = [column for column in table["columns"] if (data["column"] == column).any()]
    rows: dict[str, dict[str, list[float]]] = {
        row["label"]: {column_title(column): [] for column in measured} for row in table["rows"]
    }
    for (label, column), part in data.groupby(["label", "column"], sort=False):
        scale = 100 if in_percent(column) else 1
        rows[label][column_title(column)] = (scale * part["value"]).tolist()
    with atomic_write(plot) as temporary:
        plot_seeds(rows, temporary, title=table["title"])
