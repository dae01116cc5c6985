"""Opening true masks: for scoring, and for the bound that is trained on them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from aepsl.data.images import read_mask
from aepsl.errors import AepslError
from aepsl.masks import IGNORED
from aepsl.stores.dataset import DatasetManifest, ImageEntry


def true_mask(image: ImageEntry, manifest: DatasetManifest) -> NDArray[np.uint8]:
    """Return the image's true mask in the numbers of the run: 0, 1 + class, 255.

    Classes that the run does not use are void: they are neither background nor an error.

    Raises:
        AepslError: if the mask is broken or holds a value that is no class.
    """
    assert image.mask is not None
    values = read_mask(Path(image.mask))
    table = np.full(256, IGNORED, np.uint8)
    table[0] = 0
    for number, value in enumerate(manifest.mask_values):
        table[value] = 1 + number
    if values.shape != (image.height, image.width):
        raise AepslError.of(image.mask, "has changed its size", "index the dataset again")
    return table[values]
