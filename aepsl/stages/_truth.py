"""Read true masks, for scores and for the upper bound."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from aepsl.data.images import decode_mask, read_mask
from aepsl.masks import IGNORE_INDEX
from aepsl.stores.manifests import MaskEntry, TruthManifest


def true_mask(entry: MaskEntry, truth: TruthManifest, *, root: Path) -> NDArray[np.uint8]:
    """Return a true mask of the dataset in ``root`` with the run's values: 0, 1 + class, 255.

    Classes that the run does not use become 255, the ignore index.

    Raises:
        AepslError: if the mask is corrupt, or was modified after it was indexed.
    """
    values = (
        decode_mask(entry.png) if entry.png else read_mask(root / entry.path, sha256=entry.sha256)
    )
    table = np.full(256, IGNORE_INDEX, np.uint8)
    table[0] = 0
    for number, value in enumerate(truth.mask_values):
        table[value] = 1 + number
    return cv2.LUT(values, table)  # several times as fast as indexing
