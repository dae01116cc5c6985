"""Building networks from the configuration, and again from a stored model."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from aepsl.config.networks import Networks
from aepsl.console import log
from aepsl.errors import AepslError
from aepsl.networks.heads import (
    BACKBONES,
    PLAIN,
    Classifier,
    NetworkShape,
    SegmentationNetwork,
)
from aepsl.networks.pretrained import CONVENTIONS, InputConvention
from aepsl.stores.models import Tensors, load_model, read_weights_file, torchvision_weights
from aepsl.training.engine import freeze

N = TypeVar("N", Classifier, SegmentationNetwork)


def pick_device(name: str) -> torch.device:
    """Return the device called ``name``; ``auto`` is a GPU if there is one.

    Raises:
        AepslError: if there is no such device.
    """
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
        given = os.environ.get("CUDA_VISIBLE_DEVICES", "")
        if name == "cpu" and given not in ("", "-1", "NoDevFiles"):
            what = "GPU %s was given, but torch %s sees none: this goes on on the CPU"
            log.warning(what, given, torch.__version__)
    if name.startswith("cuda") and not torch.cuda.is_available():
        raise AepslError.of("runtime.device", f"{name}, but no GPU is seen", "use cpu or auto")
    try:
        return torch.device(name)
    except RuntimeError:
        raise AepslError.of("runtime.device", f"no device {name!r}", "cpu, cuda or auto") from None


def _shape(networks: Networks, *, head: str) -> NetworkShape:
    pretrained = networks.weights != "random"
    return NetworkShape(
        backbone=networks.backbone,
        head=head,
        stride=networks.stride,
        width=networks.width,
        fc6_dilation=networks.fc6_dilation,
        batch_norm=networks.batch_norm,
        fixed_norm=pretrained,
        dropout=networks.dropout,
    )


def _weights(
    networks: Networks, known: Mapping[str, str], file: Path | None
) -> tuple[Tensors, InputConvention]:
    """Return the tensors of pretrained weights, and what they expect of their input."""
    name = networks.weights
    if name in known:
        return torchvision_weights(networks.backbone, name), CONVENTIONS[known[name]]
    return read_weights_file(file or Path(name)), CONVENTIONS[networks.weights_input]


def build(
    network: type[N], *, classes: int, networks: Networks, head: str, weights: Path | None = None
) -> tuple[N, dict[str, Any]]:
    """Return a fresh network with its pretrained backbone, and what is needed to build it again.

    ``weights`` is the file of ``networks.weights``, where that names a content and not a place.
    Its first ``networks.frozen_blocks`` blocks do not learn.

    Raises:
        AepslError: if the weights cannot be read or do not fit.
    """
    shape, convention, tensors = _shape(networks, head=head), PLAIN, None
    if networks.weights != "random":
        tensors, convention = _weights(networks, BACKBONES[networks.backbone].weights, weights)
    model = network(classes=classes, shape=shape, convention=convention)
    if tensors is not None:
        try:
            model.load(tensors, bgr=convention.bgr)
        except ValueError as error:
            hint = "networks.width must be 1, networks.backbone and batch_norm as in the file"
            what = f"weights that do not fit: {error}"
            raise AepslError.of(weights or networks.weights, what, hint) from None
    for block in model.backbone.blocks()[: networks.frozen_blocks]:
        freeze(block)
    return model, {"shape": asdict(shape), "input": convention._asdict()}


def restore(network: type[N], path: Path, *, device: torch.device) -> tuple[N, dict[str, Any]]:
    """Return a stored network, ready to be evaluated, and the facts stored with it.

    Raises:
        AepslError: if the file is no such model.
    """
    tensors, facts = load_model(path)
    try:
        stored = facts["input"]
        model = network(
            classes=len(facts["class_names"]),
            shape=NetworkShape(**facts["shape"]),
            convention=InputConvention(
                tuple(stored["mean"]), tuple(stored["scale"]), stored["bgr"]
            ),
        )
        model.load_state_dict(tensors)
    except (KeyError, TypeError, RuntimeError) as error:
        what = f"not a {network.__name__} of this version ({str(error).splitlines()[0]})"
        raise AepslError.of(path, what, "run its training stage again") from None
    model.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    return model.eval(), facts


def as_batch(image: NDArray[np.uint8], device: torch.device) -> Tensor:
    """Return a (height, width, 3) image as a (1, 3, height, width) float batch."""
    return torch.from_numpy(image.copy()).permute(2, 0, 1)[None].float().to(device)
