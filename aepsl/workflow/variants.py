"""Variants: named overrides of the configuration, which share equal results of stages.

Variants share a result if everything that it depends on is equal: the settings and files of the
stage and of all stages upstream. The first of these variants is the result's owner and gives the
path its name.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from functools import cache
from typing import Any

from aepsl.config.presets import merged
from aepsl.config.root import Config
from aepsl.config.sections import parse
from aepsl.errors import AepslError, Problem
from aepsl.workflow.content_digests import ContentDigests
from aepsl.workflow.stages import (
    SINGLE_RESULT,
    STAGES,
    Dependency,
    JobContext,
    ResultIndex,
    value_of,
)

FIXED = ("base", "run", "runtime", "report", "evaluation", "ablations", "variants")
"""Sections that variants cannot override, because they concern the whole run."""


class Variants(dict[str, Config]):
    """Checked configurations by name, in order: the first of equal variants is the owner."""

    def __init__(
        self,
        config: Mapping[str, Any],
        overrides: Mapping[str, Mapping[str, Any]],
        contents: ContentDigests,
    ) -> None:
        """Check every variant of ``config``; ``contents`` computes digests of configured files.

        Raises:
            AepslError: if an override has an unknown key, an invalid value, or a key in
                :data:`FIXED`.
        """
        super().__init__(
            (name, parse(Config, merged(config, override), where=f"variant {name}"))
            for name, override in overrides.items()
        )
        for name, override in overrides.items():
            wrong = sorted(set(override) & set(FIXED))
            if wrong:
                hint = f"{', '.join(FIXED)} are the same for all variants"
                raise AepslError([Problem(f"variant {name}", f"overrides {wrong[0]}", hint)])
        self._contents = contents
        self.key = cache(self._key)

    def settings(self, stage: str, name: str, at: ResultIndex = SINGLE_RESULT) -> str:
        """Return the settings that change a stage's result for a variant, as canonical JSON.

        ``content`` is the digest of the files outside the run that the stage reads.
        """
        job = self.job(name, at)
        values = {key: value_of(job.config, key) for key in STAGES[stage].keys(job)}
        if content := STAGES[stage].content(job):
            values["content"] = self._contents.digest(content)
        return json.dumps(values, sort_keys=True)

    def job(
        self, name: str, at: ResultIndex = SINGLE_RESULT, *, last_step: int | None = None
    ) -> JobContext:
        """Return the arguments of the functions that return dependencies, keys and content.

        Without ``last_step``, ``mining.steps: auto`` counts as the largest number of steps.
        """
        config = self[name]
        steps = config.mining.max_steps if config.mining.steps == "auto" else config.mining.steps
        return JobContext(config, at, steps if last_step is None else last_step)

    def _upstream(self, stage: str, job: JobContext) -> Iterator[Dependency]:
        for sources in STAGES[stage].reads.values():
            match sources(job):
                case None:
                    pass
                case Dependency() as source:
                    yield source
                case several:
                    yield from several
        if STAGES[stage].counts_steps and job.config.mining.steps == "auto":
            yield Dependency("judge_training", ResultIndex(step=job.last_step))

    def _key(self, stage: str, name: str, at: ResultIndex) -> str:
        """Return a digest of everything that a stage's result depends on."""
        upstream = self._upstream(stage, self.job(name, at))
        needs = [self.key(source.stage, name, source.at) for source in upstream]
        parts = [stage, repr(at), self.settings(stage, name, at), *needs]
        return hashlib.sha256("\n".join(parts).encode()).hexdigest()

    def owner(self, stage: str, name: str, at: ResultIndex = SINGLE_RESULT) -> str:
        """Return the first variant that shares the result of ``stage`` with ``name``."""
        key = self.key(stage, name, at)
        return next(other for other in self if self.key(stage, other, at) == key)
