"""Where the results of a run lie, and which variants share them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Literal, Self

from aepsl.config.run import Config
from aepsl.config.sections import parse
from aepsl.errors import AepslError, Problem
from aepsl.workflow import ablations
from aepsl.workflow.contents import Contents, is_file_name
from aepsl.workflow.memory import Memory
from aepsl.workflow.shards import shards_for
from aepsl.workflow.stages import STAGES
from aepsl.workflow.variants import Variants

METADATA = Path(".snakemake", "metadata")
"""Where Snakemake remembers what each result was made with."""

MEMORY = Path(".snakemake", "aepsl-contents.json")
"""Where digests of photographs and the like are remembered."""


Where = Literal["here", "cluster", "job"]


class Results:
    """A checked configuration with its variants, and a place for each result."""

    main = "main"
    """The variant without overrides, which the report shows."""

    def __init__(
        self,
        config: Mapping[str, Any],
        checkpoints: Any = None,
        *,
        where: Where = "here",
        fetched: bool = False,
    ) -> None:
        """Check ``config`` and every variant of it.

        Args:
            config: Snakemake's configuration.
            checkpoints: Snakemake's, for a number of steps that the run itself finds.
            where: whether the jobs run here or on a cluster, or this is one of its jobs.
            fetched: whether results lie where a job cannot open them, and are copied for it.

        Raises:
            AepslError: listing every unknown key and wrong value.
        """
        self.config = parse(Config, config, where="config")
        plain = {key: value for key, value in config.items() if key != "variants"}
        self.names = [self.main, *self.config.variants]
        rows = ablations.overrides(self.config.ablations)
        taken = sorted({self.main, *rows} & set(self.config.variants))
        if taken:
            hint = "main is the run itself; seed<n> and <table>-<row>-seed<n> are of the tables"
            raise AepslError.of(f"variants.{taken[0]}", "the name is taken", hint)
        overrides: dict[str, dict[str, Any]] = {self.main: {}} | self.config.variants | rows
        self._contents = Contents(Memory(MEMORY, settled=where == "job"))
        self.variants = Variants(plain, overrides, self._contents)
        if not find_spec("pydensecrf"):
            self._refuse_crf()
        self.results = f"results/{self.config.run}"
        self._checkpoints = checkpoints
        self.where = where
        self._fetched = fetched

    def _refuse_crf(self) -> None:
        """Refuse variants that cannot do without the CRF; predictions merely go unrefined."""
        for name, config in self.variants.items():
            if config.segmentation.relabel_crf and config.segmentation.relabel_rounds:
                what = "segmentation.relabel_crf is set, but pydensecrf is not installed"
                hint = "install a C++ compiler, then requirements-crf.lock"
                raise AepslError.of(f"variant {name}", what, hint)

    @classmethod
    def checked(cls, config: Mapping[str, Any], checkpoints: Any = None, **options: Any) -> Self:
        """Return the same, if also all files are there that ``config`` names."""
        results = cls(config, checkpoints, **options)
        results.check_files()
        return results

    def check_files(self) -> None:
        """Refuse a configuration whose files cannot be read, before anything runs.

        Raises:
            AepslError: listing each that is not there, with its key; or of the machine.
        """
        problems: dict[str, Problem] = {}
        for config in self.variants.values():
            data, saliency, weights = config.data, config.saliency, config.networks.weights
            named = {
                "data.root": data.root if data.adapter == "voc" else None,
                "data.labels_csv": data.labels_csv if data.labels == "csv" else None,
                "networks.weights": weights if is_file_name(weights) else None,
                "saliency.folder": saliency.folder if saliency.method == "precomputed" else None,
                "saliency.network.file": saliency.network.file
                if saliency.method == "network"
                else None,
            }
            for key, path in named.items():
                if path is not None and not Path(path).exists():
                    problems[path] = Problem(path, "is not there", f"set {key} to where it lies")
        if problems:
            raise AepslError(list(problems.values()), "Files of the configuration are absent:")
        for name in self.variants:
            for stage in ("train_truth", "eval_truth", "saliency"):
                self.variants.key(stage, name, 0)  # reads what the files hold
            self.variants.key("classifier", name, 1)

    # What is there

    @property
    def missing(self) -> str | None:
        """Return what cannot be done for want of pydensecrf, if anything."""
        if find_spec("pydensecrf") or not any(self.variants[n].crf.enabled for n in self.names):
            return None
        return (
            "pydensecrf is not installed: predictions are not refined by the CRF.\n"
            "Hint: install a C++ compiler, then requirements-crf.lock; or set crf.enabled: false."
        )

    @property
    def forgotten(self) -> str | None:
        """Return what to know where there are results, but Snakemake's memory of them is not."""
        if not Path(self.results, "checksums").is_dir() or any(METADATA.glob("*")):
            return None
        return (
            f"{self.results} is there, but .snakemake/ is not: with what settings it was made is"
            " not known, so changed settings are not noticed.\n"
            "Hint: put .snakemake/ back; or, if nothing was changed, snakemake --touch --forceall;"
            " else snakemake --forceall."
        )

    def refines(self, variant: str) -> bool:
        """Return whether the predictions of ``variant`` go through the CRF."""
        return find_spec("pydensecrf") is not None and self.variants[variant].crf.enabled

    def steps(self, variant: str) -> int:
        """Return how many erasing steps a variant has; ``auto`` waits until the run has found it.

        Training of step t + 1 failing means that t is the last; its regions are never made.
        """
        mining = self.variants[variant].mining
        if mining.steps != "auto":
            return mining.steps
        for step in range(1, mining.max_steps + 1):
            owner = self.variants.owner("success", variant, step)
            judged = self._checkpoints.judge_training.get(name=owner, step=step)
            if not json.loads(Path(judged.output[0]).read_text())["success"]:
                return step - 1
        return mining.max_steps

    def verdicts(self, variant: str) -> list[str]:
        """Return the verdicts on the training of each step, if the number of steps is found."""
        mining = self.variants[variant].mining
        if mining.steps != "auto":
            return []
        judged = range(1, min(self.steps(variant) + 1, mining.max_steps) + 1)
        return [f"{self.folder('success', variant, step)}/verdict.json" for step in judged]

    # Where it lies

    def folder(self, stage: str, variant: str, at: int = 0) -> str:
        """Return where the result of ``stage`` lies."""
        place = f"{self.results}/{stage}/{self.variants.owner(stage, variant, at)}"
        counted = STAGES[stage].counted
        return f"{place}/{counted}{at}" if counted else place

    def shards(self, stage: str, variant: str) -> int:
        """Return the number of parts of a stage: as told, or by the number of images."""
        told = self.config.runtime.shards
        return shards_for(self.images(stage, variant)) if told == "auto" else told

    def images(self, stage: str, variant: str) -> int:
        """Return how many images a stage works on, at most."""
        data = self.variants[variant].data
        learnt = stage not in ("predictions", "crf")
        if data.adapter == "scenes":
            count = data.scenes.train_images if learnt else data.scenes.val_images
        else:
            count = self._contents.count(
                str(data.root), data.train_split if learnt else data.eval_split
            )
        limit = data.limit_per_class
        return count if limit is None else min(count, limit * len(data.used_classes))

    def store(self, stage: str, variant: str, at: int = 0) -> list[str]:
        """Return the manifests of a store's shards; their data lie beside them."""
        if stage == "regions" and at == 0:
            return [f"{self.results}/regions/step0/0.json"]
        return self.files(self.folder(stage, variant, at), self.shards(stage, variant))

    def files(self, folder: str, shards: int) -> list[str]:
        """Return the manifests of a store; on object storage also its data, to be fetched."""
        kinds = ("json", "h5") if self._fetched else ("json",)
        return [f"{folder}/{shard}.{kind}" for kind in kinds for shard in range(shards)]

    def model(self, stage: str, variant: str, at: int) -> str:
        """Return the model that ``stage`` trains."""
        return f"{self.folder(stage, variant, at)}/model.safetensors"
