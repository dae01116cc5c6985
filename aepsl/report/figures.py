"""Figures of the ablation tables."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from textwrap import fill

import matplotlib
import numpy as np
from numpy.typing import NDArray

matplotlib.use("Agg")
from matplotlib import pyplot
from matplotlib.figure import Figure

from aepsl.errors import errors_name_file

pyplot.rcParams["text.parse_math"] = False  # a dollar sign in a name must not start a formula


def _save(figure: Figure, path: Path) -> None:
    # No library version in the file, so that equal figures are bit-identical.
    with errors_name_file(path):
        figure.savefig(path, dpi=110, format="png", metadata={"Software": None})


def plot_seeds(
    rows: Mapping[str, Mapping[str, Sequence[float]]], path: Path, *, title: str
) -> None:
    """Plot each row's values as dots, one per seed, with mean and standard deviation.

    Args:
        rows: values of all seeds, by row label and then by panel title.
        path: PNG file to write.
        title: title of the figure.
    """
    panels = list(dict.fromkeys(panel for row in rows.values() for panel in row))
    labels = [fill(row, 40) for row in rows]
    height = 0.3 * sum(1 + label.count("\n") for label in labels)
    columns = min(4, len(panels))
    lines = -(-len(panels) // columns)
    figure, grid = pyplot.subplots(
        lines,
        columns,
        figsize=(1.8 + 2.6 * columns, 0.5 + lines * (0.8 + height)),
        sharey=True,
        squeeze=False,
        layout="constrained",
    )
    for unused in grid.flat[len(panels) :]:
        unused.set_visible(False)
    for axes, panel in zip(grid.flat, panels, strict=False):
        for position, row in enumerate(rows.values()):
            values = np.array([v for v in row.get(panel, ()) if np.isfinite(v)])
            if len(values):
                spread = values.std(ddof=1) if len(values) > 1 else 0.0
                axes.errorbar(values.mean(), position, xerr=spread, color="C0", capsize=3)
                axes.plot(
                    values.mean(), position, "|", color="C0", markersize=14, markeredgewidth=2.5
                )
                axes.plot(
                    values, [position] * len(values), "o", color="C1", alpha=0.8, markersize=4
                )
        axes.set_title(fill(panel, 28), fontsize=9)
        axes.grid(alpha=0.3)
    grid[0][0].set_yticks(range(len(rows)), labels)
    grid[0][0].set_ylim(len(rows) - 0.5, -0.5)
    figure.suptitle(f"{title}\ndots: seeds; line: mean and standard deviation", fontsize=10)
    _save(figure, path)
    pyplot.close(figure)


def plot_losses(curves: Mapping[str, NDArray[np.float64]], path: Path) -> None:
    """Plot (seeds, epochs) losses of each step: mean and standard deviation (as in Fig. 5a)."""
    figure, axes = pyplot.subplots(figsize=(7, 4), layout="constrained")
    for name, losses in curves.items():
        epochs = np.arange(1, losses.shape[1] + 1)
        mean, spread = losses.mean(axis=0), losses.std(axis=0, ddof=int(len(losses) > 1))
        axes.plot(epochs, mean, label=name, marker="o", markersize=3)
        axes.fill_between(epochs, mean - spread, mean + spread, alpha=0.2)
    axes.set(xlabel="epoch", ylabel="squared label loss")
    axes.set_ylim(bottom=0)
    axes.grid(alpha=0.3)
    if curves:
        axes.legend()
    _save(figure, path)
    pyplot.close(figure)
