"""Build networks from the configuration."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any, TypeVar

from aepsl.config.networks import Networks
from aepsl.errors import AepslError
from aepsl.networks.layers import freeze
from aepsl.networks.models import (
    DEFAULT_CONVENTION,
    TIMM,
    Classifier,
    NetworkShape,
    SegmentationNetwork,
)
from aepsl.networks.pretrained import CONVENTIONS, InputConvention
from aepsl.networks.vgg import WEIGHTS
from aepsl.stores.models import Tensors, read_weights_file, timm_weights, torchvision_weights

N = TypeVar("N", Classifier, SegmentationNetwork)


def _shape(
    networks: Networks, *, head: str, pretrained: bool, suppression: float | None
) -> NetworkShape:
    return NetworkShape(
        backbone=networks.backbone,
        head=head,
        stride=networks.stride,
        scale=networks.scale,
        width=networks.width,
        fc6_dilation=networks.fc6_dilation,
        batch_norm=networks.batch_norm,
        fixed_norm=pretrained,
        dropout=networks.dropout,
        suppression=suppression,
    )


def _tensors(networks: Networks, file: Path | None) -> Tensors | None:
    """Return the pretrained tensors; None if there are none."""
    if file is None and networks.weights == "random":
        return None
    if file is not None or networks.weights_are_a_file:
        return read_weights_file(file or Path(networks.weights))
    if networks.backbone.startswith(TIMM) and networks.weights == "pretrained":
        return timm_weights(networks.backbone.removeprefix(TIMM))
    if networks.backbone == "vgg16" and networks.weights in WEIGHTS:
        return torchvision_weights(networks.backbone, networks.weights)
    known = ", ".join(WEIGHTS) if networks.backbone == "vgg16" else "pretrained"
    what = f"unknown weights of {networks.backbone}"
    hint = f"random, {known}, or a .npz, .pth, .pt or .safetensors file"
    raise AepslError.of(networks.weights, what, hint)


def _convention(networks: Networks, file: Path | None, *, pretrained: bool) -> InputConvention:
    """Return how the input is normalised."""
    if networks.backbone.startswith(TIMM):
        from aepsl.networks.timm_networks import convention_of

        return convention_of(networks.backbone.removeprefix(TIMM))
    if not pretrained:
        return DEFAULT_CONVENTION
    if file is None and networks.weights in WEIGHTS:
        return CONVENTIONS[WEIGHTS[networks.weights]]
    return CONVENTIONS[networks.weights_input]


def licence_of(networks: Networks) -> str | None:
    """Return the licence of the pretrained weights in these settings, where timm knows it."""
    if networks.weights == "random" or not networks.backbone.startswith(TIMM):
        return None
    from aepsl.networks import timm_networks

    return timm_networks.licence_of(networks.backbone.removeprefix(TIMM))


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
    tensors = _tensors(networks, weights)
    fixed = tensors is not None
    shape = _shape(networks, head=head, pretrained=fixed, suppression=suppression)
    try:
        convention = _convention(networks, weights, pretrained=fixed)
        model = network(classes=classes, shape=shape, convention=convention)
    except ValueError as error:
        hint = "see networks.backbone, networks.stride and segmentation.head"
        raise AepslError.of(networks.backbone, str(error), hint) from None
    if tensors is not None:
        try:
            model.load(tensors, bgr=convention.bgr)
        except ValueError as error:
            hint = "networks.width must be 1, networks.backbone and batch_norm as in the file"
            what = f"the weights do not fit: {error}"
            raise AepslError.of(weights or networks.weights, what, hint) from None
    model.precision = networks.precision
    for block in model.backbone.blocks()[: networks.frozen_blocks]:
        freeze(block)
    facts = {"shape": asdict(shape), "input": convention._asdict()}
    return model, facts | {"precision": networks.precision}
