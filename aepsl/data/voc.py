"""PASCAL VOC's folders: JPEGImages, ImageSets/Segmentation, SegmentationClass, Annotations."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from aepsl.config.data import VOC_BY_NAME
from aepsl.data.names import IMAGE_SUFFIXES, is_safe_file_name, split_cell
from aepsl.errors import AepslError, Problem
from aepsl.text import parse_csv, parse_xml, read_bytes, read_text

Labels = dict[str, tuple[str, ...]]


def check_folder(root: Path) -> None:
    """Check that a folder has VOC's layout.

    Raises:
        AepslError: if the folder or its JPEGImages is missing.
    """
    if not (root / "JPEGImages").is_dir():
        what = "there is no folder JPEGImages in it" if root.is_dir() else "no such folder"
        raise AepslError.of(
            root,
            what,
            "set data.root to a folder in VOC's layout (docs/own-data.md, 'Layouts');"
            " aepsl fetch-voc downloads PASCAL VOC",
        )


def _printable(image_id: str) -> str:
    """Return a printable, shortened form of an id."""
    return repr(image_id[:80])[1:-1]


SPLITS = Path(__file__).with_name("splits")
"""Lists of images of PASCAL VOC 2012 that presets use and VOC itself does not have."""


def split_file(root: Path, split: str) -> Path:
    """Return the path of a split's file, which lists its images.

    It is in the dataset, or else in :data:`SPLITS`.
    """
    own, ours = root / "ImageSets" / "Segmentation" / f"{split}.txt", SPLITS / f"{split}.txt"
    return ours if ours.exists() and not own.exists() else own


def read_split(root: Path, split: str) -> list[str]:
    """Return the image ids of one split, in the file's order.

    Raises:
        AepslError: if the file is missing or empty; else listing duplicate and unsafe ids.
    """
    path = split_file(root, split)
    hint = "" if path.exists() else _which_splits(path.parent)
    lines = read_text(path, absent=hint).splitlines()
    ids = [line.split()[0] for line in lines if line.strip()]
    problems = []
    for image_id, times in Counter(ids).items():
        if not is_safe_file_name(image_id):
            is_path = image_id in (".", "..") or {"/", "\\"} & set(image_id)
            what = "an id that is a path" if is_path else "an id that is not a valid file name"
            problems.append(Problem(f"{path}: {_printable(image_id)}", what, "use the file's name"))
        if times > 1:
            problems.append(Problem(f"{path}: {image_id}", "listed twice", "remove one line"))
    if not ids:
        problems.append(Problem(str(path), "the split is empty", "one image id per line"))
    if problems:
        raise AepslError(problems)
    return ids


def _which_splits(folder: Path) -> str:
    """Return a hint: how to write a split, and the names of those that exist."""
    there, ours = (sorted(path.stem for path in place.glob("*.txt")) for place in (folder, SPLITS))
    return (
        f"one image id per line, no suffix; there are {', '.join(there) or 'none'},"
        f" and of PASCAL VOC 2012 {', '.join(ours)}"
    )


def shared_folder() -> Path:
    """Return the folder of this user's downloads: ``aepsl`` in ``~/.cache``."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache", "aepsl")


def root_of(name: str) -> Path:
    """Return the folder that ``data.root`` names; ``VOC2012`` is in :func:`shared_folder`."""
    downloaded = shared_folder() / "VOCdevkit" / "VOC2012"
    return downloaded if name == VOC_BY_NAME else Path(name)


def image_files(root: Path) -> dict[str, Path]:
    """Return the files in JPEGImages by image id (the file name without its suffix).

    Raises:
        AepslError: if the folder does not exist.
    """
    check_folder(root)
    files = sorted((root / "JPEGImages").iterdir())
    return {path.stem: path for path in files if path.suffix.lower() in IMAGE_SUFFIXES}


@dataclass
class LabelSource:
    """Image labels of a dataset, and the problems found in their files."""

    of: Callable[[str], tuple[str, ...] | None]
    """Function from image id to labels; None for an image without an entry."""
    problems: list[Problem] = field(default_factory=list)


def labels_from_xml(root: Path) -> LabelSource:
    """Read image labels from the boxes in Annotations/<id>.xml, lazily."""
    source = LabelSource(of=lambda image_id: read(root / "Annotations" / f"{image_id}.xml"))

    def read(path: Path) -> tuple[str, ...] | None:
        if not path.exists():
            return None
        hint = "replace it with the dataset's own file"
        try:
            boxes = parse_xml(read_bytes(path), path, hint=hint).iter("object")
            return _unique(box.findtext("name", "").strip() for box in boxes)
        except AepslError as error:
            source.problems += error.problems
        return None

    return source


def labels_from_csv(
    path: Path, *, known_images: Iterable[str], class_names: Iterable[str] = ()
) -> LabelSource:
    """Read labels from a CSV with a header and the columns ``image`` and ``labels``.

    ``labels`` holds class names; see :func:`aepsl.data.names.split_cell`. Rows of images that are
    not in ``known_images``, and images with two rows, are reported as problems.

    Raises:
        AepslError: if the file is missing, is not a valid CSV, or has no such header.
    """
    text = read_text(path, absent="set data.labels_csv to the file of labels")
    header, rows = parse_csv(text, path, hint="save it as CSV in UTF-8: image,labels")
    if not {"image", "labels"} <= set(header):
        raise AepslError.of(path, "no columns image, labels", "make 'image,labels' line 1")
    labels: Labels = {}
    source = LabelSource(of=labels.get)
    known, names = set(known_images), set(class_names)
    for line, row in rows:
        where, image_id = f"{path}:{line}", row["image"] or ""
        name = _printable(image_id)
        if image_id in labels:
            hint = "keep one row per image, its labels separated by spaces"
            source.problems.append(Problem(where, f"{name} has two rows", hint))
        if image_id not in known:
            hint = "remove the row, or put the image into JPEGImages"
            source.problems.append(Problem(where, f"image {name} does not exist", hint))
        cell = row["labels"] or ""
        labels[image_id] = _unique(split_cell(cell, where=where, class_names=names))
    return source


def labels_from_masks(mask: Callable[[str], Path], *, class_names: Sequence[str]) -> LabelSource:
    """Read image labels from the values of true masks, lazily: the classes that a mask shows.

    Args:
        mask: function from image id to its mask; the file may not exist.
        class_names: class k has the value k + 1.
    """
    from aepsl.data.images import values_in

    source = LabelSource(of=lambda image_id: read(mask(image_id)))

    def read(path: Path) -> tuple[str, ...] | None:
        if not path.exists():
            return None
        try:
            values = values_in(path)
        except AepslError as error:
            source.problems += error.problems
            return None
        return tuple(class_names[v - 1] for v in values if 0 < v <= len(class_names))

    return source


def _unique(names: Iterable[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(name for name in names if name))
