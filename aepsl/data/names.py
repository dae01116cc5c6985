"""Names of images and classes: in files, in tables, as ids."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Collection
from pathlib import Path, PurePath

from aepsl.errors import AepslError
from aepsl.text import parse_json

LONGEST_ID = 240
"""Longest image id, in bytes: id and suffix must fit in a file name."""

IMAGE_SUFFIXES = (".jpg", ".jpeg", ".png", ".bmp", ".tif", ".tiff", ".webp")


def normalised(text: str) -> str:
    """Return text in Unicode's form C: macOS writes the umlauts of file names in form D."""
    return unicodedata.normalize("NFC", text)


def cleaned_path(text: str) -> str:
    r"""Return a path that a table names, with slashes and in Unicode's form C.

    >>> cleaned_path(" .\\cats\\1.jpg")
    'cats/1.jpg'
    """
    return normalised(text.strip().replace("\\", "/").removeprefix("./"))


def is_safe_file_name(image_id: str) -> bool:
    """Return whether an id is a safe file name: short, printable, without separators."""
    return (
        image_id.isprintable()
        and image_id not in ("", ".", "..")
        and not {"/", "\\"} & set(image_id)
        and len(image_id.encode()) <= LONGEST_ID
    )


def id_of(path: PurePath) -> str:
    """Return the image id of a relative path: no suffix, ``__`` between its folders.

    >>> id_of(PurePath("cats/old/IMG 1.jpg"))
    'cats__old__IMG 1'
    """
    return "__".join(normalised(part) for part in path.with_suffix("").parts)


def split_cell(cell: str, *, where: str | Path, class_names: Collection[str] = ()) -> list[str]:
    """Return the labels in a cell: a JSON list, or names between ``|``, ``;``, ``,`` or spaces.

    >>> split_cell("dining table; cat", where="labels.csv:2")
    ['dining table', 'cat']
    >>> split_cell("dining table", where="labels.csv:2", class_names=["dining table"])
    ['dining table']

    Raises:
        AepslError: about ``where``, if brackets are not around a list of names.
    """
    cell = normalised(cell.strip())
    if cell.startswith("["):
        hint = 'write ["cat", "dog"], or cat; dog'
        try:
            return [str(name) for name in parse_json(cell.replace("'", '"'), where, hint=hint)]
        except AepslError:
            if not re.fullmatch(r"\[[^][]*\]", cell):
                raise
            cell = cell[1:-1]
    if cell in class_names:
        return [cell]
    separator = next((s for s in "|;," if s in cell), None)
    return [part.strip() for part in cell.split(separator) if part.strip()]
