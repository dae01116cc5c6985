"""The DAG of the method: outputs, settings and dependencies of each stage.

There is one entry per stage, named after its rule, its module and its command. The rules' inputs
and outputs, the settings of their jobs, and which variants share a result follow from this table.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import reduce
from pathlib import Path
from typing import Any, NamedTuple

from aepsl.config.root import Config
from aepsl.config.segmentation import Crf
from aepsl.data.adapters import Role, described
from aepsl.data.content import InputFiles, single_file
from aepsl.data.published import network_file
from aepsl.exchange.correction_files import corrections_content
from aepsl.host import has_crf
from aepsl.saliency.methods import METHODS
from aepsl.targets import TARGETS


class ResultIndex(NamedTuple):
    """Index of a stage's result: the wildcards of its rule, except variant and shard."""

    role: Role = "train"
    step: int = 0
    round: int = 0
    target: str = ""


SINGLE_RESULT = ResultIndex()
"""Index for a stage with a single result per variant."""


class Dependency(NamedTuple):
    """A dependency: one result that a stage reads."""

    stage: str
    at: ResultIndex = SINGLE_RESULT
    file: str = "manifest"
    """Name of the output that is read."""
    same_shard: bool = False
    """Whether a job reads only the shard with its own number."""


class JobContext(NamedTuple):
    """Arguments of the functions that return dependencies, keys and content of a stage."""

    config: Config
    """The configuration of the variant."""
    at: ResultIndex
    last_step: int
    """Number of erasing steps; with ``mining.steps: auto``, of those that succeeded."""


Sources = Dependency | list[Dependency] | None
Keys = Callable[[JobContext], Iterator[str]]


@dataclass(frozen=True)
class Stage:
    """One stage of the workflow."""

    files: Mapping[str, str]
    """Outputs: path templates inside the folder of a run, by name."""
    reads: Mapping[str, Callable[[JobContext], Sources]] = field(default_factory=dict)
    """Dependencies, by the name of the input."""
    keys: Keys = lambda job: iter(())
    """Dotted keys of the configuration that change the result."""
    content: Callable[[JobContext], InputFiles | None] = lambda job: None
    """Files outside the run that change the result."""
    counts_steps: bool = False
    """Whether the dependencies depend on the number of steps found by ``mining.steps: auto``."""
    module: str = ""
    """Module in ``aepsl.stages``, if its name differs from that of the rule."""


def _store(folder: str) -> dict[str, str]:
    return {"store": f"{folder}/{{shard}}.h5", "manifest": f"{folder}/{{shard}}.json"}


def _training(folder: str) -> dict[str, str]:
    return {"model": f"{folder}/model.safetensors", "curve": f"{folder}/curve.csv"}


# Dependencies


def images(role: Role) -> Dependency:
    """Return the image manifest of the training or evaluation split."""
    return Dependency("index_images", ResultIndex(role=role))


def truth(role: Role) -> Dependency:
    """Return the mask manifest of the training or evaluation split."""
    return Dependency("index_truth", ResultIndex(role=role))


def classifier(step: int, file: str = "model") -> Dependency:
    """Return an output of the training of one step."""
    return Dependency("train_classifier", ResultIndex(step=step), file)


def cams(step: int, *, same_shard: bool = False) -> Dependency:
    """Return the class activation maps of one step."""
    return Dependency("extract_cams", ResultIndex(step=step), same_shard=same_shard)


def regions(step: int, *, same_shard: bool = False) -> Dependency:
    """Return the regions mined up to a step; step 0 is empty."""
    if step == 0:
        return Dependency("start_mining")
    return Dependency("erase_regions", ResultIndex(step=step), same_shard=same_shard)


def labels(config: Config, round_: int = 0) -> Dependency:
    """Return the label store on which the network of a round is trained."""
    if round_:
        return Dependency("relabel", ResultIndex(round=round_))
    mined = config.labels.source == "mined"
    return Dependency("assemble_labels" if mined else "copy_true_labels")


def labelled_regions(job: JobContext) -> Dependency | None:
    """Return the regions of the pseudo-labels, if they come from regions."""
    if job.config.labels.method != "regions":
        return None
    return regions(job.last_step, same_shard=True)


def blended_cams(job: JobContext) -> list[Dependency]:
    """Return the class maps of the pseudo-labels: those of all steps, if they are blended."""
    if job.config.labels.method != "blend":
        return []
    return [cams(step, same_shard=True) for step in all_steps(job)]


def corrected(job: JobContext) -> Dependency | None:
    """Return the label store with the masks that were corrected by hand, if any."""
    settings = job.config.labels
    if settings.source != "mined" or settings.corrections is None:
        return None
    return labels(job.config)._replace(same_shard=True)


def segmentation(round_: int, file: str = "model") -> Dependency:
    """Return an output of the training of one round."""
    return Dependency("train_segmentation", ResultIndex(round=round_), file)


def saliency(config: Config, *, same_shard: bool = False) -> Dependency | None:
    """Return the saliency maps for the labels, if any."""
    if config.saliency.method == "none":
        return None
    return Dependency("detect_saliency", same_shard=same_shard)


def supervising_saliency(job: JobContext) -> Dependency | None:
    """Return the saliency maps that supervise the classifiers, if any."""
    return saliency(job.config) if job.config.mining.saliency_loss else None


def saliency_source(config: Config) -> str | None:
    """Return the path that the saliency method reads, if any."""
    key = METHODS[config.saliency.method].source_key
    path = value_of(config, f"saliency.{key}") if key else None
    return str(network_file(path)) if path and key == "network.file" else path


def final_network(job: JobContext) -> Dependency:
    """Return the network of the last round."""
    return segmentation(job.config.segmentation.relabel_rounds)


def final_masks(job: JobContext) -> Dependency:
    """Return the final masks: refined by the CRF, if it is used."""
    return Dependency("refine_predictions" if uses_crf(job.config) else "predict")


def final_score(job: JobContext) -> Dependency:
    """Return the score of the final masks."""
    target = "predictions_crf" if uses_crf(job.config) else "predictions"
    return Dependency("score", ResultIndex(target=target), "scores")


def refined(job: JobContext) -> Dependency | None:
    """Return the predictions after the CRF, if it is used."""
    return Dependency("refine_predictions") if uses_crf(job.config) else None


def uses_crf(config: Config) -> bool:
    """Return whether predictions are refined: the CRF is enabled, and installed if it must be."""
    return config.crf.enabled and (config.crf.method != "dense" or has_crf())


def verdicts(job: JobContext) -> list[Dependency]:
    """Return the verdicts on all trainings with ``mining.steps: auto``, else none."""
    mining = job.config.mining
    if mining.steps != "auto":
        return []
    judged = range(1, min(job.last_step + 1, mining.max_steps) + 1)
    return [Dependency("judge_training", ResultIndex(step=step), "verdict") for step in judged]


def generated_digest(job: JobContext) -> Dependency | None:
    """Return the digest file of the dataset, if a rule of the run generates the dataset."""
    made_by = described(job.config.data).made_by
    return Dependency(made_by, file="digest") if made_by else None


def calibrated_delta(job: JobContext) -> Dependency | None:
    """Return the calibrated delta of a step, if ``mining.area`` is set."""
    if job.config.mining.area is None:
        return None
    return Dependency("calibrate_delta", ResultIndex(step=job.at.step), "delta")


def all_steps(job: JobContext) -> range:
    """Return the erasing steps."""
    return range(1, job.last_step + 1)


def score(target: str) -> Dependency:
    """Return the score of a target, such as ``regions-step2``."""
    return Dependency("score", ResultIndex(target=target), "scores")


def scored(target: str) -> tuple[str, ResultIndex]:
    """Parse the name of a score file, such as ``regions-step2``, into target and index."""
    name, _, number = target.partition("-")
    if number.startswith("step"):
        return name, ResultIndex(step=int(number.removeprefix("step")))
    return name, ResultIndex(round=int(number.removeprefix("round") or 0))


def scored_truth(job: JobContext) -> Dependency:
    """Return the true masks that a target is compared with."""
    target, _ = scored(job.at.target)
    return truth(TARGETS[target].role)


def scored_store(job: JobContext) -> Dependency:
    """Return the store that holds the target to score."""
    target, at = scored(job.at.target)
    return Dependency(TARGETS[target].stage, at)


# Keys


def keys(*names: str) -> Keys:
    """Return the same keys for every configuration."""
    return lambda job: iter(names)


def _image_keys(job: JobContext) -> Iterator[str]:
    dataset = described(job.config.data)
    names = ("adapter", *dataset.split_keys(job.at.role), *dataset.image_keys)
    yield from (f"data.{name}" for name in names)
    if job.at.role == "train":
        yield "mining.loss"


def _truth_keys(job: JobContext) -> Iterator[str]:
    yield from (f"data.{name}" for name in ("adapter", *described(job.config.data).truth_keys))


def _saliency_keys(job: JobContext) -> Iterator[str]:
    method = METHODS[job.config.saliency.method]
    yield from (f"saliency.{name}" for name in ("method", *method.options))


def _classifier_keys(job: JobContext) -> Iterator[str]:
    yield from ("seed", "networks", "mining.head", "mining.loss", "mining.train")
    yield "mining.suppression"
    if supervising_saliency(job):
        yield from ("mining.saliency_loss", "mining.saliency_overlap")


def _cam_keys(job: JobContext) -> Iterator[str]:
    yield from ("mining.cam_scales", "mining.cam_flip")
    if len(job.config.mining.cam_scales) > 1 or job.config.mining.cam_flip:
        yield "mining.cam_merge"


def _region_keys(job: JobContext) -> Iterator[str]:
    yield "mining.erase_rule"
    if job.config.mining.area is None:
        yield "mining.delta"


def _label_keys(job: JobContext) -> Iterator[str]:
    settings, salient = job.config.labels, job.config.saliency.method != "none"
    yield from ("labels.method", "labels.crf")
    if settings.crf:
        yield from _crf_keys(job)
    if settings.method == "blend":
        yield from ("labels.background_score", "labels.class_peak", "labels.sharpness")
        if salient:
            yield "labels.saliency_weight"
    else:
        if settings.crf:
            yield "labels.crf_certainty"
        if salient:
            yield from ("labels.background_threshold", "labels.class_thresholds")


def _segmentation_keys(job: JobContext) -> Iterator[str]:
    yield from ("seed", "networks", "mining.loss")
    yield from ("segmentation.head", "segmentation.psl", "segmentation.train")
    if job.config.segmentation.psl != "none":
        yield "segmentation.psl_after"


_VIEWS = ("prediction.scales", "prediction.flip")


def _crf_keys(job: JobContext) -> Iterator[str]:
    names = set(Crf.model_fields) - {"enabled"}
    if job.config.crf.method == "local":
        names = {"method", "iterations"}
    yield from (f"crf.{name}" for name in Crf.model_fields if name in names)


def _relabel_keys(job: JobContext) -> Iterator[str]:
    yield from ("mining.loss", "segmentation.relabel_by", "segmentation.relabel_crf", *_VIEWS)
    if job.config.segmentation.relabel_crf:
        yield from ("prediction.threshold", *_crf_keys(job))


_MEASURES = ("evaluation.boundary_tolerance", "evaluation.resamples", "evaluation.confidence")
_PREDICT_KEYS = keys(*_VIEWS, "prediction.threshold", "crf.enabled")


# Files outside the run


def _image_content(job: JobContext) -> InputFiles | None:
    return described(job.config.data).images_content(job.at.role)


def _truth_content(job: JobContext) -> InputFiles | None:
    return described(job.config.data).truth_content(job.at.role)


def _saliency_content(job: JobContext) -> InputFiles | None:
    source, dataset = saliency_source(job.config), described(job.config.data)
    if source is None:
        return None
    if not METHODS[job.config.saliency.method].reads_maps:
        return single_file(source)
    folder, split = Path(source), dataset.split("train")
    return dataset.files_of_images("maps", folder, split, suffixes=(".png", ".jpg"))


def _corrections_content(job: JobContext) -> InputFiles | None:
    corrections = job.config.labels.corrections
    return corrections_content(Path(corrections)) if corrections else None


def _weights_content(job: JobContext) -> InputFiles | None:
    networks = job.config.networks
    return single_file(networks.weights) if networks.weights_are_a_file else None


STAGES = {
    "generate_scenes": Stage({"digest": "scenes/{name}/scenes.json"}, keys=keys("data.scenes")),
    "index_images": Stage(
        {"manifest": "{role}_images/{name}/manifest.jsonl"},
        reads={"scenes": generated_digest},
        keys=_image_keys,
        content=_image_content,
    ),
    "index_truth": Stage(
        {"manifest": "{role}_truth/{name}/manifest.jsonl"},
        reads={"dataset": lambda job: images(job.at.role)},
        keys=_truth_keys,
        content=_truth_content,
    ),
    "detect_saliency": Stage(
        _store("saliency/{name}"),
        reads={"dataset": lambda job: images("train")},
        keys=_saliency_keys,
        content=_saliency_content,
    ),
    "start_mining": Stage({"manifest": "regions/step0/0.json"}),
    "train_classifier": Stage(
        _training("classifier/{name}/step{step}"),
        reads={
            "dataset": lambda job: images("train"),
            "regions": lambda job: regions(job.at.step - 1),
            "saliency": supervising_saliency,
        },
        keys=_classifier_keys,
        content=_weights_content,
    ),
    "judge_training": Stage(
        {"verdict": "success/{name}/step{step}/verdict.json"},
        reads={
            "dataset": lambda job: images("train"),
            "curve": lambda job: classifier(job.at.step, "curve"),
        },
        keys=keys("mining.loss", "mining.success"),
    ),
    "extract_cams": Stage(
        _store("cams/{name}/step{step}"),
        reads={
            "dataset": lambda job: images("train"),
            "model": lambda job: classifier(job.at.step),
            "regions": lambda job: regions(job.at.step - 1, same_shard=True),
        },
        keys=_cam_keys,
    ),
    "calibrate_delta": Stage(
        {"delta": "calibration/{name}/step{step}/delta.json"},
        reads={"cams": lambda job: cams(job.at.step)},
        keys=keys("mining.erase_rule", "mining.area"),
    ),
    "erase_regions": Stage(
        _store("regions/{name}/step{step}"),
        reads={
            "dataset": lambda job: images("train"),
            "cams": lambda job: cams(job.at.step, same_shard=True),
            "regions": lambda job: regions(job.at.step - 1, same_shard=True),
            "calibrated": calibrated_delta,
        },
        keys=_region_keys,
    ),
    "assemble_labels": Stage(
        _store("labels/{name}"),
        reads={
            "dataset": lambda job: images("train"),
            "regions": labelled_regions,
            "cams": blended_cams,
            "saliency": lambda job: saliency(job.config, same_shard=True),
        },
        keys=_label_keys,
        content=_corrections_content,
        counts_steps=True,
    ),
    "copy_true_labels": Stage(
        _store("true_labels/{name}"),
        reads={"dataset": lambda job: images("train"), "truth": lambda job: truth("train")},
    ),
    "train_segmentation": Stage(
        _training("segmentation/{name}/round{round}"),
        reads={
            "dataset": lambda job: images("train"),
            "labels": lambda job: labels(job.config, job.at.round),
        },
        keys=_segmentation_keys,
        content=_weights_content,
    ),
    "relabel": Stage(
        _store("relabelled/{name}/round{round}"),
        reads={
            "dataset": lambda job: images("train"),
            "model": lambda job: segmentation(job.at.round - 1),
            "corrected": corrected,
        },
        keys=_relabel_keys,
    ),
    "predict": Stage(
        _store("predictions/{name}"),
        reads={"dataset": lambda job: images("eval"), "model": final_network},
        keys=_PREDICT_KEYS,
    ),
    "predict_shown": Stage(
        {"store": "shown/{name}/0.h5", "manifest": "shown/{name}/0.json"},
        reads={"dataset": lambda job: images("train"), "model": final_network},
        keys=_PREDICT_KEYS,
        module="predict",
    ),
    "refine_predictions": Stage(
        _store("crf/{name}"),
        reads={
            "dataset": lambda job: images("eval"),
            "predictions": lambda job: Dependency("predict", same_shard=True),
        },
        keys=_crf_keys,
    ),
    "export_masks": Stage({"folder": "masks/{name}"}, reads={"masks": final_masks}),
    "score": Stage(
        {"scores": "scores/{name}/{target}.json"},
        reads={"truth": scored_truth, "store": scored_store},
        keys=keys(*_MEASURES),
    ),
    "summarise": Stage({"scores": "scores.json", "table": "scores.csv"}),
    "report": Stage(
        {"folder": "report"},
        reads={
            "dataset": lambda job: images("train"),
            "evaluated": lambda job: images("eval"),
            "truth": lambda job: truth("train"),
            "evaluated_truth": lambda job: truth("eval"),
            "scores": lambda job: Dependency("summarise", file="scores"),
            "final_score": final_score,
            "cams": lambda job: [cams(step) for step in all_steps(job)],
            "regions": lambda job: [regions(step) for step in all_steps(job)],
            "curves": lambda job: [classifier(step, "curve") for step in all_steps(job)],
            "verdicts": verdicts,
            "saliency": lambda job: saliency(job.config),
            "labels": lambda job: labels(job.config),
            "segmentation": lambda job: final_network(job)._replace(file="curve"),
            "shown": lambda job: Dependency("predict_shown"),
            "predictions": lambda job: Dependency("predict"),
            "refined": refined,
        },
        counts_steps=True,
    ),
    "pack_voc_test": Stage(
        {"archive": "voc_test/{name}.tar.gz"},
        reads={"truth": lambda job: truth("eval"), "masks": final_masks},
        keys=keys("evaluation.voc_competition"),
    ),
    "tabulate": Stage(
        {
            "data": "ablations/{table}.csv",
            "text": "ablations/{table}.md",
            "plot": "ablations/{table}.png",
        }
    ),
    "collect_tables": Stage({"page": "ablations/tables.md", "plot": "ablations/losses.png"}),
}


def value_of(config: Config, key: str) -> Any:
    """Return the value of a dotted key, as a JSON value without paths.

    The content of the files is covered by :attr:`Stage.content`.
    """
    value: Any = reduce(getattr, key.split("."), config)
    if not hasattr(value, "model_dump"):
        return value
    return value.model_dump(mode="json", exclude=value.paths())
