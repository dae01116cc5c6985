"""Collect all ablation tables of a run on one page, and plot the losses of its classifiers."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import numpy as np
import typer

from aepsl.report.figures import plot_losses
from aepsl.report.tables import tables_page
from aepsl.stages._options import Name, Output, Paths, Writes, paths_option
from aepsl.stores.atomic import atomic_write, write_text
from aepsl.text import read_columns, read_text


def collect_tables(
    texts: Annotated[Paths, paths_option("Ablation tables, as Markdown.")],
    curves: Annotated[Paths, paths_option("Training curves of the classifiers.")],
    name: Name,
    command: Annotated[
        str, typer.Option(help="Command that produced the tables, shown on the page.")
    ],
    output: Output,
    plot: Annotated[Path, typer.Option(help="Plot of the losses to write."), Writes()],
) -> None:
    """Collect all ablation tables on one page, and plot the classifiers' losses by step.

    The step of a training curve is read from the name of its folder.
    """
    losses: dict[str, list[list[float]]] = {}
    for path in curves:
        step = path.parent.name.replace("step", "step ")
        losses.setdefault(step, []).append(read_columns(path)["loss"])
    with atomic_write(plot) as temporary:
        plot_losses({step: np.array(rows) for step, rows in losses.items()}, temporary)
    tables = [read_text(path) for path in texts]
    write_text(output, tables_page(name, command, tables, losses=plot.name if curves else None))
