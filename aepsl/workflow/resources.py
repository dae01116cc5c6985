"""How work is done, and where files lie: resources, which make nothing run again."""

from __future__ import annotations

import shlex
from types import SimpleNamespace
from typing import Any

from aepsl.machine import usable_gpus
from aepsl.workflow.contents import is_file_name
from aepsl.workflow.results import Results


def _option(name: str, value: str | None) -> str:
    """Return an option as the shell reads it; nothing if it has no value."""
    return f"{name} {shlex.quote(value)}" if value else ""


class Resources(Results):
    """The resources of each rule, some of them functions of its wildcards ``w``."""

    @property
    def gpus(self) -> int:
        """Return the GPUs of this machine; one where a device is asked for that is not seen."""
        return max(len(usable_gpus()), int(self.config.runtime.device not in ("auto", "cpu")))

    @property
    def gpu(self) -> int:
        """Return the GPUs that a job with a network asks for; on a cluster, one."""
        device = self.config.runtime.device
        return int(device != "cpu" and (self.where != "here" or bool(self.gpus)))

    @property
    def training_gpus(self) -> int:
        """Return the GPUs that a training asks for."""
        return self.gpu * self.config.runtime.training_gpus

    @property
    def training_threads(self) -> int:
        """Return the threads of all processes of a training."""
        return self.threads * self.config.runtime.training_gpus

    @property
    def threads(self) -> int:
        """Return the threads of a job with a network: not fewer than told, or bits would differ."""
        return self.config.runtime.threads

    @property
    def cache(self) -> str:
        """Return the options that say where finished work is kept."""
        cache, limit = self.config.runtime.cache, self.config.runtime.cache_gb
        if not cache or limit is None:
            return _option("--cache", cache)
        return f"{_option('--cache', cache)} --cache-gb {limit:g}"

    def root(self, w: Any) -> str:
        """Return the folder of a variant's dataset."""
        return str(self.variants[w.name].data.root or self.folder("scenes", w.name))

    @property
    def main_root(self) -> str:
        """Return the folder of the dataset that the report shows."""
        return self.root(SimpleNamespace(name=self.main))

    def labels_csv(self, w: Any) -> str:
        """Return the option that names a variant's file of image labels, if they are in one."""
        data = self.variants[w.name].data
        if data.adapter == "scenes":
            return _option("--labels-csv", f"{self.root(w)}/labels.csv")
        return _option("--labels-csv", data.labels_csv if data.labels == "csv" else None)

    def weights(self, w: Any) -> str:
        """Return the option that names a variant's local file of weights, if it has one."""
        name = self.variants[w.name].networks.weights
        return _option("--weights", name if is_file_name(name) else None)

    def saliency_source(self, w: Any) -> str:
        """Return the option that names a variant's folder of saliency maps or detector, if any."""
        saliency = self.variants[w.name].saliency
        by_method = {"precomputed": saliency.folder, "network": saliency.network.file}
        return _option("--source", by_method.get(saliency.method))

    def detector_device(self, w: Any) -> str:
        """Return the device on which a variant's saliency is detected."""
        detects = self.variants[w.name].saliency.method == "network"
        return self.config.runtime.device if detects else "cpu"

    def detector_gpu(self, w: Any) -> int:
        """Return the GPUs that detecting a variant's saliency asks for."""
        return self.gpu if self.detector_device(w) != "cpu" else 0
