"""Everything that a run is made from."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from aepsl.config.ablations import Ablations
from aepsl.config.data import Data
from aepsl.config.evaluation import Evaluation
from aepsl.config.labels import Labels, Saliency
from aepsl.config.mining import Mining
from aepsl.config.networks import Networks
from aepsl.config.sections import Section, knob
from aepsl.config.segmentation import Crf, Prediction, Segmentation

NAME = r"^\w[\w.-]*$"
"""Of a folder in the results: none that is hidden or leads elsewhere."""

VariantName = Annotated[str, Field(pattern=NAME)]


class Report(Section):
    """The page of pictures."""

    images: int = knob(10, "Images shown.", unit="images", source="-", ge=0)


class Runtime(Section):
    """How the work is done; of these only the number of shards makes anything run again."""

    shards: Literal["auto"] | Annotated[int, Field(ge=1)] = knob(
        "auto",
        "Parts of each per-image stage; auto: one for 1,000 images, 200 at most.",
        unit="jobs",
        source="docs/scale.md",
    )
    threads: int = knob(
        2,
        "Threads of a training; another number adds in another order, so last bits differ.",
        unit="threads",
        source="-",
        ge=1,
    )
    processes: int = knob(
        2,
        "Processes of scenes, index and CRF, which nothing runs beside.",
        unit="processes",
        source="2 cores",
        ge=1,
    )
    workers: int = knob(0, "Loader processes of a training.", unit="processes", source="-", ge=0)
    training_gpus: int = knob(
        1,
        "GPUs of a training, of one node, a process each; other sums, so last bits differ.",
        unit="GPUs",
        source="-",
        ge=1,
    )
    device: str = knob(
        "auto",
        "cpu, cuda, or auto: a GPU where there is one. On a cluster all but cpu ask for GPUs.",
        unit="-",
        source="-",
    )

    cache: str | None = knob(
        "results/.cache",
        "Folder of finished work, which other runs take; null keeps none.",
        unit="-",
        source="-",
    )
    cache_gb: float | None = knob(
        20,
        "Size of that folder; what nobody asked for the longest is removed. null: no limit.",
        unit="GB",
        source="ten runs of voc2012",
        ge=0,
    )


class Config(Section):
    """Everything that a run is made from."""

    run: str = knob("scenes", "Name of the folder in results/.", unit="-", source="-", pattern=NAME)
    seed: int = knob(0, "Seed of all training.", unit="-", source="-", ge=0)
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
    variants: dict[VariantName, dict[str, Any]] = knob(
        {}, "Named overrides of the keys above; main has none.", unit="-", source="-"
    )

    @model_validator(mode="after")
    def _thresholds_of_classes(self) -> Config:
        unknown = sorted(set(self.labels.class_thresholds) - set(self.data.used_classes))
        if unknown:
            names = f"{', '.join(unknown)}; the classes are {', '.join(self.data.used_classes)}"
            raise ValueError(f"labels.class_thresholds names no class: {names}")
        return self
