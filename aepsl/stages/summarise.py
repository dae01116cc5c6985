"""Collect all scores of a run in a JSON and a CSV file, and print them."""

from __future__ import annotations

import csv
import io
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from aepsl.errors import AepslError
from aepsl.report.escape import csv_cell
from aepsl.report.scores import target_title
from aepsl.stages._options import Output, Writes
from aepsl.stores.atomic import read_manifest_json, write_json, write_text
from aepsl.text import read_json

FIELDS = ("target", "variant", "step", "split", "images", "seed", "miou")


def summarise(
    scores: Annotated[list[Path], typer.Argument(help="Score files, in the order of the table.")],
    output: Output,
    table: Annotated[Path, typer.Option(help="CSV to write."), Writes()],
) -> None:
    """Collect all scores of a run in one JSON and one CSV file.

    ``output`` (JSON) is a list with one entry per score file, ``table`` (CSV) has one row each.
    """
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


def print_scores(scores: Path, *, report: Path | None) -> None:
    """Print the scores as a table, followed by the path of the report."""
    table = Table("variant", "target", "split", "images", "seed", "mIoU, %")
    try:
        for row in read_json(scores):
            miou = "no truth" if row["miou"] is None else f"{100 * row['miou']:.1f}"
            numbers = (row["split"], str(row["images"]), str(row["seed"]), miou)
            table.add_row(row["variant"], target_title(row), *numbers)
    except (TypeError, KeyError):
        hint = "give results/<run>/scores.json"
        raise AepslError.of(scores, "not the scores of a run", hint) from None
    console = Console()
    console.print(table)
    if report:
        console.print(f"Report: {report.resolve()}", soft_wrap=True)
