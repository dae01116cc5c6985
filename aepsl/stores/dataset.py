"""Manifests of a dataset: the photographs of one split with their labels; its true masks, apart.

An entry a line, so that a job reads those of its shard. Paths are relative to the dataset's folder,
so that it may be moved.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray
from pydantic import TypeAdapter

from aepsl.errors import AepslError
from aepsl.stores.atomic import checked, checked_lines
from aepsl.stores.tables import read_table, write_table

SCHEMA = 4


@dataclass(frozen=True)
class ImageEntry:
    """One photograph."""

    id: str
    path: str
    height: int
    width: int
    rgb_sum: tuple[int, int, int]
    """Over all its pixels, 0..255 each."""
    sha256: str
    labels: tuple[str, ...]


@dataclass(frozen=True)
class ImageManifest:
    """The photographs of one split, complete and checked."""

    split: str
    """Its name in the dataset."""
    class_names: tuple[str, ...]
    """The classes of the run, background not counted."""
    mean_pixel: tuple[int, int, int]
    """RGB, 0..255, over all its images."""
    images: tuple[ImageEntry, ...]

    def digest(self) -> str:
        """Return a digest of what they show, wherever the files lie."""
        digest = hashlib.sha256(json.dumps([self.class_names, self.mean_pixel]).encode())
        for image in self.images:
            digest.update(json.dumps([image.id, image.sha256, image.labels]).encode())
        return digest.hexdigest()

    def label_numbers(self, image: ImageEntry) -> list[int]:
        """Return the numbers of the image's classes, from 0, ascending."""
        return sorted(self.class_names.index(name) for name in image.labels)

    def label_matrix(self, images: Sequence[ImageEntry]) -> NDArray[np.float32]:
        """Return the (n, classes) labels of ``images``, 0 or 1."""
        labels = np.zeros((len(images), len(self.class_names)), np.float32)
        for row, image in zip(labels, images, strict=True):
            row[self.label_numbers(image)] = 1
        return labels


@dataclass(frozen=True)
class MaskEntry:
    """The true mask of one photograph."""

    id: str
    path: str
    height: int
    width: int
    sha256: str


@dataclass(frozen=True)
class TruthManifest:
    """The true masks of one split, of those images that have one."""

    split: str
    class_names: tuple[str, ...]
    mask_values: tuple[int, ...]
    """The value of each class in the masks."""
    masks: tuple[MaskEntry, ...]


M = TypeVar("M", ImageManifest, TruthManifest)


ENTRIES: dict[type[Any], tuple[str, type[Any]]] = {
    ImageManifest: ("images", ImageEntry),
    TruthManifest: ("masks", MaskEntry),
}
"""Of each manifest, what its entries are called, and what they are."""


def write_manifest(path: Path, manifest: ImageManifest | TruthManifest) -> None:
    """Write a manifest, all or nothing."""
    name, entry = ENTRIES[type(manifest)]
    about = {"schema": SCHEMA, "kind": type(manifest).__name__, **vars(manifest)}
    entries = about.pop(name)
    write_table(path, about, map(TypeAdapter(entry).dump_json, entries))


def _read(path: Path, kind: type[M], *, root: Path, shard: int = 0, shards: int = 1) -> M:
    about, lines = read_table(path, shard=shard, shards=shards)
    if (about.pop("schema", None), about.pop("kind", None)) != (SCHEMA, kind.__name__):
        what = f"not a {kind.__name__} of this version"
        raise AepslError.of(path, what, "remove it and run its stage again")
    name, entry = ENTRIES[kind]
    entries = [replace(e, path=str(root / e.path)) for e in checked_lines(path, entry, lines)]
    return checked(path, kind, {**about, name: entries})


def read_images(path: Path, *, root: Path, shard: int = 0, shards: int = 1) -> ImageManifest:
    """Return the photographs of one shard in a manifest, their paths in the dataset's ``root``.

    Raises:
        AepslError: if it is absent, changed, or of another version.
    """
    return _read(path, ImageManifest, root=root, shard=shard, shards=shards)


def read_truth(path: Path, *, root: Path) -> TruthManifest:
    """Return the masks in a manifest; see :func:`read_images`."""
    return _read(path, TruthManifest, root=root)
