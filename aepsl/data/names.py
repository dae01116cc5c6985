"""Names of images and classes: in files, in tables, as ids."""

from __future__ import annotations

import json
import unicodedata
from collections.abc import Collection
from pathlib import PurePath

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


def split_cell(cell: str, *, class_names: Collection[str] = ()) -> list[str]:
    """Return the labels in a cell: a JSON list, or names between ``|``, ``;``, ``,`` or spaces.

    >>> split_cell("dining table; cat")
    ['dining table', 'cat']
    >>> split_cell("dining table", class_names=["dining table"])
    ['dining table']
    """
    cell = normalised(cell.strip())
    if cell.startswith("["):
        try:
            return [str(name) for name in json.loads(cell.replace("'", '"'))]
        except ValueError:
            cell = cell.strip("[]")
    if cell in class_names:
        return [cell]
    separator = next((s for s in "|;," if s in cell), None)
    return [part.strip() for part in cell.split(separator) if part.strip()]
