"""The pixels of indexed photographs."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from aepsl.data.images import read_image
from aepsl.stores.manifests import ImageEntry


def photograph(image: ImageEntry, *, root: Path) -> NDArray[np.uint8]:
    """Return an indexed photograph as (height, width, 3) RGB, 0..255; see :func:`read_image`.

    Args:
        image: the photograph's entry in the manifest.
        root: the dataset's folder.

    Raises:
        AepslError: if the photograph is unreadable, or was modified after indexing.
    """
    return read_image(root / image.path, sha256=image.sha256)
