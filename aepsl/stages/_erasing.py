"""Erase the regions of earlier steps from training images."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from aepsl.mining.erase import erase
from aepsl.stores.records import Store


@dataclass(frozen=True)
class EraseMined:
    """Paints the mean pixel over the regions mined by earlier steps."""

    regions: Store
    fill: tuple[int, int, int]

    def __call__(self, image_id: str, image: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Return the erased image I_{i,t} of the photograph I_{i,1}."""
        if not len(self.regions):
            return image  # step 1 has no earlier regions
        mined = np.any(self.regions.array(image_id, "union"), axis=0)
        return erase(image, mined, fill=self.fill)
