"""The pseudo-label ``S = F union B`` and its three ignore rules (paper, section 3.2)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from aepsl.masks import IGNORE_INDEX

BACKGROUND = 0


class PseudoLabel(NamedTuple):
    """A pseudo-label, and how many of its pixels each rule ignored."""

    mask: NDArray[np.uint8]
    """(height, width): 0 background, 1 + class, 255 ignored."""
    conflict: int
    """Pixels in the regions of several classes."""
    low_saliency: int
    """Pixels in one region and in the background."""
    unclaimed_value: int
    """Pixels in neither a region nor the background."""


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
    mask[regions.sum(axis=0) > 1] = IGNORE_INDEX
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
    claims = regions.sum(axis=0)
    background = claims == 0 if saliency is None else saliency < background_threshold
    mask = region_mask(regions, classes=classes, unclaimed_value=IGNORE_INDEX)
    mask[(claims == 0) & background] = BACKGROUND
    low_saliency = (claims == 1) & background
    mask[low_saliency] = IGNORE_INDEX
    return PseudoLabel(
        mask,
        conflict=int((claims > 1).sum()),
        low_saliency=int(low_saliency.sum()),
        unclaimed_value=int(((claims == 0) & ~background).sum()),
    )
