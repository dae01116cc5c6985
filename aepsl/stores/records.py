"""Sharded HDF5 stores: one record an image, a shard a file with a small JSON manifest beside it.

A shard is a group a record, named by its running number; the id is an attribute, so that any
string may be one. A chunk is a whole array: images are read one at a time.
"""

from __future__ import annotations

import io
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from aepsl.errors import AepslError
from aepsl.stores.atomic import digest_of, read_manifest_json, replacing, write_manifest_json

SCHEMA = 2
"""Version of the layout; readers refuse another."""


@dataclass(frozen=True)
class Record:
    """What a store holds of one image: named arrays, and named numbers or strings."""

    arrays: Mapping[str, NDArray[Any]]
    facts: Mapping[str, Any] = field(default_factory=dict)


class ShardWriter:
    """Adds records to one open shard; made by :func:`writing_shard`."""

    def __init__(self, file: h5py.File) -> None:
        self._records = file.create_group("records")
        self.ids: list[str] = []

    def add(self, image_id: str, record: Record) -> None:
        """Append the record of one image."""
        group = self._records.create_group(str(len(self.ids)))
        group.attrs["id"] = image_id
        for name, value in record.facts.items():
            group.attrs[name] = value
        for name, array in record.arrays.items():
            whole = array.shape if array.size else None
            options: dict[str, Any] = (
                {"chunks": whole, "compression": "gzip", "compression_opts": 4}
                | {"shuffle": True, "fletcher32": True}
                if whole
                else {}
            )
            group.create_dataset(name, data=array, **options)
        self.ids.append(image_id)


@contextmanager
def writing_shard(
    path: Path, *, kind: str, facts: Mapping[str, Any], shard: int = 0, shards: int = 1
) -> Iterator[ShardWriter]:
    """Write one shard, all or nothing.

    It is made in memory: on a full disk HDF5 does not raise, it ends the process.

    Args:
        path: its final name.
        kind: what the records are, for instance ``cams``.
        facts: of the whole store: class names, the configuration, the model's digest.
        shard: the number of this part, from 0.
        shards: the number of parts.
    """
    content = io.BytesIO()
    with h5py.File(content, "w", track_order=False) as file:
        writer = ShardWriter(file)
        yield writer
        for name, value in facts.items():
            file.attrs[name] = value
        file.attrs["kind"] = kind
        file.attrs["schema"] = SCHEMA
        file.attrs["count"] = len(writer.ids)
        file.attrs["complete"] = True
    with replacing(path) as temporary:
        temporary.write_bytes(content.getbuffer())
    about = {"file": path.name, "sha256": digest_of(path), "ids": writer.ids}
    _write_shard_manifest(path.with_suffix(".json"), about, kind=kind, shard=shard, shards=shards)


def _write_shard_manifest(
    manifest: Path, about: Mapping[str, Any], *, kind: str, shard: int, shards: int
) -> None:
    part = {"schema": SCHEMA, "kind": kind, "shard": shard, "shards": shards}
    write_manifest_json(manifest, part | {"count": len(about["ids"])} | dict(about))


def read_shard_manifest(manifest: Path, *, kind: str | None = None) -> dict[str, Any]:
    """Return what the manifest of a shard says.

    Raises:
        AepslError: if it is absent, changed, of another version, or not of ``kind``.
    """
    content = read_manifest_json(manifest)
    if content.get("schema") != SCHEMA:
        what = f"a store of layout {content.get('schema')}, this version reads {SCHEMA}"
        raise AepslError.of(manifest, what, "remove the store's folder and run its stage again")
    if kind is not None and content["kind"] != kind:
        raise AepslError.of(manifest, f"not a store of {kind}", "run its stage again")
    return content


def check_shard(manifest: Path, content: Mapping[str, Any]) -> None:
    """Check that the shard of a manifest is there, and as it was written.

    Raises:
        AepslError: if not.
    """
    if "file" not in content:
        return
    path = manifest.parent / content["file"]
    hint = "remove it and its manifest, and run its stage again"
    if not path.is_file():
        raise AepslError.of(path, "the shard is not there", hint)
    if digest_of(path) != content["sha256"]:
        raise AepslError.of(path, "was changed since it was written", hint)


def check_parts(manifests: Sequence[Path], contents: Sequence[Mapping[str, Any]]) -> None:
    """Check that these shards are all the parts of one store, each once.

    Raises:
        AepslError: if one is missing, foreign, or repeats an image of another.
    """
    hint = "remove the store's folder and run its stage again"
    parts = {content["shards"] for content in contents}
    numbers = sorted(content["shard"] for content in contents)
    if len(parts) > 1 or numbers != list(range(max(parts, default=0))):
        what = f"has parts {numbers} of {' and '.join(map(str, sorted(parts)))}"
        raise AepslError.of(manifests[0].parent, what, hint)
    seen: set[str] = set()
    for manifest, content in zip(manifests, contents, strict=True):
        for image_id in content["ids"]:
            if image_id in seen:
                raise AepslError.of(manifest, f"repeats image {image_id}", hint)
            seen.add(image_id)


def _open(path: Path) -> h5py.File:
    try:
        file = h5py.File(path, "r")
    except OSError as error:
        raise AepslError.of(
            path, f"not a readable store ({error})", "remove it and run its stage again"
        ) from None
    if not file.attrs.get("complete", False) or file.attrs.get("schema") != SCHEMA:
        file.close()
        raise AepslError.of(
            path, "the store is incomplete or of another version", "remove it and run again"
        )
    return file


class Store:
    """Reads a store by image id; shards are opened on first use, once a process."""

    def __init__(self, manifests: Sequence[Path], *, kind: str | None, whole: bool = True) -> None:
        """Open the store whose shards' manifests are given, and check that all of it is there.

        Args:
            manifests: of its shards.
            kind: what the records are; None takes any.
            whole: whether these are to be all its shards.

        Raises:
            AepslError: if a part is absent, changed since it was written, of another version,
                another store's, holds something else than ``kind``, or repeats an image.
        """
        self.manifests = list(manifests)
        contents = [read_shard_manifest(manifest, kind=kind) for manifest in self.manifests]
        if whole:
            check_parts(self.manifests, contents)
        self._place: dict[str, tuple[Path, int]] = {}
        for manifest, content in zip(self.manifests, contents, strict=True):
            check_shard(manifest, content)
            for row, image_id in enumerate(content["ids"]):
                self._place[image_id] = (manifest.parent / content["file"], row)
        self._files: dict[tuple[int, Path], h5py.File] = {}

    def __len__(self) -> int:
        return len(self._place)

    def __contains__(self, image_id: str) -> bool:
        return image_id in self._place

    def ids(self) -> Iterable[str]:
        """Return the ids, in the order of the shards."""
        return self._place.keys()

    def facts(self) -> dict[str, Any]:
        """Return the facts of the whole store, as its first shard records them."""
        for path, _ in self._place.values():
            return dict(self._file(path).attrs)
        return {}

    def __getitem__(self, image_id: str) -> Record:
        if image_id not in self._place:
            raise AepslError.of(
                self.manifests[0].parent,
                f"holds nothing of image {image_id}",
                "run its stage again",
            )
        path, row = self._place[image_id]
        group = self._file(path)[f"records/{row}"]
        if group.attrs["id"] != image_id:
            raise AepslError.of(path, "does not match its manifest", "run its stage again")
        facts = {name: value for name, value in group.attrs.items() if name != "id"}
        arrays = {name: np.asarray(dataset[()]) for name, dataset in group.items()}
        return Record(arrays, facts)

    def _file(self, path: Path) -> h5py.File:
        key = (os.getpid(), path)
        if key not in self._files:
            self._files[key] = _open(path)
        return self._files[key]

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__ | {"_files": {}}


def write_empty(manifest: Path, *, kind: str) -> None:
    """Write the manifest of a store without records or file."""
    _write_shard_manifest(manifest, {"ids": []}, kind=kind, shard=0, shards=1)
