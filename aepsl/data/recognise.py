"""Recognise the layout of a folder of photographs."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from aepsl.config.data import VOC_CLASSES
from aepsl.data import voc
from aepsl.data.catalogue import SPLIT_NAMES, Catalogue, Item, image_paths
from aepsl.data.images import header_of
from aepsl.data.readers import READERS, Layout
from aepsl.errors import AepslError
from aepsl.text import read_json

MASK_FOLDERS = ("masks", "mask", "SegmentationClass", "segmentation", "ground_truth", "gt")
"""Usual names of the folder of true masks."""

_SPLIT = re.compile(
    r"(?<![a-z])(" + "|".join(n for names in SPLIT_NAMES.values() for n in names) + r")(?![a-z])"
)


@dataclass(frozen=True)
class Recognised:
    """A dataset as the section ``data`` describes it, and its photographs."""

    settings: dict[str, Any]
    catalogue: Catalogue

    @cached_property
    def counts(self) -> Counter[str]:
        """Number of photographs of each class."""
        labels = (item.labels or () for item in self.catalogue.items.values())
        return Counter(name for names in labels for name in names)

    @property
    def shows_nothing(self) -> int:
        """Number of photographs that show background only."""
        return sum(item.labels == () for item in self.catalogue.items.values())

    @property
    def unlabelled(self) -> int:
        """Number of photographs without a label."""
        return sum(item.labels is None for item in self.catalogue.items.values())


def recognise(root: Path) -> Recognised:
    """Return the dataset in a folder: which layout it has, its classes, its true masks.

    Tries PASCAL VOC's folders, Hugging Face's metadata, COCO's JSON, a table, and one folder per
    class, in this order.

    Raises:
        AepslError: if there is no photograph, or no label of any.
    """
    if not root.is_dir():
        raise AepslError.of(root, "no such folder", "name the folder of your photographs")
    if (root / "JPEGImages").is_dir():
        return _voc(root)
    masks = _mask_folder(root)
    settings: dict[str, Any] = {"adapter": "folder"}
    if any(file.suffix in (".csv", ".jsonl") for file in root.rglob("metadata.*")):
        settings = {"adapter": "huggingface"}
    elif annotations := _pattern(root, filter(_is_coco, root.rglob("*.json"))):
        settings = {"adapter": "coco", "annotations": annotations}
    elif annotations := _pattern(root, (*root.rglob("*.csv"), *root.rglob("*.tsv"))):
        settings = {"adapter": "csv", "annotations": annotations}
    if masks:
        settings["mask_folder"] = masks
    layout = Layout(annotations=settings.get("annotations"), mask_folder=masks)
    dataset = Recognised(settings, READERS[settings["adapter"]](root, layout))
    if not dataset.counts:
        hint = "put the photographs of each class into a folder of its name, or add a labels.csv"
        raise AepslError.of(root, "no photograph in it has a label", hint)
    given = dataset.catalogue.splits()
    for key, names in (("train_split", SPLIT_NAMES["train"]), ("eval_split", SPLIT_NAMES["val"])):
        name = next((name for name in names if name in given), None)
        if name and name != names[0]:
            settings[key] = name
    return dataset


def _voc(root: Path) -> Recognised:
    """Return a dataset in VOC's layout; its labels come from a CSV, XML files or masks."""
    settings: dict[str, Any] = {"adapter": "voc"}
    files = voc.image_files(root)
    if tables := sorted(root.glob("*.csv")):
        settings |= {"labels": "csv", "labels_csv": str(tables[0])}
        source = voc.labels_from_csv(tables[0], known_images=files)
    elif (root / "Annotations").is_dir():
        source = voc.labels_from_xml(root)
    else:
        settings["labels"] = "masks"
        source = voc.labels_from_masks(
            lambda image_id: root / "SegmentationClass" / f"{image_id}.png",
            class_names=VOC_CLASSES,
        )
    items = {
        image_id: Item(files[image_id], source.of(image_id), split)
        for split in ("train", "val")
        for image_id in voc.read_split(root, split)
        if image_id in files
    }
    if masks := _mask_folder(root):
        settings["mask_folder"] = masks
    return Recognised(settings, Catalogue(items, tuple(source.problems)))


def _is_coco(file: Path) -> bool:
    try:
        content = read_json(file)
    except AepslError:
        return False
    return isinstance(content, dict) and {"images", "categories"} <= content.keys()


def _pattern(root: Path, files: Iterable[Path]) -> str | None:
    """Return the path of the only file, or the pattern of one file a split.

    Raises:
        AepslError: if there are several files of another kind.
    """
    names = [file.relative_to(root).as_posix() for file in files]
    patterns = sorted({_SPLIT.sub("{split}", name, count=1) for name in names})
    if len(names) == 1 or not names:
        return names[0] if names else None
    if len(patterns) == 1:
        return patterns[0]
    what = f"several files may hold the labels: {', '.join(sorted(names)[:5])}"
    raise AepslError.of(root, what, "leave one, or write data.annotations yourself")


def _mask_folder(root: Path) -> str | None:
    """Return the folder whose images are masks: its name is usual, its images have no colours."""
    for name in MASK_FOLDERS:
        first = next(image_paths(root / name), None) if (root / name).is_dir() else None
        if first and header_of(first).mode in ("P", "L", "1"):
            return name
    return None
