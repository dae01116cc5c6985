"""All tables of a run on one page, and the losses of its classifiers by step."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from aepsl.report.figures import plot_losses
from aepsl.report.tables import page
from aepsl.stores.atomic import replacing, write_text


def run(
    *,
    texts: Sequence[Path],
    curves: Sequence[Path],
    name: str,
    command: str,
    output: Path,
    plot: Path,
) -> None:
    """Write the page ``output`` and the picture ``plot``; a curve's folder says its step."""
    losses: dict[str, list[list[float]]] = {}
    for path in curves:
        step = path.parent.name.replace("step", "step ")
        losses.setdefault(step, []).append(pd.read_csv(path)["loss"].tolist())
    with replacing(plot) as temporary:
        plot_losses({step: np.array(rows) for step, rows in losses.items()}, temporary)
    tables = [path.read_text(encoding="utf-8") for path in texts]
    write_text(output, page(name, command, tables, losses=plot.name if curves else None))
