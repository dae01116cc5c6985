"""Build networks from the configuration."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any, TypeVar

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
from aepsl.stores.models import Tensors, read_weights_file, torchvision_weights

N = TypeVar("N", Classifier, SegmentationNetwork)


def _shape(
    networks: Networks, *, head: str, pretrained: bool, suppression: float | None
) -> NetworkShape:
    return NetworkShape(
        backbone=networks.backbone,
        head=head,
        stride=networks.stride,
        width=networks.width,
        fc6_dilation=networks.fc6_dilation,
        batch_norm=networks.batch_norm,
        fixed_norm=pretrained,
        dropout=networks.dropout,
        suppression=suppression,
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
    network: type[N],
    *,
    classes: int,
    networks: Networks,
    head: str,
    suppression: float | None = None,
    weights: Path | None = None,
) -> tuple[N, dict[str, Any]]:
    """Return a new network with pretrained backbone, and the facts needed to rebuild it.

    ``weights`` is a file of pretrained weights; without it ``networks.weights`` names them, if any.
    The first ``networks.frozen_blocks`` blocks do not learn.

    Raises:
        AepslError: if the weights cannot be read or do not fit.
    """
    pretrained = _weights(networks, weights)
    convention = pretrained[1] if pretrained else DEFAULT_CONVENTION
    fixed = pretrained is not None
    shape = _shape(networks, head=head, pretrained=fixed, suppression=suppression)
    model = network(classes=classes, shape=shape, convention=convention)
    if pretrained:
        try:
            model.load(pretrained[0], bgr=convention.bgr)
        except ValueError as error:
            hint = "networks.width must be 1, networks.backbone and batch_norm as in the file"
            what = f"the weights do not fit: {error}"
            raise AepslError.of(weights or networks.weights, what, hint) from None
    model.precision = networks.precision
    for block in model.backbone.blocks()[: networks.frozen_blocks]:
        freeze(block)
    facts = {"shape": asdict(shape), "input": convention._asdict()}
    return model, facts | {"precision": networks.precision}
