"""All scores of a run in one JSON and one CSV; the table on the terminal."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from aepsl.errors import AepslError
from aepsl.masks import BACKGROUND_NAME
from aepsl.report.plain import csv_cell
from aepsl.stores.atomic import read_json, read_manifest_json, write_json, write_text

FIELDS = ("target", "variant", "step", "split", "images", "seed", "miou")


def run(scores: Sequence[Path], *, output: Path, table: Path) -> None:
    """Write ``output`` (JSON, a list) and ``table`` (CSV) from the single score files."""
    rows = [read_manifest_json(path) for path in scores]
    for row in rows:
        row.pop("confusion")
    text = io.StringIO()
    classes = list(rows[0]["iou"]) if rows else []
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow((*FIELDS, *map(csv_cell, classes)))
    for row in rows:
        writer.writerow(
            [csv_cell(row[name]) for name in FIELDS] + [row["iou"].get(c) for c in classes]
        )
    write_text(table, text.getvalue())
    write_json(output, rows)


def class_mean(by_class: Mapping[str, float | None]) -> float | None:
    """Return the mean over the objects' classes that have a value; None if none has."""
    found = [v for name, v in by_class.items() if name != BACKGROUND_NAME and v is not None]
    return sum(found) / len(found) if found else None


def describe(row: dict[str, Any]) -> str:
    """Return what was scored, in words."""
    words = {
        "regions": f"mined regions, step {row['step']}",
        "labels": "pseudo-labels",
        "relabelled": "pseudo-labels, relabelled",
        "predictions": "predictions",
        "predictions_crf": "predictions, CRF",
    }
    return words[row["target"]]


def show(scores: Path, *, report: Path | None) -> None:
    """Print the table of scores, and where the report is."""
    table = Table("variant", "what", "split", "images", "seed", "mIoU, %")
    try:
        for row in read_json(scores):
            miou = "no truth" if row["miou"] is None else f"{100 * row['miou']:.1f}"
            numbers = (row["split"], str(row["images"]), str(row["seed"]), miou)
            table.add_row(row["variant"], describe(row), *numbers)
    except (TypeError, KeyError):
        hint = "give results/<run>/scores.json"
        raise AepslError.of(scores, "not the scores of a run", hint) from None
    console = Console()
    console.print(table)
    if report:
        console.print(f"Report: {report.resolve()}", soft_wrap=True)
