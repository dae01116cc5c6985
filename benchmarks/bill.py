"""Estimated costs in docs/scale.md, as Markdown: hours, bytes and files of datasets of four sizes;
and the minutes of VOC 2012 on one machine with a GPU.

    python benchmarks/bill.py

The costs of an image are those that benchmarks/costs.py measured; GPU hours follow from counted
operations and an assumed speed, since no GPU was there to measure.
"""

from dataclasses import dataclass

from aepsl.workflow.shards import shards_for

STEPS, EPOCHS = 3, 15
"""Erasing steps, and epochs of every training: the preset voc2012."""

CPU_MS = {
    "index": 7.5,
    "saliency, computed here": 153.0,
    "loading to train": 3.4,
    "regions": 4.3,
    "labels": 3.0,
    "CRF": 394.0,
    "scores": 6.0,
}
"""CPU milliseconds per image and pass."""

KB = {"saliency": 86, "cams": 7.7, "regions": 12, "labels": 8.6, "predictions": 112, "crf": 5.1}
"""Kilobytes of a record; predictions for 20 classes, 3.5 times those of the five measured."""

CROP_GFLOP = 102.0
"""Of VGG-16 with LargeFOV for a crop of 321 px, forward; a training step is three of it."""
PHOTOGRAPH_GFLOP = CROP_GFLOP * 375 * 500 / 321**2
GPU_TFLOPS = 200.0
"""Assumed: what one H100 sustains in bfloat16 on such a network, a fifth of its dense peak of 989.
An RTX 3090 sustains 51 of its 71 when it trains VGG-16, by timm's published tables."""
GPU_JOB_S = 10.0
"""Assumed seconds of a job with a GPU besides its photographs: start of Python, torch and CUDA."""
CORES, LOADERS = 16, 4
"""Of the machine with one GPU; processes that load while it trains (runtime.workers)."""
CPU_JOB_S = 1.0
"""Measured seconds of a job without a GPU besides its photographs."""


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


def minutes(data):
    """Return the minutes of each stage on one machine with a GPU, one stage after the other.

    Photographs are loaded while the GPU trains: the slower of both counts. The index reads, checks
    and hashes in processes, and so do the stages without a network.
    """
    gpu, cpu = gpu_hours(data), cpu_hours(data)
    loading = cpu.pop("loading to train") / LOADERS / (STEPS + 1)
    jobs = {"classifiers": STEPS, "CAMs": STEPS * shards_for(data.train), "segmentation": 1}
    jobs["predictions"] = shards_for(data.predicted)
    work = {"classifiers": STEPS * loading, "segmentation": loading}
    found = {
        stage: 60 * max(hours, work.get(stage, 0)) + jobs[stage] * GPU_JOB_S / 60
        for stage, hours in gpu.items()
    }
    for stage, hours in cpu.items():
        found[stage] = 60 * hours / CORES + CPU_JOB_S / 60
    return found


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
    print()
    voc = DATASETS[0]
    row("", [f"{voc.name}, one GPU and {CORES} cores"])
    print("|---|---|")
    parts = minutes(voc)
    for stage, found in parts.items():
        row(f"{stage}, min", [found])
    row("**all, min**", [sum(parts.values())], "**{}**")


if __name__ == "__main__":
    main()
