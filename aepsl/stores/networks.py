"""Trained networks, rebuilt from their files."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

import torch

from aepsl.errors import AepslError
from aepsl.networks.models import (
    Classifier,
    NetworkShape,
    SalientClassifier,
    SegmentationNetwork,
)
from aepsl.networks.pretrained import InputConvention
from aepsl.stores.models import Tensors, load_model

N = TypeVar("N", Classifier, SegmentationNetwork)


def load_network(network: type[N], path: Path, *, device: torch.device) -> tuple[N, dict[str, Any]]:
    """Return a stored network in evaluation mode, and the facts stored with it.

    It computes in the precision that it was trained in; in float32 if the file names none.

    Raises:
        AepslError: if the file is not a model of this type.
    """
    tensors, facts = load_model(path)
    return _rebuilt(network, tensors, facts, path, device), facts


def load_classifier(path: Path, *, device: torch.device) -> Classifier:
    """Return a stored classifier, with a background if it has one; see :func:`load_network`."""
    tensors, facts = load_model(path)
    network = SalientClassifier if "background.weight" in tensors else Classifier
    return _rebuilt(network, tensors, facts, path, device)


def _rebuilt(
    network: type[N], tensors: Tensors, facts: Mapping[str, Any], path: Path, device: torch.device
) -> N:
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
        model.precision = facts.get("precision", "float32")
    except (KeyError, TypeError, RuntimeError) as error:
        what = f"not a {network.__name__} of this version ({str(error).splitlines()[0]})"
        raise AepslError.of(path, what, "run its training stage again") from None
    model.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    return model.eval()
