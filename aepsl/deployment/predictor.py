"""Find the classes in photographs: the public Python interface of a trained network."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from aepsl.config.segmentation import Crf
from aepsl.data.images import mask_image, read_image, to_rgb
from aepsl.deployment.networks import Network, OnnxNetwork, TorchNetwork
from aepsl.deployment.sources import find_network
from aepsl.device import pick_device
from aepsl.errors import AepslError
from aepsl.host import require_crf
from aepsl.masks import BACKGROUND_NAME
from aepsl.segmentation.crf import RefineOptions, refine, refine_options

Photograph = Image.Image | NDArray[np.uint8] | str | Path
"""A PIL image, a (height, width, 3) RGB array in 0..255, or a file."""


class ClassArea(NamedTuple):
    """Where one class is in a photograph, in numbers."""

    name: str
    pixels: int
    area: float
    """Share of the photograph, 0..1."""
    confidence: float
    """Mean probability of the class over its pixels, 0..1."""


@dataclass(frozen=True)
class Segmentation:
    """What a network finds in one photograph."""

    mask: NDArray[np.uint8]
    """(height, width), the class of each pixel: 0 is background, k is ``class_names[k - 1]``."""
    confidence: NDArray[np.float32]
    """(height, width), the probability of each pixel's class, 0..1."""
    scores: Mapping[str, float]
    """v, the score of each class for the whole photograph, 0..1 (paper, section 3.2)."""

    @property
    def class_names(self) -> tuple[str, ...]:
        """The classes, without background."""
        return tuple(self.scores)

    @property
    def image(self) -> Image.Image:
        """The mask as an image with PASCAL VOC's palette."""
        return mask_image(self.mask)

    def areas(self) -> list[ClassArea]:
        """Return area and confidence of each class in the mask, background first."""
        names = (BACKGROUND_NAME, *self.class_names)
        pixels = np.bincount(self.mask.ravel(), minlength=len(names))
        sums = np.bincount(self.mask.ravel(), self.confidence.ravel(), minlength=len(names))
        return [
            ClassArea(name, int(count), float(count / self.mask.size), float(total / count))
            for name, count, total in zip(names, pixels, sums, strict=True)
            if count
        ]


def _pixels(photograph: Photograph) -> NDArray[np.uint8]:
    """Return the (height, width, 3) pixels of a photograph."""
    match photograph:
        case str() | Path():
            return read_image(Path(photograph))
        case Image.Image():
            return np.asarray(to_rgb(photograph))
    if photograph.dtype != np.uint8 or photograph.ndim != 3 or photograph.shape[2] != 3:
        what = f"an array of {photograph.dtype} with shape {photograph.shape}"
        hint = "give uint8 RGB in 0..255 with shape (height, width, 3), or a PIL image"
        raise AepslError.of("photograph", what, hint)
    return photograph


class Predictor:
    """A trained network, ready for photographs; :func:`load` makes one."""

    def __init__(self, network: Network, *, crf: RefineOptions | None = None) -> None:
        """``crf``: refine masks with the fully connected CRF: about a second a photograph."""
        self._network = network
        self._crf = crf

    @property
    def class_names(self) -> tuple[str, ...]:
        """The classes, without background: mask value k is ``class_names[k - 1]``."""
        return self._network.class_names

    def __call__(self, photograph: Photograph) -> Segmentation:
        """Return what the network finds in a photograph of any size.

        Raises:
            AepslError: if it is a file that is no photograph, or an array of another kind.
        """
        return self.batch([photograph])[0]

    def batch(self, photographs: Sequence[Photograph]) -> list[Segmentation]:
        """Return what the network finds in photographs of one size: on a GPU faster than singly.

        Raises:
            AepslError: as for a single one, or if their sizes differ.
        """
        pixels = [_pixels(photograph) for photograph in photographs]
        if len(sizes := {image.shape[:2] for image in pixels}) > 1:
            what = f"{len(sizes)} sizes, for instance {sorted(sizes)[:2]}"
            raise AepslError.of("photographs", what, "give photographs of one size, or one by one")
        return list(map(self._segmentation, pixels, *self._network(pixels))) if pixels else []

    def _segmentation(
        self,
        pixels: NDArray[np.uint8],
        mask: NDArray[np.uint8],
        probabilities: NDArray[np.float32],
        scores: NDArray[np.float32],
    ) -> Segmentation:
        if self._crf:
            threshold = self._network.threshold
            mask = refine(pixels, probabilities, threshold=threshold, options=self._crf)
        confidence = np.take_along_axis(probabilities, mask[None].astype(np.int64), axis=0)[0]
        names = dict(zip(self.class_names, map(float, scores), strict=True))
        return Segmentation(mask, confidence, names)


def load(
    path: str | Path, *, variant: str | None = None, device: str = "auto", crf: bool = False
) -> Predictor:
    """Return a trained network, ready for photographs.

    Args:
        path: the folder of a run (``results/<run>``), a folder or ONNX file that ``aepsl export``
            wrote, or a model file.
        variant: the variant of the run; None: ``main``.
        device: ``auto``, ``cpu`` or ``cuda``; an ONNX file always runs on the CPU.
        crf: whether to refine masks with the fully connected CRF, with the run's settings.

    Raises:
        AepslError: if there is no network there, or the CRF is not installed.
    """
    path = Path(path)
    if path.suffix == ".onnx":
        return Predictor(OnnxNetwork(path), crf=_crf(Crf()) if crf else None)
    source = find_network(path, variant=variant)
    network = TorchNetwork(source, device=pick_device(device))
    return Predictor(network, crf=_crf(source.crf) if crf else None)


def _crf(settings: Crf) -> RefineOptions:
    if settings.method == "dense":
        require_crf()
    return refine_options(**settings.kernels())
