"""What the Snakefile asks: which stages a run has, what each depends on, where its files lie.

A variant is a named set of overrides. Variants whose effective configuration of a stage is equal
share that stage; it is filed under the first of their names.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NamedTuple

from aepsl.codedigest import code_digest
from aepsl.config import Config
from aepsl.errors import AepslError, Problem
from aepsl.sections import parse


class Stage(NamedTuple):
    """What one stage's result depends on."""

    keys: tuple[str, ...]
    """Dotted names of the configuration that it reads."""
    needs: tuple[str, ...]
    """Stages whose results it reads, at the same step."""
    module: str
    """Its module in ``aepsl.stages``."""


STAGES = {
    "scenes": Stage(("data.scenes",), (), "generate_scenes"),
    "dataset": Stage(("data",), (), "index_dataset"),
    "saliency": Stage(("saliency",), ("dataset",), "detect_saliency"),
    "classifier": Stage(("seed", "networks", "mining.train"), ("dataset",), "train_classifier"),
    "cams": Stage(("mining.cam_scale",), ("classifier",), "extract_cams"),
    "regions": Stage(("mining.erase_rule", "mining.delta"), ("cams",), "erase_regions"),
    "labels": Stage(("labels.background_threshold",), ("regions", "saliency"), "assemble_labels"),
    "true_labels": Stage((), ("dataset",), "copy_true_labels"),
    "segmentation": Stage(("seed", "networks", "segmentation"), ("labels",), "train_segmentation"),
    "predictions": Stage(
        ("prediction.scales", "prediction.flip", "prediction.threshold", "crf.enabled"),
        ("segmentation",),
        "predict",
    ),
    "crf": Stage(("crf",), ("predictions",), "refine_predictions"),
}
"""The DAG of the method; ``classifier`` at step t needs ``regions`` at t - 1 besides."""


def _merged(base: Mapping[str, Any], override: Mapping[str, Any]) -> dict[str, Any]:
    merged = dict(base)
    for key, value in override.items():
        old = merged.get(key)
        nested = isinstance(old, Mapping) and isinstance(value, Mapping)
        merged[key] = _merged(old, value) if nested else value  # type: ignore[arg-type]
    return merged


def _pick(config: Config, key: str) -> Any:
    value: Any = config
    for part in key.split("."):
        value = getattr(value, part)
    return value.model_dump(mode="json") if hasattr(value, "model_dump") else value


class Workflow:
    """A checked configuration with its variants, for the Snakefile."""

    def __init__(self, config: Mapping[str, Any]) -> None:
        """Check ``config`` and every variant of it.

        Raises:
            AepslError: listing every unknown key and wrong value.
        """
        base = parse(Config, config, where="config")
        plain = {key: value for key, value in config.items() if key != "variants"}
        overrides: dict[str, dict[str, Any]] = {"main": {}} | base.variants
        self.variants = {
            name: parse(Config, _merged(plain, override), where=f"variant {name}")
            for name, override in overrides.items()
        }
        fixed = {(c.run, c.runtime, c.report) for c in self.variants.values()}
        if len(fixed) > 1:
            problem = Problem("variants", "override run, runtime or report", "set it for all")
            raise AepslError([problem])
        self.main = "main"
        self.config = self.variants[self.main]
        self.results = f"results/{self.config.run}"
        self._key = cache(self._effective)

    def refines(self, variant: str) -> bool:
        """Return whether the predictions of ``variant`` go through the CRF."""
        return find_spec("pydensecrf") is not None and self.variants[variant].crf.enabled

    def slice_of(self, stage: str, variant: str) -> str:
        """Return the keys that ``stage`` reads under ``variant``, as canonical JSON."""
        config = self.variants[variant]
        values = {key: _pick(config, key) for key in STAGES[stage].keys}
        if stage == "dataset" and config.data.adapter != "scenes":
            values["data"].pop("scenes")
        return json.dumps(values, sort_keys=True)

    def _effective(self, stage: str, variant: str, step: int) -> str:
        """Return a digest of all that a stage's result depends on."""
        needs = [(need, step) for need in STAGES[stage].needs]
        config = self.variants[variant]
        match stage:
            case "classifier" if step > 1:
                needs.append(("regions", step - 1))
            case "labels":
                needs = [("regions", config.mining.steps), ("saliency", 0)]
            case "segmentation":
                needs = [(self.label_stage(variant), 0)]
        parts = [self.slice_of(stage, variant)]
        parts += [self._key(need, variant, at) for need, at in needs]
        return hashlib.sha256("\n".join([stage, *parts]).encode()).hexdigest()

    def label_stage(self, variant: str) -> str:
        """Return which stage makes the masks that ``variant`` is trained on."""
        mined = self.variants[variant].labels.source == "mined"
        return "labels" if mined else "true_labels"

    def owner(self, stage: str, variant: str, step: int = 0) -> str:
        """Return the first variant that shares the result of ``stage`` with ``variant``."""
        key = self._key(stage, variant, step)
        return next(name for name in self.variants if self._key(stage, name, step) == key)

    def folder(self, stage: str, variant: str, step: int = 0) -> str:
        """Return where the result of ``stage`` lies."""
        place = f"{self.results}/{stage}/{self.owner(stage, variant, step)}"
        return f"{place}/step{step}" if stage in ("classifier", "cams", "regions") else place

    def store(self, stage: str, variant: str, step: int = 0) -> list[str]:
        """Return the manifests of a store's shards; the shards lie beside them."""
        if stage == "regions" and step == 0:
            return [f"{self.results}/regions/step0/0.json"]
        folder = self.folder(stage, variant, step)
        return [f"{folder}/{shard}.json" for shard in range(self.config.runtime.shards)]

    @property
    def missing(self) -> str | None:
        """Return what cannot be done for want of pydensecrf, if anything."""
        if find_spec("pydensecrf") or not any(c.crf.enabled for c in self.variants.values()):
            return None
        return (
            "pydensecrf is not installed: predictions are not refined by the CRF.\n"
            "Hint: install a C++ compiler, then requirements-crf.lock; or set crf.enabled: false."
        )

    def inputs(self, stage: str, *, back: int = 0) -> Callable[[Any], list[str]]:
        """Return what gives the files of the store of ``stage``, ``back`` steps earlier."""
        return lambda w: self.store(stage, w.name, int(getattr(w, "step", 0)) - back)

    def dataset(self, wildcards: Any) -> str:
        """Return the dataset manifest of a variant."""
        return f"{self.folder('dataset', wildcards.name)}/manifest.json"

    def model(self, stage: str) -> Callable[[Any], str]:
        """Return what gives the model that ``stage`` trains."""
        return lambda w: (
            f"{self.folder(stage, w.name, int(getattr(w, 'step', 0)))}/model.safetensors"
        )

    def weights(self, wildcards: Any) -> list[str]:
        """Return the local weights file of a variant, if it has one."""
        name = self.variants[wildcards.name].networks.weights
        return [name] if name.endswith((".npz", ".pth", ".pt", ".safetensors")) else []

    def last_regions(self, wildcards: Any) -> list[str]:
        """Return the region store after a variant's last step."""
        steps = self.variants[wildcards.name].mining.steps
        return self.store("regions", wildcards.name, steps)

    def training_labels(self, wildcards: Any) -> list[str]:
        """Return the label store that a variant's network is trained on."""
        return self.store(self.label_stage(wildcards.name), wildcards.name)

    def dataset_inputs(self, wildcards: Any) -> dict[str, str]:
        """Return the files whose change makes the dataset another: scenes, splits, labels."""
        data = self.variants[wildcards.name].data
        if data.adapter == "scenes":
            return {"scenes": self.folder("scenes", wildcards.name)}
        splits = {"train": data.train_split, "eval": data.eval_split}
        files = {k: f"{data.root}/ImageSets/Segmentation/{v}.txt" for k, v in splits.items()}
        if data.labels == "csv" and data.labels_csv:
            files["labels"] = data.labels_csv
        return {name: path for name, path in files.items() if Path(path).exists()}

    def scenes_option(self, wildcards: Any) -> str:
        """Return the option that tells the index where the scenes are, if they are used."""
        if self.variants[wildcards.name].data.adapter != "scenes":
            return ""
        return f"--scenes-folder {self.folder('scenes', wildcards.name)}"

    def scored_store(self, wildcards: Any) -> list[str]:
        """Return the store that a score file is about."""
        target, _, step = wildcards.target.partition("-step")
        stage = "crf" if target == "predictions_crf" else target
        return self.store(stage, wildcards.name, int(step or 0))

    def final_masks(self, wildcards: Any) -> list[str]:
        """Return the store of a variant's last masks: after the CRF, if it is used."""
        stage = "crf" if self.refines(wildcards.name) else "predictions"
        return self.store(stage, wildcards.name)

    def mask_folders(self) -> list[str]:
        """Return the folders of palette PNGs that are asked for."""
        asked = [name for name, c in self.variants.items() if c.prediction.palette_png]
        return [f"{self.results}/masks/{name}" for name in asked]

    def score_options(self, wildcards: Any) -> str:
        """Return the options that name a score for the table."""
        target, _, step = wildcards.target.partition("-step")
        seed = self.variants[wildcards.name].seed
        return f"--target {target} --seed {seed}" + (f" --step {step}" if step else "")

    def report_inputs(self) -> dict[str, Any]:
        """Return what the report shows: the scores, and every stage of the first variant."""
        name, steps = self.main, range(1, self.config.mining.steps + 1)
        return {
            "dataset": f"{self.folder('dataset', name)}/manifest.json",
            "scores": f"{self.results}/scores.json",
            "cams": [path for step in steps for path in self.store("cams", name, step)],
            "regions": [path for step in steps for path in self.store("regions", name, step)],
            "curves": [f"{self.folder('classifier', name, step)}/curve.csv" for step in steps],
            "saliency": self.store("saliency", name),
            "labels": self.store(self.label_stage(name), name),
            "segmentation": f"{self.folder('segmentation', name)}/curve.csv",
            "shown": f"{self.results}/shown/{self.owner('predictions', name)}/0.json",
        }

    def params(self, stage: str) -> Callable[[Any], str]:
        """Return what gives a rule's ``--config``: a callable, for JSON has braces."""
        return lambda wildcards: self.slice_of(stage, wildcards.name)

    def code(self, stage: str) -> str:
        """Return the digest of the code behind ``stage``."""
        return self.module_code(STAGES[stage].module)

    def module_code(self, module: str) -> str:
        """Return the digest of the code behind a stage that no variant changes."""
        return code_digest(f"aepsl.stages.{module}")

    def score_files(self) -> list[str]:
        """Return the score files of all variants, each once, in the order of the table."""
        files: dict[str, None] = {}
        for name, config in self.variants.items():
            if config.labels.source == "mined":
                for step in range(1, config.mining.steps + 1):
                    owner = self.owner("regions", name, step)
                    files[f"{self.results}/scores/{owner}/regions-step{step}.json"] = None
                owner = self.owner("labels", name)
                files[f"{self.results}/scores/{owner}/labels.json"] = None
            files[f"{self.results}/scores/{self.owner('predictions', name)}/predictions.json"] = (
                None
            )
            if self.refines(name):
                owner = self.owner("crf", name)
                files[f"{self.results}/scores/{owner}/predictions_crf.json"] = None
        return list(files)
