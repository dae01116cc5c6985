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
    figure.savefig(path, dpi=110, metadata={"Software": None})
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
