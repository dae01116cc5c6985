"""Paths of a run, derived from the table :data:`aepsl.workflow.stages.STAGES`."""

from __future__ import annotations

import re

from aepsl.workflow.stages import SINGLE_RESULT, STAGES, ResultIndex

RESULTS = "results"


class Paths:
    """Paths of one run: templates with wildcards for the rules, and resolved paths."""

    def __init__(self, run: str) -> None:
        """``run``: name of the run's folder in ``results/``."""
        self.folder = f"{RESULTS}/{run}"
        self.benchmarks = f"{self.folder}/benchmarks"

    def outputs(self, stage: str) -> dict[str, str]:
        """Return the path templates of a stage's outputs, by name."""
        return {name: f"{self.folder}/{path}" for name, path in STAGES[stage].files.items()}

    def logs(self, stage: str) -> dict[str, str]:
        """Return the path templates of a job's log and checksum list."""
        job = self._job(stage)
        return {
            "run": f"{self.folder}/logs/{job}.log",
            "checksums": f"{self.folder}/checksums/{job}.sha256",
        }

    def benchmark(self, stage: str) -> str:
        """Return the path template of a job's benchmark file, written by Snakemake."""
        return f"{self.benchmarks}/{self._job(stage)}.tsv"

    def checkpoints(self, stage: str) -> str:
        """Return the path template of a training's checkpoint folder."""
        return f"{self.folder}/work/{self._job(stage)}"

    @staticmethod
    def _job(stage: str) -> str:
        """Return ``<stage>/<wildcards>``, for example ``erase_regions/main-step2-0``."""
        wildcards = dict.fromkeys(re.findall(r"{(\w+)}", " ".join(STAGES[stage].files.values())))
        counted = {"step": "step{step}", "round": "round{round}"}
        parts = [counted.get(name, f"{{{name}}}") for name in wildcards]
        return f"{stage}/{'-'.join(parts)}" if parts else stage

    def path(
        self, stage: str, file: str, *, name: str, at: ResultIndex = SINGLE_RESULT, shard: int = 0
    ) -> str:
        """Return the path of one output file of a stage.

        Args:
            stage: name of the stage.
            file: name of the output.
            name: the variant in the path: the result's owner.
            at: index of the result: role, step, round or target.
            shard: number of the shard, from 0.
        """
        template = f"{self.folder}/{STAGES[stage].files[file]}"
        return template.format(name=name, shard=shard, **at._asdict())


def is_sharded(stage: str) -> bool:
    """Return whether a stage is divided into shards."""
    return any("{shard}" in path for path in STAGES[stage].files.values())
