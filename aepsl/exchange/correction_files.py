"""The files of corrected masks, for their digest. Plans read them: this module imports no numpy."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from aepsl.data.catalogue import image_paths
from aepsl.data.content import Digest, InputFiles

LABELMAP = "labelmap.txt"
"""CVAT's list of labels and colours."""

CVAT_FOLDER = "SegmentationClass"
"""Folder of the masks in CVAT's export, beside its list of labels and photographs."""


def masks_folder(path: Path) -> Path:
    """Return the folder of the masks: ``path``, or a folder in it if it is CVAT's export."""
    return path / CVAT_FOLDER if (path / CVAT_FOLDER).is_dir() else path


def masks_in(path: Path) -> list[Path]:
    """Return the PNGs of a folder; of CVAT's export, those that show classes."""
    return [file for file in image_paths(masks_folder(path)) if file.suffix.lower() == ".png"]


def labelmaps_above(masks: Path) -> Iterator[Path]:
    """Yield where the list of labels of a folder's masks can be: in it, or above CVAT's folder."""
    yield masks / LABELMAP
    for folder in (masks, *masks.parents):
        if folder.name == CVAT_FOLDER:
            yield folder.with_name(LABELMAP)


def corrections_content(path: Path) -> InputFiles:
    """Return the content of a folder of corrected masks, or of a COCO file, for its digest."""

    def watch() -> list[Path]:
        folders = sorted(folder for folder in path.rglob("*") if folder.is_dir())
        return [path, *folders, *labelmaps_above(masks_folder(path))]

    def rows(digest: Digest) -> Iterable[Any]:
        if not path.is_dir():
            return [digest(path)]
        masks = masks_in(path)
        folders = {mask.parent for mask in masks}
        lists = {file for folder in folders for file in labelmaps_above(folder) if file.exists()}
        files = [*masks, *sorted(lists)]
        return ([os.path.relpath(file, path), digest(file)] for file in files)

    return InputFiles(("corrections", str(path)), watch, rows)
