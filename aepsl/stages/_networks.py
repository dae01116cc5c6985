"""Building networks from the configuration, and again from a stored model."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from aepsl.config import Networks
from aepsl.errors import AepslError
from aepsl.networks.heads import Classifier, SegmentationNetwork
from aepsl.networks.pretrained import (
    CONVENTIONS,
    TORCHVISION_INPUT,
    backbone_tensors,
    load_backbone,
)
from aepsl.networks.vgg import LargeFovShape
from aepsl.stores.models import load_model, read_weights_file, torchvision_weights

N = TypeVar("N", Classifier, SegmentationNetwork)


def pick_device(name: str) -> torch.device:
    """Return the device called ``name``; ``auto`` is a GPU if there is one.

    Raises:
        AepslError: if there is no such device.
    """
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    if name.startswith("cuda") and not torch.cuda.is_available():
        raise AepslError.of("runtime.device", f"{name}, but no GPU is seen", "use cpu or auto")
    try:
        return torch.device(name)
    except RuntimeError:
        raise AepslError.of("runtime.device", f"no device {name!r}", "cpu, cuda or auto") from None


def shape_of(networks: Networks) -> LargeFovShape:
    """Return the shape that the configuration asks for."""
    return LargeFovShape(
        width=networks.width,
        fc6_dilation=networks.fc6_dilation,
        batch_norm=networks.batch_norm,
        dropout=networks.dropout,
    )


def build(network: type[N], *, classes: int, networks: Networks) -> tuple[N, dict[str, Any]]:
    """Return a fresh network with its pretrained backbone, and what is needed to build it again.

    Raises:
        AepslError: if the weights cannot be read or do not fit.
    """
    name = networks.weights
    known = TORCHVISION_INPUT.get(name, networks.weights_input)
    convention = CONVENTIONS["torchvision" if name == "random" else known]
    shape = shape_of(networks)
    model = network(classes=classes, shape=shape, mean=convention.mean, scale=convention.scale)
    facts = {"shape": asdict(shape), "mean": convention.mean, "scale": convention.scale}
    if name != "random":
        tensors = (
            torchvision_weights(name)
            if name in TORCHVISION_INPUT
            else read_weights_file(Path(name))
        )
        try:
            load_backbone(model.features, backbone_tensors(tensors, bgr=convention.bgr))
        except ValueError as error:
            hint = "networks.width must be 1 and networks.batch_norm as in the file"
            raise AepslError.of(name, f"weights that do not fit: {error}", hint) from None
    return model, facts


def restore(network: type[N], path: Path, *, device: torch.device) -> tuple[N, dict[str, Any]]:
    """Return a stored network, ready to be evaluated, and the facts stored with it.

    Raises:
        AepslError: if the file is no such model.
    """
    tensors, facts = load_model(path)
    model = network(
        classes=len(facts["class_names"]),
        shape=LargeFovShape(**facts["shape"]),
        mean=tuple(facts["mean"]),
        scale=tuple(facts["scale"]),
    )
    model.load_state_dict(tensors)
    model.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    return model.eval(), facts


def as_batch(image: NDArray[np.uint8], device: torch.device) -> Tensor:
    """Return a (height, width, 3) image as a (1, 3, height, width) float batch."""
    return torch.from_numpy(image.copy()).permute(2, 0, 1)[None].float().to(device)
