"""The complete configuration of a run."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field

from aepsl.config.ablations import Ablations
from aepsl.config.data import Data
from aepsl.config.evaluation import Evaluation
from aepsl.config.labels import Labels, Saliency
from aepsl.config.mining import Mining
from aepsl.config.networks import Networks
from aepsl.config.presets import PRESETS
from aepsl.config.sections import WORD_NULL, Section, setting
from aepsl.config.segmentation import Crf, Prediction, Segmentation

NAME = r"^\w[\w.-]*$"
"""Pattern of folder names in results/: not hidden, no path separators."""

VariantName = Annotated[str, Field(pattern=NAME)]


class Report(Section):
    """The HTML report."""

    images: int = setting(
        20_000,
        "Images of each split on the page, evenly spaced if the split has more; 0.03 s and 25 kB"
        " an image of 500 px.",
        unit="images",
        source="docs/scale.md",
        ge=0,
    )
    predictions: int = setting(
        100,
        "Training images, evenly spaced, that the network predicts for the page.",
        unit="images",
        source="-",
        ge=0,
    )


class Runtime(Section):
    """How jobs are executed. Only the number of shards can cause reruns."""

    shards: Literal["auto"] | Annotated[int, Field(ge=1)] = setting(
        "auto",
        "Shards of each per-image stage; auto: one per 1,000 images, at most 200.",
        unit="shards",
        source="docs/scale.md",
    )
    threads: int = setting(
        2,
        "Threads of a job that trains or runs a network. Another number changes the last bits.",
        unit="threads",
        source="-",
        ge=1,
    )
    processes: int = setting(
        2,
        "Processes of scene generation, index and CRF.",
        unit="processes",
        source="2 cores",
        ge=1,
    )
    workers: int = setting(
        0, "Data loading workers of a training.", unit="processes", source="-", ge=0
    )
    training_gpus: int = setting(
        1,
        "GPUs of a training, on one node, one process each. Another number changes the result,"
        " because each GPU draws its own dropout and sums change their order.",
        unit="GPUs",
        source="-",
        ge=1,
    )
    device: str = setting(
        "auto",
        "cpu, cuda, or auto (a GPU if available). On a cluster, auto and cuda request GPUs.",
        unit="-",
        source="-",
    )

    cache: str | None = setting(
        "results/.cache",
        "Cache folder of finished results, shared between runs; null disables it.",
        unit="-",
        source="-",
    )
    cache_gb: float | None = setting(
        20,
        "Size limit of the cache; least recently used entries are removed first. null: no limit.",
        unit="GB",
        source="ten runs of voc2012",
        ge=0,
    )


class Config(Section):
    """The complete configuration of a run."""

    base: Annotated[str | tuple[str, ...] | None, WORD_NULL] = setting(
        None,
        f"Preset that this configuration starts from: {', '.join(PRESETS)}; or a list of presets,"
        " each laid over the one before, such as [photographs, best]; null: the defaults.",
        unit="-",
        source="-",
    )
    run: str = setting(
        "scenes",
        "Name of the run: its folder in results/.",
        unit="-",
        source="-",
        pattern=NAME,
    )
    seed: int = setting(0, "Random seed of all trainings.", unit="-", source="-", ge=0)
    data: Data = Data()
    networks: Networks = Networks()
    mining: Mining = Mining()
    saliency: Saliency = Saliency()
    labels: Labels = Labels()
    segmentation: Segmentation = Segmentation()
    prediction: Prediction = Prediction()
    crf: Crf = Crf()
    report: Report = Report()
    evaluation: Evaluation = Evaluation()
    runtime: Runtime = Runtime()
    ablations: Ablations = Ablations()
    variants: dict[VariantName, Annotated[dict[str, Any] | None, WORD_NULL]] = setting(
        {},
        "Variants: named overrides of the settings above; null removes a variant. The variant main"
        " has no overrides.",
        unit="-",
        source="-",
    )
