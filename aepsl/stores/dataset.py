"""The dataset manifest: every image of a run, its labels and where its pixels lie."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from aepsl.errors import AepslError
from aepsl.stores.atomic import read_json, write_json

SCHEMA = 1


@dataclass(frozen=True)
class ImageEntry:
    """One photograph."""

    id: str
    path: str
    height: int
    width: int
    sha256: str
    labels: tuple[str, ...]
    split: str
    """``train`` or ``eval``."""
    mask: str | None = None
    """The true mask, for scoring only."""


@dataclass(frozen=True)
class DatasetManifest:
    """What the index stage found, complete and checked."""

    class_names: tuple[str, ...]
    """The classes of the run, background not counted."""
    mask_values: tuple[int, ...]
    """The value of each class in the true masks."""
    mean_pixel: tuple[int, int, int]
    """RGB, 0..255, over all training images."""
    splits: dict[str, str]
    """The names that ``train`` and ``eval`` have in the dataset."""
    images: tuple[ImageEntry, ...]

    def split(self, name: str) -> list[ImageEntry]:
        """Return the images of ``train`` or ``eval``, in the dataset's order."""
        return [image for image in self.images if image.split == name]

    def label_numbers(self, image: ImageEntry) -> list[int]:
        """Return the numbers of the image's classes, from 0, ascending."""
        return sorted(self.class_names.index(name) for name in image.labels)

    def label_matrix(self, images: Sequence[ImageEntry]) -> NDArray[np.float32]:
        """Return the (n, classes) labels of ``images``, 0 or 1."""
        labels = np.zeros((len(images), len(self.class_names)), np.float32)
        for row, image in zip(labels, images, strict=True):
            row[self.label_numbers(image)] = 1
        return labels


def shard_of(images: Sequence[ImageEntry], *, shard: int, shards: int) -> Sequence[ImageEntry]:
    """Return part ``shard`` of ``shards``: contiguous, sizes differ by one at most."""
    bounds = [len(images) * part // shards for part in (shard, shard + 1)]
    return images[bounds[0] : bounds[1]]


def write_manifest(path: Path, manifest: DatasetManifest) -> None:
    """Write the manifest as JSON, all or nothing."""
    write_json(path, {"schema": SCHEMA} | asdict(manifest))


def read_manifest(path: Path) -> DatasetManifest:
    """Return the manifest in a file.

    Raises:
        AepslError: if it is absent, not JSON, or of another version.
    """
    content = read_json(path)
    if content.pop("schema", None) != SCHEMA:
        raise AepslError.of(path, "not a dataset manifest of this version", "index it again")
    images = tuple(
        ImageEntry(**entry | {"labels": tuple(entry["labels"])}) for entry in content.pop("images")
    )
    for name in ("class_names", "mask_values", "mean_pixel"):
        content[name] = tuple(content[name])
    return DatasetManifest(images=images, **content)
