"""Photographs with the masks that a run gave them: pseudo-labels or predictions."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import ExifTags, Image, ImageOps, UnidentifiedImageError

from aepsl.errors import AepslError
from aepsl.stores.manifests import ImageEntry, ImageManifest, read_images
from aepsl.stores.records import Store

SPLITS = {"train": "train", "eval": "val"}
"""Name of a split in other tools, by its role."""


@dataclass(frozen=True)
class LabelledImage:
    """A photograph whose mask is in a store."""

    entry: ImageEntry
    split: str
    """``train`` or ``val``."""
    store: Store

    def mask(self) -> NDArray[np.uint8]:
        """Return the (height, width) mask: 0 background, 1 + class, 255 ignored."""
        return self.store[self.entry.id].arrays["mask"]


@dataclass(frozen=True)
class Labelled:
    """All that is exported."""

    class_names: tuple[str, ...]
    """Class k has the value k + 1."""
    images: tuple[LabelledImage, ...]
    root: Path | None
    """Folder of the dataset; None if no photograph is needed."""
    copy: bool = False
    """Whether photographs are copied instead of linked."""

    def put_photograph(self, image: LabelledImage, target: Path) -> None:
        """Put a photograph into an exported folder, as a link or a copy.

        One that its EXIF data turn is written upright, like its mask: many readers ignore EXIF.

        Raises:
            AepslError: if the dataset's folder is unknown, or does not have it.
        """
        if self.root is None:
            what = "is not set, but this format has the photographs beside the masks"
            raise AepslError.of("--root", what, "set it to the folder of the dataset: data.root")
        source = (self.root / image.entry.path).resolve()
        if not source.is_file():
            raise AepslError.of(source, "there is no such photograph", "set --root to data.root")
        target.parent.mkdir(parents=True, exist_ok=True)
        if _written_upright(source, target):
            return
        if self.copy:
            shutil.copyfile(source, target)
        else:
            target.symlink_to(source)

    def places(self) -> list[str]:
        """Return the path of each photograph from the folder in which all of them lie."""
        return places_of([image.entry.path for image in self.images])


def places_of(paths: Sequence[str]) -> list[str]:
    """Return each path from the folder in which all of them lie."""
    top = os.path.commonpath([os.path.dirname(path) for path in paths]) if paths else ""  # noqa: PTH120
    return [os.path.relpath(path, top or ".") for path in paths]


def _written_upright(source: Path, target: Path) -> bool:
    """Write a photograph upright if its EXIF data turn it; return whether they do."""
    try:
        with Image.open(source) as photograph:
            if photograph.getexif().get(ExifTags.Base.Orientation, 1) == 1:
                return False
            upright = ImageOps.exif_transpose(photograph)
            upright.save(target, format=photograph.format, quality=95)
            return True
    except UnidentifiedImageError:
        raise AepslError.of(source, "not a readable image format", "replace the file") from None


def open_labelled(paths: Sequence[Path], *, root: Path | None, copy: bool = False) -> Labelled:
    """Open the masks of one or more stores, with the photographs that their runs indexed.

    Args:
        paths: folders of stores, or manifests in them.
        root: folder of the dataset, for formats that have the photographs beside the masks.
        copy: whether photographs are copied instead of linked.

    Raises:
        AepslError: if a store holds no masks, its photographs are not found, or two stores hold the
            same image or other classes.
    """
    images: dict[str, LabelledImage] = {}
    class_names: tuple[str, ...] | None = None
    for manifests in _stores(paths):
        store = Store(manifests, kind=None)
        folder, facts = manifests[0].parent, store.facts()
        if facts.get("kind") not in ("labels", "predictions"):
            what = f"holds no masks, but {facts.get('kind', 'nothing')}"
            raise AepslError.of(folder, what, "name a store of labels or predictions")
        split, manifest = _photographs(folder, store)
        if class_names not in (None, manifest.class_names):
            raise AepslError.of(folder, "has other classes", "export the stores one by one")
        class_names = manifest.class_names
        for entry in manifest.images:
            if entry.id in images:
                what = f"image {entry.id} is in another store, too"
                raise AepslError.of(folder, what, "export the stores one by one")
            if entry.id in store:
                images[entry.id] = LabelledImage(entry, split, store)
    if not images or class_names is None:
        raise AepslError.of(paths[0], "holds no mask", "name a store of labels or predictions")
    return Labelled(class_names, tuple(images.values()), root, copy)


def _stores(paths: Sequence[Path]) -> Iterator[list[Path]]:
    """Yield the manifests of each store that one of the paths names."""
    hint = "name the folder of a store: results/<run>/labels/main"
    for path in paths:
        if not path.exists():
            raise AepslError.of(path, "does not exist", hint)
    for folder in dict.fromkeys(path if path.is_dir() else path.parent for path in paths):
        manifests = sorted(folder.glob("*.json"))
        if not manifests:
            raise AepslError.of(folder, "there is no store in it", hint)
        yield manifests


def _photographs(folder: Path, store: Store) -> tuple[str, ImageManifest]:
    """Return split and manifest of the photographs that the run of a store indexed."""
    first = "train" if store.facts()["kind"] == "labels" else "eval"
    for above in folder.resolve().parents:
        for role in sorted(SPLITS, key=lambda role: role != first):
            for path in sorted(above.glob(f"{role}_images/*/manifest.jsonl")):
                manifest = read_images(path)
                names = list(manifest.class_names)
                if names == list(store.facts()["class_names"]) and set(store.ids()) <= {
                    image.id for image in manifest.images
                }:
                    return SPLITS[role], manifest
    hint = "keep the store inside of its run: results/<run>/labels/main"
    raise AepslError.of(folder, "the list of its photographs is not found", hint)
