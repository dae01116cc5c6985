"""Opening true masks: for scoring, and for the bound that is trained on them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from aepsl.data.images import read_mask
from aepsl.masks import IGNORED
from aepsl.stores.dataset import MaskEntry, TruthManifest


def true_mask(entry: MaskEntry, truth: TruthManifest) -> NDArray[np.uint8]:
    """Return a true mask in the numbers of the run: 0, 1 + class, 255.

    Classes that the run does not use are void: they are neither background nor an error.

    Raises:
        AepslError: if the mask is broken, or was changed since it was indexed.
    """
    values = read_mask(Path(entry.path), sha256=entry.sha256)
    table = np.full(256, IGNORED, np.uint8)
    table[0] = 0
    for number, value in enumerate(truth.mask_values):
        table[value] = 1 + number
    return table[values]
