"""Commands from masks to scores, tables and report."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from aepsl.cli.options import (
    DatasetFile,
    LabelStore,
    Log,
    Output,
    Paths,
    Predictions,
    SaliencyStore,
    ScoreFiles,
    Settings,
    parse_paths,
    stage,
)
from aepsl.console import configure

commands = typer.Typer()


@commands.command()
def score(
    config: Settings,
    dataset: DatasetFile,
    store: Annotated[Paths, typer.Option(parser=parse_paths, help="Store to score.")],
    target: Annotated[str, typer.Option(help="What the store holds.")],
    variant: Annotated[str, typer.Option(help="Name for the table.")],
    seed: Annotated[int, typer.Option(help="Seed for the table.")],
    output: Output,
    step: Annotated[int | None, typer.Option(help="Erasing step.")] = None,
    log: Log = None,
) -> None:
    """Score masks against the true ones."""
    configure(log)
    stage("score").run(
        config,
        dataset=dataset,
        store=store,
        target=target,
        variant=variant,
        seed=seed,
        step=step,
        output=output,
    )


@commands.command()
def pack_voc_test(
    config: Settings,
    dataset: DatasetFile,
    masks: Predictions,
    output: Output,
    log: Log = None,
) -> None:
    """Write masks as the archive that VOC's evaluation server takes."""
    configure(log)
    stage("pack_voc_test").run(config, dataset=dataset, masks=masks, output=output)


@commands.command()
def summarise(
    scores: ScoreFiles,
    output: Output,
    table: Annotated[Path, typer.Option(help="CSV to write.")],
    log: Log = None,
) -> None:
    """Collect all scores of a run."""
    configure(log)
    stage("summarise").run(scores, output=output, table=table)


@commands.command()
def report(
    dataset: DatasetFile,
    scores: Annotated[Path, typer.Option(help="scores.json.")],
    cams: Annotated[Paths, typer.Option(parser=parse_paths, help="CAM stores by step.")],
    regions: Annotated[Paths, typer.Option(parser=parse_paths, help="Region stores by step.")],
    saliency: SaliencyStore,
    labels: LabelStore,
    predictions: Predictions,
    classifier_curves: Annotated[Paths, typer.Option(parser=parse_paths, help="By step.")],
    segmentation_curve: Annotated[Path, typer.Option(help="Its training curve.")],
    verdicts: Annotated[
        Paths, typer.Option(parser=parse_paths, help="Why mining went on, by step.")
    ],
    name: Annotated[str, typer.Option(help="Of the run.")],
    variant: Annotated[str, typer.Option(help="That is shown.")],
    seed: Annotated[int, typer.Option(help="Of that variant.")],
    output: Output,
    log: Log = None,
) -> None:
    """Write the page with scores, curves and pictures."""
    configure(log)
    stage("report").run(
        dataset=dataset,
        scores=scores,
        cams=cams,
        regions=regions,
        saliency=saliency,
        labels=labels,
        predictions=predictions,
        classifier_curves=classifier_curves,
        segmentation_curve=segmentation_curve,
        verdicts=verdicts,
        name=name,
        variant=variant,
        seed=seed,
        output=output,
    )


@commands.command()
def tabulate(
    specification: Annotated[str, typer.Option(help="What the table says, as JSON.")],
    output: Output,
    text: Annotated[Path, typer.Option(help="Markdown to write.")],
    plot: Annotated[Path, typer.Option(help="Picture to write.")],
    log: Log = None,
) -> None:
    """Write one table of ablations."""
    configure(log)
    stage("tabulate").run(specification=specification, output=output, text=text, plot=plot)


@commands.command()
def collect_tables(
    texts: Annotated[Paths, typer.Option(parser=parse_paths, help="Tables as Markdown.")],
    curves: Annotated[Paths, typer.Option(parser=parse_paths, help="Classifiers' curves.")],
    name: Annotated[str, typer.Option(help="Of the run.")],
    command: Annotated[str, typer.Option(help="That made them.")],
    output: Output,
    plot: Annotated[Path, typer.Option(help="Picture of the losses to write.")],
    log: Log = None,
) -> None:
    """Write all tables on one page."""
    configure(log)
    stage("collect_tables").run(
        texts=texts, curves=curves, name=name, command=command, output=output, plot=plot
    )
