"""A trained network in torch or in ONNX Runtime; both have the same inputs and outputs."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple, Protocol

import numpy as np
import torch
from numpy.typing import NDArray

from aepsl.deployment.sources import Source
from aepsl.errors import require_file
from aepsl.host import require_onnx_runtime
from aepsl.mining.loss import LABEL_LOSSES
from aepsl.networks.layers import as_batch
from aepsl.networks.models import SegmentationNetwork
from aepsl.segmentation.inference import MaskNetwork
from aepsl.stores.networks import load_network
from aepsl.text import parse_json, parsing

Photographs = Sequence[NDArray[np.uint8]]
"""n photographs of one size, each (height, width, 3) RGB, 0..255."""


class Outputs(NamedTuple):
    """Outputs for n photographs: :class:`aepsl.segmentation.inference.MaskOutput` in numpy."""

    mask: NDArray[np.uint8]
    probabilities: NDArray[np.float32]
    scores: NDArray[np.float32]


class Network(Protocol):
    """A trained network that computes masks."""

    class_names: tuple[str, ...]
    """The classes, without background."""
    threshold: float
    """p, 0..1: class scores below it are 0."""

    def __call__(self, photographs: Photographs) -> Outputs:
        """Return masks, probabilities and image scores."""


def mask_network(source: Source, *, device: torch.device) -> tuple[MaskNetwork, tuple[str, ...]]:
    """Return a stored network with views, upsampling and threshold, and the names of its classes.

    Raises:
        AepslError: if the file is not a segmentation network of this version.
    """
    network, facts = load_network(SegmentationNetwork, source.model, device=device)
    prediction = source.prediction
    loss = parse_json(facts["config"], source.model)["mining.loss"]
    masks = MaskNetwork(
        network,
        scales=prediction.scales,
        flip=prediction.flip,
        threshold=prediction.threshold,
        image_scores=LABEL_LOSSES[loss].probabilities,
    )
    return masks.eval(), tuple(facts["class_names"])


class TorchNetwork:
    """A stored network in torch."""

    def __init__(self, source: Source, *, device: torch.device) -> None:
        """See :func:`mask_network`."""
        self._device = device
        self._network, self.class_names = mask_network(source, device=device)
        self.threshold = self._network.threshold

    @torch.inference_mode()
    def __call__(self, photographs: Photographs) -> Outputs:
        """Return masks, probabilities and image scores."""
        outputs = self._network(as_batch(photographs, self._device))
        return Outputs(*(values.cpu().numpy() for values in outputs))


class OnnxNetwork:
    """A network that ``aepsl export --format onnx`` wrote, in ONNX Runtime on the CPU."""

    def __init__(self, path: Path) -> None:
        """Read the file.

        Raises:
            AepslError: if it is missing, broken, or not such a network.
        """
        require_onnx_runtime()
        import onnxruntime

        hint = "give a file that aepsl export --format onnx wrote"
        with parsing(path, "a network of this package", hint):
            require_file(path)
            self._session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
            about = self._session.get_modelmeta().custom_metadata_map
            self.class_names = tuple(json.loads(about["class_names"]))
            self.threshold = float(about["threshold"])

    def __call__(self, photographs: Photographs) -> Outputs:
        """Return masks, probabilities and image scores."""
        images = np.stack(list(photographs)).transpose(0, 3, 1, 2).astype(np.float32)
        return Outputs(*self._session.run(list(Outputs._fields), {"images": images}))
