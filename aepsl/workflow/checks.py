"""Checks across sections of the configuration, made before anything runs.

Each section checks its own values. The checks here also need a registry of the method, an adapter
or another section.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path

from aepsl.config.root import Config
from aepsl.data.adapters import Dataset, described
from aepsl.data.published import NETWORKS, fetch_network
from aepsl.errors import AepslError, Problem, kind_of
from aepsl.host import INSTALL_CRF, INSTALL_ONNX, has_crf, has_onnx_runtime
from aepsl.mining.rules import ERASE_RULES
from aepsl.saliency.methods import METHODS
from aepsl.workflow.stages import saliency_source


def problems_of(config: Config) -> Iterator[Problem]:
    """Yield the problems in the settings of a variant."""
    dataset = described(config.data)
    yield from dataset.problems()
    yield from _classes(config, dataset)
    yield from _delta(config)
    yield from _saliency(config)
    yield from _crf(config)
    yield from _weights(config)


FOLDERS = ("data.root", "saliency.folder")
"""Keys whose path is a folder."""

EITHER = ("labels.corrections",)
"""Keys whose path is a folder or a file; all other paths are files."""


def unreadable_paths(config: Config) -> Iterator[Problem]:
    """Yield a problem for each configured path that is missing or of the wrong type."""
    dataset = described(config.data)
    paths = dataset.paths()
    if config.networks.weights_are_a_file:
        paths["networks.weights"] = config.networks.weights
    if source := saliency_source(config):
        paths[f"saliency.{METHODS[config.saliency.method].source_key}"] = source
    if config.labels.corrections:
        paths["labels.corrections"] = config.labels.corrections
    for key, path in paths.items():
        wanted = "a folder" if key in FOLDERS else "a file"
        if not Path(path).exists():
            yield Problem(path, "the file or folder does not exist", dataset.where_from(key))
        elif key not in EITHER and (kind := kind_of(Path(path))) != wanted:
            yield Problem(path, f"is {kind}, not {wanted}", f"set {key} to {wanted}")


def unfetched(configs: Iterable[Config]) -> Iterator[Problem]:
    """Download the published networks that configurations name; yield a problem for each failure.

    Planning does it, and not a job, because a cluster's nodes often have no network.
    """
    methods = (config.saliency for config in configs)
    named = {saliency.network.file for saliency in methods if saliency.method == "network"}
    for name in sorted(named & NETWORKS.keys()):
        try:
            fetch_network(name)
        except AepslError as error:
            hint = "; or set saliency.method: robust_background, which needs no file and is less"
            hint += " accurate on photographs"
            yield from (replace(p, hint=p.hint + hint) for p in error.problems)


def _weights(config: Config) -> Iterator[Problem]:
    networks, own = config.networks, config.networks.backbone == "vgg16"
    if networks.weights == "random" or networks.weights_are_a_file:
        return
    if own == (networks.weights == "pretrained"):
        what = f"{networks.weights} are no weights of {networks.backbone}"
        known = "a torchvision weights name" if own else "pretrained"
        yield Problem("networks.weights", what, f"set it to random, {known}, or a file")


def _classes(config: Config, dataset: Dataset) -> Iterator[Problem]:
    if len(dataset.classes) == 1 and config.mining.loss == "squared":
        where = "data.classes" if config.data.classes else "data.class_names"
        what = "one class only: the softmax of one class is always 1, so nothing is learnt"
        yield Problem(where, what, "set mining.loss: sigmoid; or name a second class")
    unknown = sorted(set(config.labels.class_thresholds) - set(dataset.classes))
    if unknown:
        hint = f"the classes are {', '.join(dataset.classes)}"
        yield Problem(
            "labels.class_thresholds", f"{', '.join(unknown)}: not a class of the dataset", hint
        )


def _delta(config: Config) -> Iterator[Problem]:
    mining = config.mining
    limit = ERASE_RULES[mining.erase_rule].limit
    if mining.area is None and limit is not None and mining.delta >= limit:
        what = f"is {mining.delta:g}, but {mining.erase_rule} needs a fraction below 1"
        unlimited = [name for name, rule in ERASE_RULES.items() if rule.limit is None]
        hint = f"set it below {limit:g}; only {', '.join(unlimited)} takes larger values"
        yield Problem("mining.delta", what, hint)


def _saliency(config: Config) -> Iterator[Problem]:
    name = config.saliency.method
    if (key := METHODS[name].source_key) and saliency_source(config) is None:
        what = f"is not set, but saliency.method is {name}"
        yield Problem(f"saliency.{key}", what, "set it to the path that this method reads")
    if name == "network" and not has_onnx_runtime():
        yield Problem("saliency.method", "is network, but ONNX Runtime is missing", INSTALL_ONNX)


def _crf(config: Config) -> Iterator[Problem]:
    settings = {
        "labels.crf": config.labels.crf and config.labels.source == "mined",
        "segmentation.relabel_crf": config.segmentation.relabel_crf
        and config.segmentation.relabel_rounds,
    }
    wanted = [key for key, is_set in settings.items() if is_set]
    if wanted and config.crf.method == "dense" and not has_crf():
        hint = f"{INSTALL_CRF}; or set crf.method: local"
        for key in wanted:
            yield Problem(key, "is set, but pydensecrf is not installed", hint)
