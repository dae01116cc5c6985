"""The pseudo-label ``S = F union B`` and its three ignore rules (paper, section 3.2)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from enum import IntEnum
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from aepsl.masks import IGNORE_INDEX

BACKGROUND = 0


class Reason(IntEnum):
    """Why a pixel of a pseudo-label is ignored."""

    CONFLICT = 1
    """In the regions of several classes."""
    LOW_SALIENCY = 2
    """In one region and in the background."""
    UNCLAIMED = 3
    """In neither a region nor the background."""


class PseudoLabel(NamedTuple):
    """A pseudo-label, and how many of its pixels each rule ignored."""

    mask: NDArray[np.uint8]
    """(height, width): 0 background, 1 + class, 255 ignored."""
    conflict: int
    low_saliency: int
    unclaimed: int


def _claims(regions: NDArray[np.bool_]) -> NDArray[np.uint8]:
    """Return how many of the (present, height, width) regions contain each pixel."""
    return regions.sum(axis=0, dtype=np.uint8)


def ignore_reasons(mask: NDArray[np.uint8], regions: NDArray[np.bool_]) -> NDArray[np.uint8]:
    """Return the :class:`Reason` of each ignored pixel of a pseudo-label; 0 where it is labelled.

    The number of regions that claim a pixel tells the rule by which it is ignored.

    Args:
        mask: (height, width), 255 is ignored.
        regions: (present, height, width), the regions that the label was assembled from.
    """
    by_claims = np.array([Reason.UNCLAIMED, Reason.LOW_SALIENCY, Reason.CONFLICT], np.uint8)
    reasons = by_claims[np.minimum(_claims(regions), 2)]
    return np.where(mask == IGNORE_INDEX, reasons, np.uint8(0))


def region_mask(
    regions: NDArray[np.bool_], *, classes: Sequence[int], unclaimed_value: int
) -> NDArray[np.uint8]:
    """Merge the (present, height, width) regions into one mask; overlaps become 255.

    Args:
        regions: the region of each present class.
        classes: the number of each present class, from 0, background not counted.
        unclaimed_value: value of pixels outside all regions.
    """
    height, width = regions.shape[1:]
    mask = np.full((height, width), unclaimed_value, np.uint8)
    for region, number in zip(regions, classes, strict=True):
        mask[region] = 1 + number
    mask[_claims(regions) > 1] = IGNORE_INDEX
    return mask


def background_threshold(
    classes: Sequence[str], *, default: float, by_class: Mapping[str, float]
) -> float:
    """Return the saliency below which pixels of an image are background.

    Indoor objects stand in front of clutter, so their classes may need a higher threshold. An image
    with several classes uses the largest threshold, because clutter is a property of the scene.

    >>> background_threshold(["person", "sofa"], default=0.06, by_class={"sofa": 0.12})
    0.12
    """
    return max((by_class.get(name, default) for name in classes), default=default)


def lost_classes(mask: NDArray[np.integer], *, classes: Sequence[int]) -> list[int]:
    """Return the present classes, numbered from 0, that have no pixel in the mask."""
    return [number for number in classes if not (mask == 1 + number).any()]


def with_lost_classes(
    refined: NDArray[np.integer], before: NDArray[np.integer]
) -> NDArray[np.integer]:
    """Return a refined mask in which the classes that refinement erased have their pixels again.

    Where these were all that another class had left, the mask stays as it was before.

    Args:
        refined: (height, width), 0 background.
        before: (height, width), the mask that was refined.
    """
    classes = [value - 1 for value in np.unique(before).tolist() if value != BACKGROUND]
    erased = [1 + number for number in lost_classes(refined, classes=classes)]
    restored = np.where(np.isin(before, erased), before, refined)
    return before if lost_classes(restored, classes=classes) else restored


def mask_values(classes: Sequence[int]) -> NDArray[np.uint8]:
    """Return the values in a mask of the background and of the present classes, from 0."""
    return np.array([BACKGROUND, *(1 + number for number in classes)], np.uint8)


def label_probabilities(
    mask: NDArray[np.uint8], *, classes: Sequence[int], certainty: float
) -> NDArray[np.float32]:
    """Return what a pseudo-label says of each pixel, as probabilities for a CRF.

    The class of a pixel has the probability ``certainty``, and the other present classes and the
    background share the rest; where the label is ignored, all of them are equally probable.

    Args:
        mask: (height, width): 0 background, 1 + class, 255 ignored.
        classes: the number of each present class, from 0, background not counted.
        certainty: 0..1.

    Returns:
        (1 + present, height, width), background first; 1 where only the background is possible.
    """
    shown = mask_values(classes)
    labelled = mask == shown[:, None, None]
    rest = (1 - certainty) / max(1, len(classes))
    probabilities = np.where(labelled, certainty, rest)
    probabilities[:, mask == IGNORE_INDEX] = 1 / len(shown)
    return (probabilities / probabilities.sum(axis=0)).astype(np.float32)


def assemble_label(
    regions: NDArray[np.bool_],
    saliency: NDArray[np.floating] | None,
    *,
    classes: Sequence[int],
    background_threshold: float,
) -> PseudoLabel:
    """Combine mined regions and background into a pseudo-label by the paper's three rules.

    Args:
        regions: (present, height, width), the mined region of each present class.
        saliency: (height, width), 0..1; None makes every unmined pixel background.
        classes: the number of each present class, from 0, background not counted.
        background_threshold: saliency below it is background (paper: 0.06).

    Returns:
        The mask, and its ignored pixels counted by reason; the reasons are mutually exclusive.
    """
    claims = _claims(regions)
    background = claims == 0 if saliency is None else saliency < background_threshold
    mask = region_mask(regions, classes=classes, unclaimed_value=IGNORE_INDEX)
    mask[(claims == 0) & background] = BACKGROUND
    mask[(claims == 1) & background] = IGNORE_INDEX
    counts = np.bincount(ignore_reasons(mask, regions).ravel(), minlength=1 + len(Reason))
    return PseudoLabel(
        mask,
        conflict=int(counts[Reason.CONFLICT]),
        low_saliency=int(counts[Reason.LOW_SALIENCY]),
        unclaimed=int(counts[Reason.UNCLAIMED]),
    )
