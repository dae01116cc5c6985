"""Ablation tables: mean and standard deviation over seeds, next to the paper's values."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from aepsl.report.escape import markdown_text
from aepsl.targets import MEASURES, TARGETS


def in_percent(column: str) -> bool:
    """Return whether a column such as ``labels.miou`` is shown in percent."""
    return MEASURES[column.rpartition(".")[2]].in_percent


def column_title(column: str) -> str:
    """Return the title of a column such as ``labels.miou``."""
    target, _, measure = column.partition(".")
    unit = ", %" if in_percent(column) else ""
    return f"{TARGETS[target].title}: {MEASURES[measure].title}{unit}"


def format_cell(column: str, rows: pd.DataFrame) -> str:
    """Return a table cell: mean and standard deviation over seeds, or a dash without values.

    There is no standard deviation for a single seed, or if all seeds share one result.
    """
    values = rows.drop_duplicates("source")["value"].dropna()
    if values.empty:
        return "–"
    scale, digits = (100, 1) if in_percent(column) else (1, 3)
    spread = f" ± {scale * values.std(ddof=1):.{digits}f}" if len(values) > 1 else ""
    return f"{scale * values.mean():.{digits}f}{spread}"


def _interval(rows: pd.DataFrame) -> str:
    low, high = rows["low"].dropna(), rows["high"].dropna()
    return "" if low.empty else f" [{100 * low.mean():.1f}, {100 * high.mean():.1f}]"


def _paper(row: Mapping[str, Any]) -> str:
    return "–" if row["paper"] is None else f"{row['paper']:.1f} ({row['paper_source']})"


def _is_compared(column: str) -> bool:
    """Return whether a column is shown relative to the reference: the mIoU of predictions."""
    target, _, measure = column.partition(".")
    return measure == "miou" and TARGETS[target].role == "eval"


def _ratio(data: pd.DataFrame, row: str, reference: str, column: str) -> str:
    of = data[data["column"] == column].set_index(["row", "seed"])["value"]
    ratios = (of.get(row, pd.Series(dtype=float)) / of.get(reference, float("nan"))).dropna()
    if ratios.empty:
        return "–"
    spread = f" ± {ratios.std(ddof=1):.2f}" if len(ratios) > 1 else ""
    return f"{ratios.mean():.2f}{spread}"


def _images(data: pd.DataFrame) -> str:
    counts = data.dropna(subset=["images"])[["target", "split", "images"]].drop_duplicates()
    return "; ".join(
        f"{', '.join(TARGETS[t].title for t in part['target'])}: {split}, {int(images)} images"
        for (split, images), part in counts.groupby(["split", "images"], sort=False)
    )


def markdown(specification: Mapping[str, Any], data: pd.DataFrame) -> str:
    """Return a table as Markdown, with splits and numbers of images below it.

    Args:
        specification: ``name``, ``title``, ``note``, ``columns``, ``reference``, and ``rows``
            with ``name``, ``label``, ``paper`` and ``paper_source``; ``confidence``: level of the
            intervals.
        data: one line per row, seed and column, with the fields ``row``, ``seed``, ``column``,
            ``target``, ``split``, ``images``, ``source``, ``value``, ``low``, ``high``.
    """
    columns, reference = specification["columns"], specification["reference"]
    main = columns[-1]
    labels = {row["name"]: row["label"] for row in specification["rows"]}
    lines = []
    for row in specification["rows"]:
        mine = data[data["row"] == row["name"]]
        cells = {"": markdown_text(row["label"])}
        for column in columns:
            part = mine[mine["column"] == column]
            interval = _interval(part) if column == main else ""
            cells[column_title(column)] = format_cell(column, part) + interval
        for column in filter(_is_compared, columns if reference else ()):
            title = TARGETS[column.partition(".")[0]].title
            title += f" relative to “{markdown_text(labels[reference])}”"
            cells[title] = _ratio(data, row["name"], reference, column)
        if any(other["paper"] is not None for other in specification["rows"]):
            cells["paper, mIoU %"] = _paper(row)
        lines.append(cells)
    table = pd.DataFrame(lines).to_markdown(index=False, disable_numparse=True)
    seeds = [str(seed) for seed in sorted(data["seed"].unique())]
    note = f"Seed {''.join(seeds)}."
    if len(seeds) > 1:
        note = f"Mean ± standard deviation over seeds {', '.join(seeds)}."
    if data["low"].notna().any():
        percent = f"{100 * specification['confidence']:g} %"
        note += f" In brackets: {percent} interval by bootstrap over images"
        note += ", mean of the seeds." if len(seeds) > 1 else "."
    picture = f"![each seed, mean and standard deviation]({specification['name']}.png)"
    remarks = [f"{note} {_images(data)}.", specification["note"], picture]
    return (
        "\n\n".join([f"### {markdown_text(specification['title'])}", table, *filter(None, remarks)])
        + "\n"
    )


def tables_page(title: str, command: str, texts: Sequence[str], *, losses: str | None) -> str:
    """Return one Markdown page with all tables; ``losses``: picture of the training losses."""
    pictures = [f"![training losses by step]({losses})\n"] if losses else []
    return "\n".join([f"## {title}\n\n`{command}`\n", *texts, *pictures])
