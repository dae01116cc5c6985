"""Manifests of a dataset: the photographs of one split with their labels; its true masks, apart.

Paths are relative to the dataset's folder, so that it may be moved.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from aepsl.errors import AepslError
from aepsl.stores.atomic import checked, read_manifest_json, write_manifest_json

SCHEMA = 3

T = TypeVar("T")


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
        about = asdict(replace(self, images=tuple(replace(i, path="") for i in self.images)))
        return hashlib.sha256(json.dumps(about).encode()).hexdigest()

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


def shard_of(images: Sequence[T], *, shard: int, shards: int) -> Sequence[T]:
    """Return part ``shard`` of ``shards``: contiguous, sizes differ by one at most."""
    bounds = [len(images) * part // shards for part in (shard, shard + 1)]
    return images[bounds[0] : bounds[1]]


def write_manifest(path: Path, manifest: ImageManifest | TruthManifest) -> None:
    """Write a manifest as JSON, all or nothing."""
    about = {"schema": SCHEMA, "kind": type(manifest).__name__}
    write_manifest_json(path, about | asdict(manifest))


def _read(path: Path, kind: type[M]) -> M:
    content = read_manifest_json(path)
    if (content.pop("schema", None), content.pop("kind", None)) != (SCHEMA, kind.__name__):
        what = f"not a {kind.__name__} of this version"
        raise AepslError.of(path, what, "remove it and run its stage again")
    return checked(path, kind, content)


def read_images(path: Path, *, root: Path) -> ImageManifest:
    """Return the photographs in a manifest, their paths in the dataset's folder ``root``.

    Raises:
        AepslError: if it is absent, changed, or of another version.
    """
    manifest = _read(path, ImageManifest)
    images = tuple(replace(image, path=str(root / image.path)) for image in manifest.images)
    return replace(manifest, images=images)


def read_truth(path: Path, *, root: Path) -> TruthManifest:
    """Return the masks in a manifest; see :func:`read_images`."""
    manifest = _read(path, TruthManifest)
    masks = tuple(replace(mask, path=str(root / mask.path)) for mask in manifest.masks)
    return replace(manifest, masks=masks)
