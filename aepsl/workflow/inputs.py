"""Inputs and settings of each job, as functions of its rule's wildcards ``w``."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

from aepsl.config.root import Config
from aepsl.data.adapters import described
from aepsl.text import read_json
from aepsl.workflow.codedigest import code_digest
from aepsl.workflow.content_digests import ContentDigests
from aepsl.workflow.paths import Paths, is_sharded
from aepsl.workflow.shards import shards_for
from aepsl.workflow.stages import STAGES, Dependency, ResultIndex
from aepsl.workflow.variants import Variants

MAIN = "main"
"""Name of the variant without overrides, which the report shows."""


def _at(w: Any) -> ResultIndex:
    """Return the index of a job's result: role, step, round or target."""
    return ResultIndex(
        role=getattr(w, "role", "train"),
        step=int(getattr(w, "step", 0)),
        round=int(getattr(w, "round", 0)),
        target=getattr(w, "target", ""),
    )


class Inputs:
    """The inputs and the settings of each rule's jobs."""

    def __init__(
        self,
        config: Config,
        variants: Variants,
        paths: Paths,
        contents: ContentDigests,
        *,
        checkpoints: Any = None,
        on_object_storage: bool = False,
    ) -> None:
        """Prepare the inputs of all rules.

        Args:
            config: configuration of the run.
            variants: all variants of the configuration.
            paths: paths of the run.
            contents: digests of the configured files.
            checkpoints: Snakemake's ``checkpoints`` object, for ``mining.steps: auto``.
            on_object_storage: whether results are on object storage, so that Snakemake must fetch
                every file of a store.
        """
        self._config = config
        self._variants = variants
        self._paths = paths
        self._contents = contents
        self._checkpoints = checkpoints
        self._on_object_storage = on_object_storage

    def __call__(self, stage: str) -> dict[str, Callable[[Any], list[str]]]:
        """Return the inputs of a rule, by name."""
        return {name: self._input(stage, name) for name in STAGES[stage].reads}

    def _input(self, stage: str, name: str) -> Callable[[Any], list[str]]:
        def read(w: Any) -> list[str]:
            variant, shard = getattr(w, "name", MAIN), getattr(w, "shard", None)
            sources = self._sources(stage, name, variant, _at(w))
            return [path for source in sources for path in self.files(source, variant, shard=shard)]

        return read

    def _sources(self, stage: str, name: str, variant: str, at: ResultIndex) -> list[Dependency]:
        """Return the results that one input of a stage reads."""
        last_step = self.steps(variant) if STAGES[stage].counts_steps else None
        job = self._variants.job(variant, at, last_step=last_step)
        sources = STAGES[stage].reads[name](job)
        return [sources] if isinstance(sources, Dependency) else list(sources or ())

    def removed(self, product: Dependency, results: Iterable[tuple[str, Dependency]]) -> list[str]:
        """Return the missing files that an existing product was made from, directly or not.

        Snakemake removes the outputs of a job before it starts, and makes a missing file again
        only where something made from it is missing or requested. So after a failed job, results
        of the settings before would count as up to date, unless a target requests what is gone.

        Args:
            product: a result of the run as a whole.
            results: the results that it is made from, each with its variant.
        """
        missing: set[str] = set()
        seen: set[tuple[str, Dependency]] = set()

        def look(product_exists: bool, results: Iterable[tuple[str, Dependency]]) -> None:
            for variant, result in results:
                files = self.files(result, variant)
                absent = {path for path in files if not Path(path).exists()}
                if product_exists:
                    missing.update(absent)
                if (variant, result) not in seen:
                    seen.add((variant, result))
                    look(len(absent) < len(files), self._made_from(variant, result))

        look(Path(self.files(product, MAIN)[0]).exists(), results)
        return sorted(missing)

    def _made_from(self, variant: str, result: Dependency) -> Iterator[tuple[str, Dependency]]:
        """Yield the results that a result is made from, each with the variant that owns it."""
        for name in STAGES[result.stage].reads:
            for source in self._sources(result.stage, name, variant, result.at):
                yield self._variants.owner(source.stage, variant, source.at), source

    def params(self, stage: str) -> dict[str, Any]:
        """Return the params of every rule, whose change reruns jobs: settings, code digest, shards.

        Some rules add params of their own.
        """
        code = code_digest(f"aepsl.stages.{STAGES[stage].module or stage}")
        # A function, because Snakemake would read braces in a string as wildcards.
        settings = lambda w: self._variants.settings(stage, getattr(w, "name", MAIN), _at(w))  # noqa: E731
        params: dict[str, Any] = {"cfg": settings, "code": code}
        if is_sharded(stage):
            params["shards"] = lambda w: self.shards(stage, w.name)
        return params

    def files(self, source: Dependency, variant: str, *, shard: str | None = None) -> list[str]:
        """Return the files of a dependency for a variant.

        Shard k holds the same images in every store, so a job on shard k reads only shard k if the
        dependency allows it.
        """
        stage, at, file, same_shard = source
        owner = self._variants.owner(stage, variant, at)
        shards = self.shards(stage, variant) if is_sharded(stage) else 1
        numbers = range(shards)
        if same_shard and shard is not None and is_sharded(stage):
            numbers = range(int(shard), int(shard) + 1)
        names = [file]
        if self._on_object_storage and file == "manifest" and "store" in STAGES[stage].files:
            names.append("store")
        return [
            self._paths.path(stage, name, name=owner, at=at, shard=number)
            for name in names
            for number in numbers
        ]

    def shards(self, stage: str, variant: str) -> int:
        """Return the number of shards of a stage: configured, or based on its images."""
        configured = self._config.runtime.shards
        return shards_for(self._images(stage, variant)) if configured == "auto" else configured

    def _images(self, stage: str, variant: str) -> int:
        """Return an estimate of a stage's number of images, from which the shards follow."""
        source = STAGES[stage].reads["dataset"](self._variants.job(variant))
        assert isinstance(source, Dependency)
        dataset = described(self._variants[variant].data)
        count, limit = self._contents.images(dataset, source.at.role), dataset.data.limit_per_class
        return count if limit is None else min(count, limit * len(dataset.classes))

    def steps(self, variant: str) -> int:
        """Return the number of erasing steps of a variant; with ``auto``, wait for the verdicts.

        If the training of step t + 1 fails, step t is the last, and step t + 1 mines no regions.
        """
        mining = self._variants[variant].mining
        if mining.steps != "auto":
            return mining.steps
        for step in range(1, mining.max_steps + 1):
            owner = self._variants.owner("judge_training", variant, ResultIndex(step=step))
            judged = self._checkpoints.judge_training.get(name=owner, step=step)
            if not read_json(Path(judged.output[0]))["success"]:
                return step - 1
        return mining.max_steps
