"""Saliency by any salient object detector in ONNX, through ONNX Runtime."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

Triple = tuple[float, float, float]

GPU = "CUDAExecutionProvider"
"""ONNX Runtime's name of what runs on a GPU."""


@dataclass(frozen=True)
class DetectorOptions:
    """What a detector expects and answers; its author knows."""

    size: int
    """Side in pixels that photographs are resized to."""
    mean: Triple
    """Subtracted from RGB, 0..255."""
    scale: Triple
    """RGB is divided by it, 0..255."""
    bgr: bool
    """Whether it sees blue first."""
    input: str | None
    """Name of its input; the first one if None."""
    output: str | None
    """Name of its map; the first output if None."""
    answer: str
    """``probability`` (0..1), ``logit``, or ``relative`` (to be stretched to 0..1)."""


class SaliencyNetwork:
    """A loaded detector; calling it with a photograph gives its saliency."""

    def __init__(self, file: Path, options: DetectorOptions, *, threads: int, device: str) -> None:
        """Load ``file`` on ``device``: cpu, cuda, or auto, which is a GPU if there is one.

        Raises:
            ValueError: if it is no such network, has no such input or output, or the device is
                not to be had.
        """
        import onnxruntime

        available = onnxruntime.get_available_providers()
        if device.startswith("cuda") and GPU not in available:
            raise ValueError("this ONNX Runtime knows no GPU; install onnxruntime-gpu, or use auto")

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
        except Exception as error:  # the library raises classes of its own, without a common base
            raise ValueError(f"not a network that ONNX Runtime reads ({error})") from None
        if device.startswith("cuda") and GPU not in self._session.get_providers():
            raise ValueError(
                "ONNX Runtime could not use the GPU; install the CUDA it was built for"
            )
        self._options = options
        self._input = _named(options.input, self._session.get_inputs(), "input")
        self._output = _named(options.output, self._session.get_outputs(), "output")

    def __call__(self, image: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Return the (height, width) saliency, 0..1, of a (height, width, 3) RGB image.

        Raises:
            ValueError: if the network cannot see, or does not answer with, one map.
        """
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


def _named(name: str | None, known: list[Any], what: str) -> str:
    names = [node.name for node in known]
    if name is None:
        return str(names[0])
    if name not in names:
        raise ValueError(f"it has no {what} {name}; it has {', '.join(names)}")
    return name


def prepare(image: NDArray[np.uint8], options: DetectorOptions) -> NDArray[np.float32]:
    """Return the (1, 3, size, size) batch that a detector sees of a (h, w, 3) RGB image."""
    size = (options.size, options.size)
    resized = cv2.resize(image, size, interpolation=cv2.INTER_LINEAR).astype(np.float32)
    normal = (resized - np.array(options.mean, np.float32)) / np.array(options.scale, np.float32)
    ordered = normal[..., ::-1] if options.bgr else normal
    return np.ascontiguousarray(ordered.transpose(2, 0, 1)[None], dtype=np.float32)


def to_saliency(answer: NDArray[np.float32], kind: str) -> NDArray[np.float32]:
    """Return a detector's answer as 0..1; ``kind`` as in :class:`DetectorOptions`."""
    match kind:
        case "logit":
            return (1 / (1 + np.exp(-answer))).astype(np.float32)
        case "relative":
            low, high = float(answer.min()), float(answer.max())
            return (answer - low) / max(high - low, 1e-8)
        case _:
            return answer.clip(0, 1)
