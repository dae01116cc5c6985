"""COCO's JSON: images and their annotations. Plans read it, so this module imports no numpy."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path, PurePath
from typing import Any

from aepsl.data.names import normalised
from aepsl.text import parsing, read_json


@dataclass(frozen=True)
class Annotation:
    """One annotated object, or a crowd of them."""

    category: str
    segmentation: Any
    """COCO's polygons, ``[[x, y, x, y, ...], ...]``, or run lengths, ``{size, counts}``."""
    crowd: bool = False


@dataclass(frozen=True)
class AnnotatedImage:
    """An image of a COCO file; its segmentations, if it has them, describe its mask."""

    file: Path
    """The JSON file."""
    name: str
    """The photograph, as the file calls it."""
    annotations: tuple[Annotation, ...]

    def row(self) -> list[Any]:
        """Return what decides the mask, as JSON values."""
        return [[a.category, a.segmentation, a.crowd] for a in self.annotations]


def read_annotations(file: Path) -> list[AnnotatedImage]:
    """Return the images of a COCO file with their annotations, in the file's order.

    Raises:
        AepslError: if the file is not in COCO's layout.
    """
    content = read_json(file)
    with parsing(file, "COCO's layout", "images, annotations and categories, whose ids agree"):
        names = {row["id"]: normalised(str(row["name"]).strip()) for row in content["categories"]}
        annotations: dict[Any, list[Annotation]] = {row["id"]: [] for row in content["images"]}
        for row in content["annotations"]:
            annotations[row["image_id"]].append(
                Annotation(
                    names[row["category_id"]], row.get("segmentation"), bool(row.get("iscrowd"))
                )
            )
        if any(not PurePath(str(row["file_name"])).name for row in content["images"]):
            raise ValueError("an image without a file_name")
        return [
            AnnotatedImage(file, str(row["file_name"]), tuple(annotations[row["id"]]))
            for row in content["images"]
        ]
