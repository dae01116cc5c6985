"""Estimated costs in docs/scale.md: hours, bytes and files of datasets of four sizes, as Markdown.

    python benchmarks/bill.py

The costs of an image are those that benchmarks/costs.py measured; GPU hours follow from counted
operations and an assumed speed, since no GPU was there to measure.
"""

from dataclasses import dataclass

from aepsl.workflow.shards import shards_for

STEPS, EPOCHS = 3, 15
"""Erasing steps, and epochs of every training: the preset voc2012."""

CPU_MS = {
    "index": 3.0,
    "saliency, computed here": 670.0,
    "loading to train": 5.4,
    "regions": 10.0,
    "labels": 12.0,
    "CRF": 570.0,
    "scores": 20.0,
}
"""CPU milliseconds per image and pass."""

KB = {"saliency": 44, "cams": 7.6, "regions": 10, "labels": 7.7, "predictions": 107, "crf": 4.5}
"""Kilobytes of a record; predictions for 20 classes, 3.5 times those of the five measured."""

CROP_GFLOP = 102.0
"""Of VGG-16 with LargeFOV for a crop of 321 px, forward; a training step is three of it."""
PHOTOGRAPH_GFLOP = CROP_GFLOP * 375 * 500 / 321**2
GPU_TFLOPS = 30.0
"""Assumed: what a data centre's GPU sustains in bfloat16 on such a network, a tenth of its peak."""


@dataclass(frozen=True)
class Dataset:
    """How many photographs are learnt from, and how many are predicted."""

    name: str
    train: int
    predicted: int


DATASETS = (
    Dataset("VOC 2012", 10_582, 1_449),
    Dataset("COCO 2014", 82_783, 40_504),
    Dataset("Open Images", 1_743_042, 41_620),
    Dataset("a billion", 1_000_000_000, 1_000_000_000),
)


def gpu_hours(data):
    """Return the GPU hours of each stage with a network."""
    training = 3 * CROP_GFLOP * EPOCHS * data.train
    work = {
        "classifiers": STEPS * training,
        "CAMs": STEPS * PHOTOGRAPH_GFLOP * data.train,
        "segmentation": training,
        "predictions": PHOTOGRAPH_GFLOP * data.predicted,
    }
    return {stage: count / GPU_TFLOPS / 1e3 / 3600 for stage, count in work.items()}


def cpu_hours(data):
    """Return the CPU hours of each stage."""
    visits = {
        "index": data.train + data.predicted,
        "saliency, computed here": data.train,
        "loading to train": (STEPS + 1) * EPOCHS * data.train,
        "regions": STEPS * data.train,
        "labels": data.train,
        "CRF": data.predicted,
        "scores": (STEPS + 1) * data.train + 2 * data.predicted,
    }
    return {stage: count * CPU_MS[stage] / 3.6e6 for stage, count in visits.items()}


def gigabytes(data):
    """Return the size of each store."""
    records = {
        "saliency": data.train,
        "cams": STEPS * data.train,
        "regions": STEPS * data.train,
        "labels": data.train,
        "predictions": data.predicted,
        "crf": data.predicted,
    }
    return {store: count * KB[store] / 1e6 for store, count in records.items()}


def files(data):
    """Return the number of files: a shard, its manifest, log, checksums, lock and benchmark."""
    train, predicted = shards_for(data.train), shards_for(data.predicted)
    return 6 * ((2 + 2 * STEPS) * train + 2 * predicted) + 180


def row(name, values, form="{}"):
    """Print a row of the table."""
    print("|", " | ".join([name, *(form.format(short(value)) for value in values)]), "|")


def short(value):
    """Return a number with two digits at least."""
    if isinstance(value, str):
        return value
    return f"{value:,.0f}" if value >= 10 else f"{value:.1f}" if value >= 1 else f"{value:.2f}"


def main():
    """Print the tables."""
    row("", [f"{d.name}: {d.train:,} and {d.predicted:,}" for d in DATASETS])
    print("|---" * (len(DATASETS) + 1) + "|")
    for unit, bill in (("GPU-h", gpu_hours), ("CPU-h", cpu_hours), ("GB", gigabytes)):
        bills = [bill(data) for data in DATASETS]
        for stage in bills[0]:
            row(f"{stage}, {unit}", [b[stage] for b in bills])
        row(f"**all, {unit}**", [sum(b.values()) for b in bills], "**{}**")
    row("**files**", [files(data) for data in DATASETS])


if __name__ == "__main__":
    main()
