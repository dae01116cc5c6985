"""Saliency by any saliency network in ONNX format, through ONNX Runtime."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

Triple = tuple[float, float, float]

GPU = "CUDAExecutionProvider"
"""ONNX Runtime's GPU provider."""


@dataclass(frozen=True)
class DetectorOptions:
    """Input and output conventions of a saliency network, from its documentation."""

    size: int
    """Input side, pixels."""
    mean: Triple
    """Mean that is subtracted from RGB, 0..255."""
    scale: Triple
    """Scale that RGB is divided by, 0..255."""
    bgr: bool
    """Whether the network expects BGR."""
    input: str | None
    """Name of the input; None is the first."""
    output: str | None
    """Name of the saliency output; None is the first."""
    answer: str
    """``probability`` (0..1), ``logit``, or ``relative`` (rescaled to 0..1)."""
    flip: bool
    """Whether to average with the map of the mirrored photograph."""


class SaliencyNetwork:
    """A loaded saliency network; call it with a photograph."""

    def __init__(self, file: Path, options: DetectorOptions, *, threads: int, device: str) -> None:
        """Load ``file`` on ``device``: cpu, cuda, or auto (a GPU if available).

        Raises:
            ValueError: if the file is not a valid network, lacks the named input or output, or the
                device is unavailable.
        """
        import onnxruntime

        available = onnxruntime.get_available_providers()
        if device.startswith("cuda") and GPU not in available:
            raise ValueError(
                "this ONNX Runtime has no GPU support; replace onnxruntime by onnxruntime-gpu"
                ' (pip uninstall onnxruntime; pip install "aepsl[gpu]"), or use auto'
            )

        settings = onnxruntime.SessionOptions()
        settings.intra_op_num_threads = threads
        settings.log_severity_level = 3
        number = int(device.partition(":")[2] or 0)
        wanted: list[Any] = []
        if device != "cpu" and GPU in available:
            wanted = [(GPU, {"device_id": number})]
        try:
            self._session: Any = onnxruntime.InferenceSession(
                str(file), settings, providers=[*wanted, "CPUExecutionProvider"]
            )
        except Exception as error:  # ONNX Runtime's exceptions have no common base class
            raise ValueError(f"not a network that ONNX Runtime reads ({error})") from None
        if device.startswith("cuda") and GPU not in self._session.get_providers():
            raise ValueError(
                "ONNX Runtime could not use the GPU; install the CUDA it was built for"
            )
        self._options = options
        self._input = _find(options.input, self._session.get_inputs(), "input")
        self._output = _find(options.output, self._session.get_outputs(), "output")

    def __call__(self, image: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Return the (height, width) saliency, 0..1, of a (height, width, 3) RGB image.

        Raises:
            ValueError: if the network rejects the input or does not return one map.
        """
        if not self._options.flip:
            return self._saliency(image)
        mirrored = self._saliency(image[:, ::-1])[:, ::-1]
        return np.mean([self._saliency(image), mirrored], axis=0, dtype=np.float32)

    def _saliency(self, image: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Return the saliency of one view."""
        batch = prepare(image, self._options)
        try:
            answer = self._session.run([self._output], {self._input: batch})[0]
            small = np.asarray(answer, np.float32).reshape(answer.shape[-2:])
        except Exception as error:  # as above
            size = self._options.size
            raise ValueError(f"it cannot take {size} x {size} pixels ({error})") from None
        height, width = image.shape[:2]
        full = cv2.resize(
            to_saliency(small, self._options.answer),
            (width, height),
            interpolation=cv2.INTER_LINEAR,
        )
        return full.clip(0, 1)


def _find(name: str | None, known: list[Any], what: str) -> str:
    names = [node.name for node in known]
    if name is None:
        return str(names[0])
    if name not in names:
        raise ValueError(f"there is no {what} {name}, only {', '.join(names)}")
    return name


def prepare(image: NDArray[np.uint8], options: DetectorOptions) -> NDArray[np.float32]:
    """Convert a (h, w, 3) RGB image to the network's (1, 3, size, size) input."""
    size = (options.size, options.size)
    resized = cv2.resize(image, size, interpolation=cv2.INTER_LINEAR).astype(np.float32)
    normal = (resized - np.array(options.mean, np.float32)) / np.array(options.scale, np.float32)
    ordered = normal[..., ::-1] if options.bgr else normal
    return np.ascontiguousarray(ordered.transpose(2, 0, 1)[None], dtype=np.float32)


def _stretched(answer: NDArray[np.float32]) -> NDArray[np.float32]:
    low, high = float(answer.min()), float(answer.max())
    return (answer - low) / max(high - low, 1e-8)


def _logistic(answer: NDArray[np.float32]) -> NDArray[np.float32]:
    return (1 / (1 + np.exp(-answer))).astype(np.float32)


ANSWERS: dict[str, Callable[[NDArray[np.float32]], NDArray[np.float32]]] = {
    "probability": lambda answer: answer.clip(0, 1),
    "logit": _logistic,
    "relative": _stretched,
}
"""Functions from a network's output to 0..1, by the kind of output."""


def to_saliency(answer: NDArray[np.float32], kind: str) -> NDArray[np.float32]:
    """Convert a network's output to 0..1; ``kind`` is a key of :data:`ANSWERS`."""
    return ANSWERS[kind](answer)
