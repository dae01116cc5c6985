"""Colours of classes that people with a colour vision deficiency can tell apart."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

_OKABE_ITO = (
    (230, 159, 0),
    (86, 180, 233),
    (0, 158, 115),
    (240, 228, 66),
    (0, 114, 178),
    (213, 94, 0),
    (204, 121, 167),
)
"""The colours of Okabe and Ito (2008), without black."""

_LIGHTNESS = (1.0, 0.6, 1.45)
"""Factors of the first, second and third use of a colour; then they start again."""


def safe_palette(classes: int) -> NDArray[np.uint8]:
    """Return a (classes, 3) palette; after seven classes the colours return darker, then lighter.

    The first colour, of the background, is black.

    >>> safe_palette(3).tolist()
    [[0, 0, 0], [230, 159, 0], [86, 180, 233]]
    """
    colours = np.zeros((classes, 3))
    for number in range(1, classes):
        use, colour = divmod(number - 1, len(_OKABE_ITO))
        base, factor = np.array(_OKABE_ITO[colour]), _LIGHTNESS[use % len(_LIGHTNESS)]
        colours[number] = base * factor if factor <= 1 else 255 - (255 - base) / factor**2
    return colours.round().astype(np.uint8)
