"""Commands from masks to scores, tables and report."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from aepsl.cli.job import job
from aepsl.cli.kept import kept
from aepsl.cli.markers import Reads, Writes
from aepsl.cli.options import (
    DatasetFile,
    LabelStore,
    Output,
    Paths,
    Predictions,
    Root,
    SaliencyStore,
    ScoreFiles,
    Settings,
    TruthFile,
    parse_paths,
    stage,
)

Page = Annotated[
    Path,
    typer.Option("--output", help="Page to write, its pictures beside it."),
    Writes("pictures", "classifier.png", "segmentation.png"),
]

commands = typer.Typer()


@commands.command()
@job
@kept
def score(
    config: Settings,
    truth: TruthFile,
    root: Root,
    store: Annotated[Paths, typer.Option(parser=parse_paths, help="Store to score."), Reads()],
    target: Annotated[str, typer.Option(help="What the store holds.")],
    variant: Annotated[str, typer.Option(help="Name for the table.")],
    seed: Annotated[int, typer.Option(help="Seed for the table.")],
    output: Output,
    step: Annotated[int | None, typer.Option(help="Erasing step.")] = None,
) -> None:
    """Score masks against the true ones."""
    stage("score").run(
        config,
        truth=truth,
        root=root,
        store=store,
        target=target,
        variant=variant,
        seed=seed,
        step=step,
        output=output,
    )


@commands.command()
@job
def pack_voc_test(
    config: Settings,
    truth: TruthFile,
    masks: Predictions,
    output: Output,
) -> None:
    """Write masks as the archive that VOC's evaluation server takes."""
    stage("pack_voc_test").run(config, truth=truth, masks=masks, output=output)


@commands.command()
@job
def summarise(
    scores: ScoreFiles,
    output: Output,
    table: Annotated[Path, typer.Option(help="CSV to write."), Writes()],
) -> None:
    """Collect all scores of a run."""
    stage("summarise").run(scores, output=output, table=table)


@commands.command()
@job
def report(
    dataset: DatasetFile,
    evaluated: Annotated[Path, typer.Option(help="Manifest of the photographs predicted.")],
    truth: TruthFile,
    root: Root,
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
    output: Page,
) -> None:
    """Write the page with scores, curves and pictures."""
    stage("report").run(
        dataset=dataset,
        evaluated=evaluated,
        truth=truth,
        root=root,
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
@job
def tabulate(
    specification: Annotated[str, typer.Option(help="What the table says, as JSON.")],
    output: Output,
    text: Annotated[Path, typer.Option(help="Markdown to write."), Writes()],
    plot: Annotated[Path, typer.Option(help="Picture to write."), Writes()],
) -> None:
    """Write one table of ablations."""
    stage("tabulate").run(specification=specification, output=output, text=text, plot=plot)


@commands.command()
@job
def collect_tables(
    texts: Annotated[Paths, typer.Option(parser=parse_paths, help="Tables as Markdown.")],
    curves: Annotated[Paths, typer.Option(parser=parse_paths, help="Classifiers' curves.")],
    name: Annotated[str, typer.Option(help="Of the run.")],
    command: Annotated[str, typer.Option(help="That made them.")],
    output: Output,
    plot: Annotated[Path, typer.Option(help="Picture of the losses to write."), Writes()],
) -> None:
    """Write all tables on one page."""
    stage("collect_tables").run(
        texts=texts, curves=curves, name=name, command=command, output=output, plot=plot
    )
