"""A catalogue: the photographs of a folder with their labels, splits and true masks.

A reader in :mod:`aepsl.data.readers` makes one from a layout that people have.
"""

from __future__ import annotations

import hashlib
import os
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from aepsl.data.coco import AnnotatedImage
from aepsl.data.names import IMAGE_SUFFIXES, cleaned_path, id_of, is_safe_file_name, normalised
from aepsl.errors import AepslError, Problem

SPLIT_NAMES = {
    "train": ("train", "training"),
    "val": ("val", "valid", "validation", "eval", "dev", "test", "testing"),
}
"""Names that people give to the two splits."""


@dataclass(frozen=True)
class Item:
    """One photograph."""

    path: Path
    labels: tuple[str, ...] | None
    """Names of its classes: none of them for background only; None if it has no label."""
    split: str | None = None
    """Name of its split; None if the dataset does not say."""
    mask: Path | AnnotatedImage | None = None
    """Its true mask, if the dataset names or describes one."""


@dataclass(frozen=True)
class Catalogue:
    """The photographs of a dataset by id, and the problems found in its files."""

    items: Mapping[str, Item]
    problems: tuple[Problem, ...] = ()

    def splits(self) -> list[str]:
        """Return the names of the splits that the dataset gives."""
        return sorted({item.split for item in self.items.values() if item.split})


def image_paths(root: Path, *, without: Iterable[Path] = ()) -> Iterator[Path]:
    """Yield the image files below a folder in order; hidden files and folders are skipped.

    Args:
        root: the folder.
        without: folders to leave out, such as the one of the true masks.
    """
    left_out = {path.absolute() for path in without}
    for folder, folders, files in os.walk(root):
        here = Path(folder)
        folders[:] = sorted(
            f for f in folders if f[0] != "." and (here / f).absolute() not in left_out
        )
        yield from (
            here / name
            for name in sorted(files)
            if name[0] != "." and Path(name).suffix.lower() in IMAGE_SUFFIXES
        )


class FileIndex:
    """The image files of a folder, found by what a table calls them."""

    def __init__(self, root: Path, *, without: Iterable[Path] = ()) -> None:
        self.root = root
        self._named: dict[str, list[Path]] = defaultdict(list)
        for path in image_paths(root, without=without):
            relative = path.relative_to(root)
            for name in {
                relative.as_posix(),
                relative.with_suffix("").as_posix(),
                relative.name,
                relative.stem,
            }:
                self._named[normalised(name)].append(path)

    def find(self, name: str, *, folder: Path | None = None) -> Path | Problem:
        """Return the file that ``name`` means, or what is wrong with it.

        Args:
            name: a path relative to ``folder`` or to the root, with or without suffix; or a file
                name that occurs once below the root.
            folder: the folder of the table.
        """
        name = cleaned_path(name)
        inside = folder.relative_to(self.root).as_posix() if folder else "."
        tries = [name] if inside == "." else [f"{inside}/{name}", name]
        for text in (*tries, Path(name).name):
            files = self._named.get(text, [])
            if len(files) == 1:
                return files[0]
            if exact := [
                p for p in files if normalised(p.relative_to(self.root).as_posix()) == text
            ]:
                return exact[0]
            if files:
                what = f"may mean {len(files)} files, for instance {files[0]} and {files[1]}"
                return Problem(name, what, "write the path from the dataset's folder")
        return Problem(name, f"no such photograph in {self.root}", "add it, or remove its row")


@dataclass
class Collected:
    """Items while a reader collects them, with one problem for each that cannot be used."""

    root: Path
    items: dict[str, Item] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)

    def add(self, item: Item) -> None:
        """Add a photograph; one that has the id of another is a problem."""
        image_id = id_of(item.path.relative_to(self.root))
        if not is_safe_file_name(image_id):
            hint = "rename the file: at most 240 bytes, printable characters"
            self.problems.append(Problem(str(item.path), "not a usable file name", hint))
        elif image_id in self.items:
            other = self.items[image_id].path
            same = other == item.path
            what = "is listed twice" if same else f"has the same name as {other} but for its suffix"
            hint = "keep one row per photograph" if same else "rename one of them"
            self.problems.append(Problem(str(item.path), what, hint))
        else:
            self.items[image_id] = item

    def catalogue(self) -> Catalogue:
        """Return what was collected, ordered by id."""
        if not self.items and not self.problems:
            hint = f"set data.root to a folder with {', '.join(IMAGE_SUFFIXES)} files"
            raise AepslError.of(self.root, "there is no photograph in it", hint)
        ordered = {image_id: self.items[image_id] for image_id in sorted(self.items)}
        return Catalogue(ordered, tuple(self.problems))


def _order(seed: int, image_id: str) -> bytes:
    return hashlib.sha256(f"{seed} {image_id}".encode()).digest()


def with_drawn_splits(
    catalogue: Catalogue, *, fraction: float, seed: int, train: str, val: str
) -> Catalogue:
    """Return the catalogue with a split for each photograph, drawn where none is given.

    The rarest class of a photograph decides: of each class's photographs, ``fraction`` go to
    ``val``, and at least one if there are two. The draw depends on the seed and on the ids alone,
    so a new photograph moves few others. A photograph without a label goes to ``val``.

    Args:
        catalogue: the photographs; if one has a split, nothing is drawn.
        fraction: share of the photographs that are drawn for ``val``, 0..1.
        seed: seed of the draw.
        train: name of the training split.
        val: name of the other split.
    """
    if catalogue.splits():
        return catalogue
    labelled = {i: item.labels for i, item in catalogue.items.items() if item.labels is not None}
    counts = Counter(name for labels in labelled.values() for name in labels)
    strata: dict[str, list[str]] = defaultdict(list)
    for image_id, labels in labelled.items():
        strata[min(labels, key=lambda name: (counts[name], name), default="")].append(image_id)
    drawn = {image_id for image_id in catalogue.items if image_id not in labelled}
    for ids in strata.values():
        count = round(fraction * len(ids))
        if fraction and len(ids) > 1:
            count = min(max(count, 1), len(ids) - 1)
        drawn |= set(sorted(ids, key=lambda i: _order(seed, i))[:count])
    items = {
        image_id: replace(item, split=val if image_id in drawn else train)
        for image_id, item in catalogue.items.items()
    }
    return replace(catalogue, items=items)
