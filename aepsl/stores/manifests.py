"""Dataset manifests: one for the photographs and labels of a split, one for its true masks.

Each image is one line, so that a job reads only its shard. Paths are relative to the dataset's
folder, which may be moved.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray
from pydantic import Base64Bytes, TypeAdapter

from aepsl.errors import AepslError
from aepsl.stores.atomic import validated, validated_lines
from aepsl.stores.jsonl import read_jsonl, write_jsonl

SCHEMA = 4


@dataclass(frozen=True)
class ImageEntry:
    """One photograph."""

    id: str
    path: str
    """Relative to the dataset's folder."""
    height: int
    width: int
    rgb_sum: tuple[int, int, int]
    """Sum of the values, 0..255, over all pixels."""
    sha256: str
    labels: tuple[str, ...]


@dataclass(frozen=True)
class ImageManifest:
    """The checked photographs of one split."""

    split: str
    """Name of the split in the dataset."""
    class_names: tuple[str, ...]
    """The classes of the run, without background."""
    mean_pixel: tuple[int, int, int]
    """Mean RGB over all images, 0..255."""
    images: tuple[ImageEntry, ...]

    def digest(self) -> str:
        """Return a digest of the photographs' content and labels, independent of paths."""
        digest = hashlib.sha256(json.dumps([self.class_names, self.mean_pixel]).encode())
        for image in self.images:
            digest.update(json.dumps([image.id, image.sha256, image.labels]).encode())
        return digest.hexdigest()

    def evenly_spaced(self, limit: int | None) -> Sequence[ImageEntry]:
        """Return ``limit`` evenly spaced images, or all if there are no more or it is None."""
        count = len(self.images)
        if limit is None or limit >= count:
            return self.images
        return [self.images[count * number // limit] for number in range(limit)]

    def label_numbers(self, image: ImageEntry) -> list[int]:
        """Return the sorted class indices of an image, from 0."""
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
    """Relative to the dataset's folder: the mask, or the file that describes it."""
    height: int
    width: int
    sha256: str
    """Of the mask's file, or of ``png``."""
    png: Base64Bytes = b""
    """The mask, if the dataset describes it otherwise than as a PNG of its own."""


@dataclass(frozen=True)
class TruthManifest:
    """The true masks of one split; images without a mask are absent."""

    split: str
    class_names: tuple[str, ...]
    mask_values: tuple[int, ...]
    """Pixel value of each class in the mask files."""
    masks: tuple[MaskEntry, ...]


M = TypeVar("M", ImageManifest, TruthManifest)


ENTRIES: dict[type[Any], tuple[str, type[Any]]] = {
    ImageManifest: ("images", ImageEntry),
    TruthManifest: ("masks", MaskEntry),
}
"""Field name and type of the entries of each manifest."""


def write_manifest(path: Path, manifest: ImageManifest | TruthManifest) -> None:
    """Write a manifest, atomically."""
    name, entry = ENTRIES[type(manifest)]
    about = {"schema": SCHEMA, "kind": type(manifest).__name__, **vars(manifest)}
    entries = about.pop(name)
    write_jsonl(path, about, map(TypeAdapter(entry).dump_json, entries))


def _read(path: Path, kind: type[M], *, shard: int = 0, shards: int = 1) -> M:
    about, lines = read_jsonl(path, shard=shard, shards=shards)
    if (about.pop("schema", None), about.pop("kind", None)) != (SCHEMA, kind.__name__):
        what = f"not a {kind.__name__} of this version"
        raise AepslError.of(path, what, "remove it and run its stage again")
    name, entry = ENTRIES[kind]
    return validated(path, kind, {**about, name: validated_lines(path, entry, lines)})


def read_images(path: Path, *, shard: int = 0, shards: int = 1) -> ImageManifest:
    """Read the photographs of one shard from a manifest.

    Raises:
        AepslError: if the manifest is missing, modified, or of another version.
    """
    return _read(path, ImageManifest, shard=shard, shards=shards)


def read_truth(path: Path) -> TruthManifest:
    """Read all true masks from a manifest; see :func:`read_images`."""
    return _read(path, TruthManifest)
