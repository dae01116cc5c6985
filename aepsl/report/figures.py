"""Figures of a run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import cv2
import matplotlib
import numpy as np
from numpy.typing import NDArray

matplotlib.use("Agg")
from matplotlib import pyplot

from aepsl.masks import IGNORED

pyplot.rcParams["text.parse_math"] = False  # a name with $ in it is a name

Rgb = NDArray[np.uint8]


def plot_curves(
    curves: Mapping[str, Sequence[float]], path: Path, *, title: str, ylabel: str
) -> None:
    """Plot losses over epochs, one line a training (as the paper's Fig. 5a)."""
    figure, axes = pyplot.subplots(figsize=(7, 4), layout="constrained")
    for name, losses in curves.items():
        axes.plot(range(1, len(losses) + 1), losses, label=name, marker="o", markersize=3)
    axes.set(xlabel="epoch", ylabel=ylabel, title=title)
    axes.set_ylim(bottom=0)
    axes.grid(alpha=0.3)
    axes.legend()
    # No version in the file, so that equal figures are equal bytes.
    figure.savefig(path, dpi=110, format="png", metadata={"Software": None})
    pyplot.close(figure)


def heat(image: Rgb, heatmap: NDArray[np.floating]) -> Rgb:
    """Lay a map in 0..1 over an image: blue is nothing, red is the maximum."""
    colours = cv2.applyColorMap((255 * heatmap.clip(0, 1)).astype(np.uint8), cv2.COLORMAP_JET)
    return cv2.addWeighted(image, 0.45, cv2.cvtColor(colours, cv2.COLOR_BGR2RGB), 0.55, 0)


def grey(values: NDArray[np.floating]) -> Rgb:
    """Show a map in 0..1 as grey."""
    return np.repeat((255 * values.clip(0, 1)).astype(np.uint8)[..., None], 3, axis=2)


def coloured(mask: NDArray[np.uint8], palette: NDArray[np.uint8]) -> Rgb:
    """Show a mask in a palette's colours, ignored pixels in white."""
    shown = palette[mask]
    shown[mask == IGNORED] = 255
    return shown


def save_picture(pixels: Rgb, path: Path, *, height: int) -> None:
    """Write a picture as JPEG, scaled to ``height`` pixels."""
    width = max(1, round(pixels.shape[1] * height / pixels.shape[0]))
    small = cv2.resize(pixels, (width, height), interpolation=cv2.INTER_AREA)
    cv2.imwrite(str(path), cv2.cvtColor(small, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, 88])


def plot_spread(
    rows: Mapping[str, Mapping[str, Sequence[float]]], path: Path, *, title: str
) -> None:
    """Plot each row's values as dots, one a seed, with mean and standard deviation.

    Args:
        rows: the values of each row, by panel, by the row's label.
        path: the picture to write.
        title: of the whole picture.
    """
    panels = list(dict.fromkeys(panel for row in rows.values() for panel in row))
    columns = min(4, len(panels))
    lines = -(-len(panels) // columns)
    figure, grid = pyplot.subplots(
        lines,
        columns,
        figsize=(1.8 + 2.6 * columns, 0.5 + lines * (0.8 + 0.3 * len(rows))),
        sharey=True,
        squeeze=False,
        layout="constrained",
    )
    for unused in grid.flat[len(panels) :]:
        unused.set_visible(False)
    for axes, panel in zip(grid.flat, panels, strict=False):
        for place, row in enumerate(rows.values()):
            values = np.array([v for v in row.get(panel, ()) if np.isfinite(v)])
            if len(values):
                spread = values.std(ddof=1) if len(values) > 1 else 0.0
                axes.errorbar(values.mean(), place, xerr=spread, color="C0", capsize=3)
                axes.plot(values.mean(), place, "|", color="C0", markersize=14, markeredgewidth=2.5)
                axes.plot(values, [place] * len(values), "o", color="C1", alpha=0.8, markersize=4)
        axes.set_title(panel, fontsize=9)
        axes.grid(alpha=0.3)
    grid[0][0].set_yticks(range(len(rows)), list(rows))
    grid[0][0].set_ylim(len(rows) - 0.5, -0.5)
    figure.suptitle(f"{title}\ndots: seeds; line: mean and standard deviation", fontsize=10)
    figure.savefig(path, dpi=110, format="png", metadata={"Software": None})
    pyplot.close(figure)


def plot_losses(curves: Mapping[str, NDArray[np.float64]], path: Path) -> None:
    """Plot (seeds, epochs) losses of each step, mean and standard deviation (as Fig. 5a)."""
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
    figure.savefig(path, dpi=110, format="png", metadata={"Software": None})
    pyplot.close(figure)
