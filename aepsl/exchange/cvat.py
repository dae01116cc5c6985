"""CVAT's "Segmentation mask 1.1": coloured masks, and the list of labels with their colours."""

from __future__ import annotations

import zipfile
from pathlib import Path, PurePath

import numpy as np
from PIL import Image

from aepsl.console import tracked
from aepsl.data.images import voc_palette
from aepsl.errors import AepslError
from aepsl.exchange import labelmap
from aepsl.exchange.correction_files import CVAT_FOLDER, LABELMAP
from aepsl.exchange.labelled import Labelled
from aepsl.masks import IGNORED_NAME
from aepsl.stores.atomic import write_json, write_text

ARCHIVE = "upload.zip"
START_OF_TIME = (1980, 1, 1, 0, 0, 0)
"""The earliest time that a ZIP archive can state: equal masks give equal bytes."""


def write_cvat(labelled: Labelled, folder: Path) -> None:
    """Write the masks, ``upload.zip`` with them, and ``labels.json`` for a new project in CVAT.

    Ignored pixels have the label ``ignored``.

    Raises:
        AepslError: if the list of labels cannot hold the name of a class.
    """
    for name in labelled.class_names:
        if ":" in name or name.startswith("#") or name == IGNORED_NAME:
            what = f"CVAT's list of labels cannot hold the class name {name!r}"
            hint = "no colon, no # in front"
            if name == IGNORED_NAME:
                hint = "ignored pixels have this label"
            raise AepslError.of("data.class_names", what, f"rename it: {hint}")
    write_text(folder / LABELMAP, labelmap.labelmap(labelled.class_names))
    names = [PurePath(place).with_suffix("").as_posix() for place in labelled.places()]
    listing = folder / "ImageSets" / "Segmentation" / "default.txt"
    write_text(listing, "".join(f"{name}\n" for name in names))
    palette = voc_palette()
    progress = tracked(labelled.images, total=len(labelled.images), what="cvat")
    for image, name in zip(progress, names, strict=True):
        file = folder / CVAT_FOLDER / f"{name}.png"
        file.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.take(palette, image.mask(), axis=0)).save(file)
    _pack(folder)
    colours = labelmap.palette(labelled.class_names)
    labels = [
        {"name": name, "color": "#{:02x}{:02x}{:02x}".format(*colour), "attributes": []}
        for colour, name in colours.items()
        if any(colour)
    ]
    write_json(folder / "labels.json", labels)


def _pack(folder: Path) -> None:
    """Pack all files of a folder into an archive in it."""
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    with zipfile.ZipFile(folder / ARCHIVE, "w", zipfile.ZIP_DEFLATED) as archive:
        for file in files:
            entry = zipfile.ZipInfo(file.relative_to(folder).as_posix(), START_OF_TIME)
            entry.compress_type = zipfile.ZIP_DEFLATED
            archive.writestr(entry, file.read_bytes())
