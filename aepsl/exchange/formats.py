"""The formats that masks are exported in.

A format is a function that writes a folder, and an entry in :data:`FORMATS`.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from aepsl.console import tracked
from aepsl.data.images import write_mask
from aepsl.errors import AepslError
from aepsl.exchange.coco import write_coco
from aepsl.exchange.cvat import write_cvat
from aepsl.exchange.labelled import Labelled
from aepsl.exchange.labelstudio import write_label_studio
from aepsl.exchange.mmseg import write_mmseg
from aepsl.exchange.yolo import write_yolo
from aepsl.stores.atomic import atomic_folder


def write_png(labelled: Labelled, folder: Path) -> None:
    """Write ``<image id>.png``: the values of classes, with VOC's palette."""
    for image in tracked(labelled.images, total=len(labelled.images), what="png"):
        write_mask(folder / f"{image.entry.id}.png", image.mask())


FORMATS: dict[str, Callable[[Labelled, Path], None]] = {
    "png": write_png,
    "coco": write_coco,
    "yolo": write_yolo,
    "cvat": write_cvat,
    "labelstudio": write_label_studio,
    "mmseg": write_mmseg,
}
"""Functions that write labelled photographs into an empty folder, by the format's name."""


def export(labelled: Labelled, folder: Path, *, format_name: str) -> None:
    """Write labelled photographs in a format of :data:`FORMATS`; the folder appears when complete.

    Raises:
        AepslError: if the format is unknown, the folder exists, or the format cannot hold a name.
    """
    if format_name not in FORMATS:
        raise AepslError.of("--format", f"{format_name} is unknown", f"one of {', '.join(FORMATS)}")
    if folder.exists():
        raise AepslError.of(folder, "exists", "remove it, or name another folder")
    with atomic_folder(folder) as temporary:
        FORMATS[format_name](labelled, temporary)
