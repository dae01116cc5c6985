"""The entry of one image in the gallery of the report page: numbers, and layers of pictures.

A pure function of arrays, so that any photograph with masks can be shown, not only those of a run.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from aepsl.evaluation.confusion import confusion_matrix
from aepsl.masks import IGNORE_INDEX
from aepsl.report import pictures
from aepsl.report.measures import (
    HALF,
    Cause,
    causes_by_labels,
    causes_by_truth,
    confidence,
    disagreement,
    ignored_fraction,
    iou_by_class,
    kinds_of_errors,
    rounded,
)

Mask = NDArray[np.uint8]


class Step(NamedTuple):
    """One erasing step of an image."""

    classes: Sequence[int]
    """The values in masks of the classes that the image shows."""
    cams: NDArray[np.floating]
    """(present, height, width), 0..1, of any size."""
    mined: Mask
    """(height, width), the regions mined up to this step; 255 where they overlap."""


@dataclass(frozen=True)
class Shown:
    """All that the page shows of one image; None where a run has none.

    Masks are (height, width): 0 background, 1 + class, 255 ignored.
    """

    id: str
    split: str
    """``train`` or ``eval``."""
    labels: Sequence[int]
    """The values in masks of the classes that the image shows, as far as they are known."""
    photograph: NDArray[np.uint8]
    """(height, width, 3) RGB."""
    steps: Sequence[Step] = ()
    saliency: NDArray[np.floating] | None = None
    label: Mask | None = None
    reasons: Mask | None = None
    """(height, width), the :class:`aepsl.labels.assemble.Reason` of each ignored pixel, else 0."""
    prediction: Mask | None = None
    refined: Mask | None = None
    """The prediction after the CRF."""
    truth: Mask | None = None
    log_scores: NDArray[np.floating] | None = field(default=None, repr=False)
    """(classes, cells, cells), the log-probabilities of the prediction."""

    @property
    def judged(self) -> tuple[str, Mask] | None:
        """The last mask of the image, which is compared with the truth, and its layer."""
        masks = {"crf": self.refined, "prediction": self.prediction, "label": self.label}
        return next(((name, mask) for name, mask in masks.items() if mask is not None), None)


def _of_judged(image: Shown, name: str, judged: Mask, classes: int) -> dict[str, Any]:
    """Return the measures of the judged mask, compared with the true mask or the image labels.

    ``causes`` is absent if there was neither to compare with, and no mostly ignored pseudo-label.
    """
    present = np.unique(judged[(judged != 0) & (judged != IGNORE_INDEX)]).tolist()
    causes: list[Cause] | None = None
    overlap: dict[str, Any] = {}
    if image.truth is not None:
        matrix = confusion_matrix(image.truth, judged, classes=classes)
        causes, overlap = list(causes_by_truth(matrix)), iou_by_class(matrix)
    elif image.split == "train":  # the labels of other photographs may be incomplete
        causes = list(causes_by_labels(judged, image.labels))
    if image.label is not None and ignored_fraction(image.label) > HALF:
        causes = [*(causes or ()), ("ignored", 0)]
    checked = {} if causes is None else {"causes": causes}
    return {"judged": name, "found": present} | checked | overlap


def _measures(image: Shown, classes: int) -> dict[str, Any]:
    measures = _of_judged(image, *image.judged, classes) if image.judged else {}
    if image.label is not None:
        measures["ignored"] = rounded(ignored_fraction(image.label))
        measures["lost"] = [value for value in image.labels if not (image.label == value).any()]
    if image.reasons is not None:
        counts = np.bincount(image.reasons.ravel(), minlength=4)[1:4]
        measures["reasons"] = [rounded(float(count) / image.reasons.size) for count in counts]
    stages = [mask for mask in (image.label, image.prediction, image.refined) if mask is not None]
    if len(stages) > 1:
        measures["disagreement"] = rounded(disagreement(*stages[-2:]))
    if image.log_scores is not None:
        measures["confidence"] = rounded(confidence(image.log_scores))
    return measures


def _layers(image: Shown, classes: int) -> Iterator[tuple[tuple[Any, ...], pictures.Grey]]:
    """Yield the name of each layer, such as ``("cam", step, class)``, and the layer."""
    height, width = pictures.thumbnail_size(*image.photograph.shape[:2])
    size = {"height": height, "width": width}
    for number, step in enumerate(image.steps, 1):
        for value, cam in zip(step.classes, step.cams, strict=True):
            yield ("cam", number, value), pictures.map_layer(cam, **size)
        yield ("mined", number), pictures.mask_layer(step.mined, classes=classes, **size)
    if image.saliency is not None:
        yield ("saliency",), pictures.map_layer(image.saliency, **size)
    masks = {"label": image.label, "prediction": image.prediction}
    masks |= {"crf": image.refined, "truth": image.truth}
    for name, mask in masks.items():
        if mask is not None:
            yield (name,), pictures.mask_layer(mask, classes=classes, **size)
    if image.reasons is not None:
        yield ("reasons",), pictures.reasons_layer(image.reasons, **size)
    if image.truth is not None and image.judged:
        errors = kinds_of_errors(image.truth, image.judged[1])
        yield ("errors",), pictures.errors_layer(errors, **size)


class Entry(NamedTuple):
    """An image of the gallery, ready to be written."""

    record: dict[str, Any]
    """What the page's scripts read; see :func:`entry`."""
    thumbnail: bytes
    """WebP."""
    sheet: bytes
    """PNG; empty without layers."""


def entry(image: Shown, *, classes: int) -> Entry:
    """Return the gallery's entry of one image.

    The record holds ``id``, ``split``, ``labels``, the ``size`` of the thumbnail (width, height),
    the names of the ``layers`` in the order of the sheet, and, as far as they can be computed: the
    mask that is ``judged``, its classes ``found``, its ``iou``, also ``by_class``, the ``causes``
    of its errors, the fraction of ``ignored`` pixels of the label and its parts by ``reasons``
    (several classes, not salient, no class), the ``disagreement`` of the last two masks, and the
    mean ``confidence``. ``lost`` are the classes of the image without a pixel in the pseudo-label.

    Args:
        image: arrays and facts of the image.
        classes: number of classes, background included.
    """
    height, width = pictures.thumbnail_size(*image.photograph.shape[:2])
    layers = list(_layers(image, classes))
    record = {"id": image.id, "split": image.split, "labels": list(image.labels)}
    record |= {"size": (width, height), "layers": [name for name, _ in layers]}
    return Entry(
        record | _measures(image, classes),
        pictures.encode_thumbnail(image.photograph),
        pictures.encode_sheet([layer for _, layer in layers]) if layers else b"",
    )
