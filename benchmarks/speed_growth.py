"""Time of an image in stages that compute no network, by the number of images and of classes.

Generated images of 65 x 65 px, one to three classes each, so that the bookkeeping shows. A flat
line says that a stage takes time in proportion to its images. At most two rounds.
"""

from dataclasses import replace
from functools import partial
from typing import NamedTuple

from speed_inputs import (
    Dataset,
    cam_store,
    cell_maps,
    dataset,
    index,
    saliency_store,
    settings,
)
from speed_tools import Bench, Table, Way, compare

from aepsl.stages.assemble_labels import assemble_labels
from aepsl.stages.erase_regions import erase_regions
from aepsl.stages.score import score

PICTURE = "benchmarks_growth.png"
SIDE, IMAGES, CLASSES = 65, (100, 1000, 10_000), (5, 20, 80)
MIDDLE = (1000, 20)
"""Images and classes of the case that the others are compared with."""
MOST_ROUNDS = 2


class _Case(NamedTuple):
    """A dataset of some size, and the stores that its stages read."""

    made: Dataset
    names: list[str]
    cams: object
    saliency: object

    def index(self):
        index(self.made, self.names)

    def regions(self, config):
        stores = ([self.cams], [self.made.no_regions])
        output = self.made.root / "regions.h5"
        erase_regions(config, self.made.manifest, *stores, step=1, output=output)

    def labels(self, config):
        stores = ([self.made.root / "regions.json"], [], [self.saliency])
        given = (config, self.made.manifest, self.made.root)
        assemble_labels(*given, *stores, output=self.made.root / "labels.h5")

    def score(self, config):
        labels, output = [self.made.root / "labels.json"], self.made.root / "score.json"
        about = {"target": "labels", "variant": "main", "seed": 0}
        score(config, self.made.truth, self.made.root, labels, output=output, **about)


def _case(bench, images, classes) -> _Case:
    name = f"{images}-{classes}"
    made = dataset(bench, images, name=name, size=(SIDE, SIDE), classes=classes)
    listed = made.images()
    cams = cam_store(made.root / "cams.h5", listed, cell_maps(listed))
    saliency = saliency_store(made.root / "saliency.h5", listed)
    return _Case(made, list(listed.class_names), cams, saliency)


def _sizes(quick):
    """Return pairs of images and classes; the middle case comes first."""
    if quick:
        return [(8, 20), (16, 20), (8, 5)]
    by_images = [(images, MIDDLE[1]) for images in IMAGES]
    by_classes = [(MIDDLE[0], classes) for classes in CLASSES]
    return list(dict.fromkeys([MIDDLE, *by_images, *by_classes]))


def _name(images, classes):
    return f"{images:,} images, {classes} classes"


def measure(bench: Bench):
    """Yield a table of each stage."""
    sizes = _sizes(bench.quick)
    cases = {size: _case(bench, *size) for size in sizes}
    few = replace(bench, rounds=min(bench.rounds, MOST_ROUNDS))
    for title, stage in (
        ("Index", _Case.index),
        ("Regions", partial(_Case.regions, config=settings("erase_regions", step=1))),
        ("Labels", partial(_Case.labels, config=settings("assemble_labels"))),
        ("Score", partial(_Case.score, config=settings("score"))),
    ):
        ways = [
            Way(_name(*size), partial(stage, case), work=size[0]) for size, case in cases.items()
        ]
        ways[0].run()  # imports and caches
        against, unit = ways[0].name, "ms an image"
        yield compare(title, ways, bench=few, work=1, against=against, unit=unit, warm=False)


def draw(tables: list[Table], path) -> None:
    """Draw the time of an image by the number of images, and by the number of classes."""
    from matplotlib.figure import Figure  # noqa: PLC0415

    figure = Figure(figsize=(9, 3.4), layout="constrained")
    panels = figure.subplots(1, 2, sharey=True)
    for panel, column, what in zip(panels, (0, 1), ("images", "classes"), strict=True):
        for table in tables:
            sizes = [
                (int(row.way.split()[0].replace(",", "")), int(row.way.split()[2]), row.median)
                for row in table.rows
            ]
            first = sizes[0]
            line = sorted(size for size in sizes if size[1 - column] == first[1 - column])
            panel.plot(
                [size[column] for size in line],
                [size[2] for size in line],
                marker="o",
                label=table.title,
            )
        ticks = sorted({size[column] for size in line})
        panel.set(xscale="log", xlabel=what)
        panel.set_xticks(ticks, [f"{tick:,}" for tick in ticks])
        panel.minorticks_off()
        panel.grid(alpha=0.3)
    panels[0].set_ylabel("ms an image")
    panels[0].set_ylim(bottom=0)
    figure.legend(*panels[0].get_legend_handles_labels(), loc="outside right upper")
    figure.savefig(path, dpi=120)
