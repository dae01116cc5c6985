"""Resources of jobs: how they run and where their files are; changes never rerun a job."""

from __future__ import annotations

import shlex
from collections.abc import Callable
from typing import Any, Literal

from aepsl.config.root import Config
from aepsl.data.adapters import described
from aepsl.host import usable_gpus
from aepsl.saliency.methods import METHODS
from aepsl.workflow.inputs import MAIN, Inputs
from aepsl.workflow.stages import generated_digest, saliency_source
from aepsl.workflow.variants import Variants

ExecutionSite = Literal["here", "cluster", "job"]
"""``here`` or ``cluster``: where jobs run; ``job``: this process is a cluster job."""


def _options(values: dict[str, Any]) -> str:
    """Format options for the shell; skip those without a value."""
    given = {name: value for name, value in values.items() if value is not None}
    return " ".join(f"--{name} {shlex.quote(str(value))}" for name, value in given.items())


class Resources:
    """Resources of each rule, some of them functions of its wildcards ``w``."""

    def __init__(
        self, config: Config, variants: Variants, inputs: Inputs, *, where: ExecutionSite = "here"
    ) -> None:
        """Prepare the resources of all rules."""
        self._runtime = config.runtime
        self._variants = variants
        self._inputs = inputs
        self._where = where

    def __call__(self, *options: str, mem_mb: int, runtime: int) -> dict[str, Any]:
        """Return the resources of a rule.

        Args:
            options: names of the run-time options of the rule's command; see :meth:`_values`.
            mem_mb: memory of the first attempt, MB; attempt n gets n times as much.
            runtime: time limit, minutes.
        """

        def command_line(w: Any) -> str:
            values = self._values(w)
            return _options({k: v for option in options for k, v in values[option]().items()})

        resources: dict[str, Any] = {
            "mem_mb": lambda w, attempt: mem_mb * attempt,
            "runtime": runtime,
            "options": command_line,
        }
        if "source" in options:
            resources["gpu"] = lambda w: self._gpu * self._uses_saliency_network(w)
        elif "device" in options:
            gpus = self._runtime.training_gpus if "training_gpus" in options else 1
            resources["gpu"] = lambda w: gpus * self._gpu
        return resources

    def network(self, *, mem_mb: int, runtime: int) -> dict[str, Any]:
        """Return the resources of a rule that runs a network on each photograph."""
        return self("root", "device", "cache", mem_mb=mem_mb, runtime=runtime)

    def training(self, *, mem_mb: int, runtime: int) -> dict[str, Any]:
        """Return the resources of a rule that trains a network."""
        options = ("root", "weights", "device", "workers", "training_gpus", "cache")
        return self(*options, mem_mb=mem_mb, runtime=runtime)

    def _values(self, w: Any) -> dict[str, Callable[[], dict[str, Any]]]:
        """Return the options of a job, by the names that rules use for them."""
        runtime = self._runtime
        return {
            "cache": lambda: {
                "cache": runtime.cache,
                "cache-gb": runtime.cache_gb if runtime.cache else None,
            },
            "corrections": lambda: {"corrections": self._variants[w.name].labels.corrections},
            "device": lambda: {"device": runtime.device, "threads": runtime.threads},
            "labels_csv": lambda: {"labels-csv": self._external_path(w, "data.labels_csv")},
            "processes": lambda: {"threads": runtime.processes},
            "root": lambda: {"root": self.root(getattr(w, "name", MAIN))},
            "source": lambda: self._source(w),
            "training_gpus": lambda: {"training-gpus": runtime.training_gpus},
            "weights": lambda: self._weights(w),
            "workers": lambda: {"workers": runtime.workers},
        }

    # Threads and GPUs

    @property
    def threads(self) -> int:
        """Number of threads of a network job, which changes the last bits of its result.

        Never scaled down to ``--cores``: :meth:`__call__` passes the configured number to the job.
        """
        return self._runtime.threads

    @property
    def training_threads(self) -> int:
        """Number of threads of a training, over all its processes."""
        return self._runtime.threads * self._runtime.training_gpus

    @property
    def processes(self) -> int:
        """Number of processes of a job that divides its images among processes."""
        return self._runtime.processes

    @property
    def gpus(self) -> int:
        """Number of GPUs of this machine; 1 if a device is configured that was not found."""
        return max(len(usable_gpus()), int(self._runtime.device not in ("auto", "cpu")))

    @property
    def _gpu(self) -> int:
        """GPUs of a network job: 1 on a cluster or on a machine with a GPU, else 0."""
        return int(self._runtime.device != "cpu" and (self._where != "here" or bool(self.gpus)))

    # Paths outside the run

    def root(self, variant: str) -> str:
        """Return the folder of a variant's dataset, also of a generated one."""
        job = self._variants.job(variant)
        if source := generated_digest(job):
            return self._inputs.files(source, variant)[0].rpartition("/")[0]
        return str(described(job.config.data).root)

    def _external_path(self, w: Any, key: str) -> str | None:
        """Return a configured path of a variant's dataset, if any."""
        return described(self._variants[w.name].data).paths().get(key)

    def _weights(self, w: Any) -> dict[str, str | None]:
        networks = self._variants[w.name].networks
        return {"weights": networks.weights if networks.weights_are_a_file else None}

    def _uses_saliency_network(self, w: Any) -> bool:
        """Return whether a variant's saliency method runs on the device."""
        return METHODS[self._variants[w.name].saliency.method].on_device

    def _source(self, w: Any) -> dict[str, str | None]:
        return {"source": saliency_source(self._variants[w.name])}
