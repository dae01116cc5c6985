"""Colours of classes: VOC's palette, and the file in which CVAT lists its own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from aepsl.data.images import voc_palette
from aepsl.data.names import normalised
from aepsl.errors import AepslError
from aepsl.masks import BACKGROUND_NAME, IGNORE_INDEX, IGNORED_NAME
from aepsl.text import read_foreign_text

Colour = tuple[int, int, int]


def values_of(class_names: Sequence[str]) -> dict[str, int]:
    """Return the value of each class in masks, with those of background and ignored pixels."""
    names = {name: number for number, name in enumerate((BACKGROUND_NAME, *class_names))}
    return names | ({} if IGNORED_NAME in names else {IGNORED_NAME: IGNORE_INDEX})


def palette(class_names: Sequence[str]) -> dict[Colour, str]:
    """Return the name of each colour that the classes have in VOC's palette."""
    colours = voc_palette()
    return {_colour(colours[value]): name for name, value in values_of(class_names).items()}


def labelmap(class_names: Sequence[str]) -> str:
    """Return CVAT's list of labels and colours: ``name:red,green,blue:parts:actions``."""
    lines = ["# label:color_rgb:parts:actions"]
    for colour, name in palette(class_names).items():
        lines.append(f"{name}:{','.join(map(str, colour))}::")
    return "\n".join(lines) + "\n"


def read_labelmap(file: Path) -> dict[Colour, str]:
    """Return the label of each colour in CVAT's list.

    Raises:
        AepslError: if a line is not one of such a list.
    """
    labels = {}
    for number, line in enumerate(read_foreign_text(file).splitlines(), start=1):
        if not line.strip() or line.startswith("#"):
            continue
        try:
            name, numbers, *_ = line.split(":")
            red, green, blue = map(int, numbers.split(","))
        except ValueError:
            what = "not a label and its colour"
            raise AepslError.of(f"{file}:{number}", what, "name:red,green,blue::") from None
        labels[red, green, blue] = normalised(name.strip())
    return labels


def colours_in(image: NDArray[np.uint8]) -> tuple[list[Colour], NDArray[np.intp]]:
    """Return the colours of a (height, width, 3) image, and the number of each pixel's colour."""
    codes = image.astype(np.int64) @ (1 << 16, 1 << 8, 1)
    unique, numbers = np.unique(codes, return_inverse=True)
    colours = [(code >> 16, code >> 8 & 255, code & 255) for code in unique.tolist()]
    return colours, numbers.reshape(codes.shape)


def as_values(
    image: NDArray[np.uint8], names: Mapping[Colour, str], class_names: Sequence[str]
) -> NDArray[np.uint8]:
    """Return the mask of a coloured image.

    Args:
        image: (height, width, 3) RGB.
        names: name of the class that each colour means.
        class_names: class k has the value k + 1.

    Raises:
        LookupError: with the first colour that has no name, or whose name is no class.
    """
    values = values_of(class_names)
    colours, numbers = colours_in(image)
    table = np.zeros(len(colours), np.uint8)
    for number, colour in enumerate(colours):
        if colour not in names:
            raise LookupError(f"the colour {colour}, which is no class's")
        if names[colour] not in values:
            raise LookupError(f"the unknown class {names[colour]!r}")
        table[number] = values[names[colour]]
    return table[numbers]


def _colour(row: NDArray[np.uint8]) -> Colour:
    red, green, blue = row.tolist()
    return red, green, blue
