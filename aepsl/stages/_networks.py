"""Build networks from the configuration or from a stored model."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from aepsl.config.networks import Networks
from aepsl.errors import AepslError
from aepsl.networks.layers import freeze
from aepsl.networks.models import (
    BACKBONES,
    DEFAULT_CONVENTION,
    Classifier,
    NetworkShape,
    SegmentationNetwork,
)
from aepsl.networks.pretrained import CONVENTIONS, InputConvention
from aepsl.stores.models import Tensors, load_model, read_weights_file, torchvision_weights

N = TypeVar("N", Classifier, SegmentationNetwork)


def _shape(networks: Networks, *, head: str, pretrained: bool) -> NetworkShape:
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


def _weights(networks: Networks, file: Path | None) -> tuple[Tensors, InputConvention] | None:
    """Return the pretrained tensors, and how their input is normalised; None if there are none."""
    if file is not None:
        return read_weights_file(file), CONVENTIONS[networks.weights_input]
    if networks.weights == "random":
        return None
    known = BACKBONES[networks.backbone].weights
    if networks.weights in known:
        tensors = torchvision_weights(networks.backbone, networks.weights)
        return tensors, CONVENTIONS[known[networks.weights]]
    return read_weights_file(Path(networks.weights)), CONVENTIONS[networks.weights_input]


def build_network(
    network: type[N], *, classes: int, networks: Networks, head: str, weights: Path | None = None
) -> tuple[N, dict[str, Any]]:
    """Return a new network with pretrained backbone, and the facts needed to rebuild it.

    ``weights`` is a file of pretrained weights; without it ``networks.weights`` names them, if any.
    The first ``networks.frozen_blocks`` blocks do not learn.

    Raises:
        AepslError: if the weights cannot be read or do not fit.
    """
    pretrained = _weights(networks, weights)
    convention = pretrained[1] if pretrained else DEFAULT_CONVENTION
    shape = _shape(networks, head=head, pretrained=pretrained is not None)
    model = network(classes=classes, shape=shape, convention=convention)
    if pretrained:
        try:
            model.load(pretrained[0], bgr=convention.bgr)
        except ValueError as error:
            hint = "networks.width must be 1, networks.backbone and batch_norm as in the file"
            what = f"the weights do not fit: {error}"
            raise AepslError.of(weights or networks.weights, what, hint) from None
    for block in model.backbone.blocks()[: networks.frozen_blocks]:
        freeze(block)
    return model, {"shape": asdict(shape), "input": convention._asdict()}


def load_network(network: type[N], path: Path, *, device: torch.device) -> tuple[N, dict[str, Any]]:
    """Return a stored network in evaluation mode, and the facts stored with it.

    Raises:
        AepslError: if the file is not a model of this type.
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
