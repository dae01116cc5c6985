"""Sharded HDF5 stores: one record per image, one HDF5 file and one JSON manifest per shard.

Each record is an HDF5 group named by its index; the image id is an attribute, so that any string is
valid. Each array is a single chunk, because images are read one at a time.
"""

from __future__ import annotations

import hashlib
import io
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import groupby
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from aepsl.errors import AepslError, read_error
from aepsl.stores.atomic import atomic_write, digest_of
from aepsl.stores.shards import (
    SCHEMA,
    ShardManifest,
    check_complete,
    check_shard,
    read_shard_manifest,
    write_shard_manifest,
)


@dataclass(frozen=True)
class RawArray:
    """A compressed array of a file, which is copied without decompression."""

    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    chunk: bytes


@dataclass(frozen=True)
class Record:
    """Record of one image: named arrays, and named numbers or strings."""

    arrays: Mapping[str, NDArray[Any]]
    facts: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class RawRecord:
    """A record with compressed arrays; see :meth:`Store.read_raw`."""

    arrays: Mapping[str, NDArray[Any] | RawArray]
    facts: Mapping[str, Any]


def _create(group: h5py.Group, name: str, array: NDArray[Any] | RawArray) -> None:
    """Write an array; a compressed one is copied byte for byte."""
    options: dict[str, Any] = {"compression": "gzip", "compression_opts": 1}
    options |= {"chunks": array.shape, "shuffle": True, "fletcher32": True}
    if isinstance(array, RawArray):
        dataset = group.create_dataset(name, shape=array.shape, dtype=array.dtype, **options)
        dataset.id.write_direct_chunk((0,) * len(array.shape), array.chunk)
    elif array.size:
        group.create_dataset(name, data=array, **options)
    else:
        group.create_dataset(name, data=array)


class ShardWriter:
    """Adds records to one open shard; created by :func:`writing_shard`."""

    def __init__(self, file: h5py.File) -> None:
        self._records = file.create_group("records")
        self.ids: list[str] = []
        self.sources: list[str] = []

    def add(self, image_id: str, record: Record | RawRecord, *, source: str = "") -> None:
        """Append the record of one image; ``source`` is the digest of its inputs."""
        group = self._records.create_group(str(len(self.ids)))
        group.attrs["id"] = image_id
        # Sorted, as on reading, so that a copied record is bit-identical.
        for name, value in sorted(record.facts.items()):
            group.attrs[name] = value
        for name, array in sorted(record.arrays.items()):
            _create(group, name, array)
        self.ids.append(image_id)
        self.sources.append(source)


@contextmanager
def writing_shard(
    path: Path, *, kind: str, facts: Mapping[str, Any], shard: int = 0, shards: int = 1
) -> Iterator[ShardWriter]:
    """Write one shard, atomically.

    The file is built in memory, because HDF5 aborts the process on a full disk.

    Args:
        path: path of the shard.
        kind: kind of the store, for example ``cams``.
        facts: metadata of the store: class names, the configuration, the model's digest.
        shard: number of this shard, from 0.
        shards: number of shards.
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
    with atomic_write(path) as temporary:
        temporary.write_bytes(content.getbuffer())
    content_digest = digest_of(path)
    sources = tuple(writer.sources) if any(writer.sources) else ()
    manifest = ShardManifest(
        kind, shard, shards, tuple(writer.ids), path.name, content_digest, sources
    )
    write_shard_manifest(path.with_suffix(".json"), manifest)


def _open(path: Path) -> h5py.File:
    try:
        file = h5py.File(path, "r")
    except OSError as error:
        hint = "remove it and run its stage again"
        raise read_error(error, path, f"not a readable store ({error})", hint) from None
    if not file.attrs.get("complete", False) or file.attrs.get("schema") != SCHEMA:
        file.close()
        raise AepslError.of(
            path, "the store is incomplete or has another version", "remove it and run again"
        )
    return file


def _facts(group: h5py.Group) -> dict[str, Any]:
    return {name: value for name, value in group.attrs.items() if name != "id"}


class Store:
    """Reads a store by image id; each process opens a shard once, on first use."""

    def __init__(
        self, manifests: Sequence[Path], *, kind: str | None, all_shards: bool = True
    ) -> None:
        """Open a store from the manifests of its shards, and check them.

        Args:
            manifests: manifests of the shards.
            kind: expected kind of the store; None accepts any.
            all_shards: whether all shards are required; a job on one shard reads only that one.

        Raises:
            AepslError: if a shard is missing, modified, of another version, kind or store, or
                repeats an image.
        """
        self.manifests = list(manifests)
        contents = [read_shard_manifest(manifest, kind=kind) for manifest in self.manifests]
        if all_shards:
            check_complete(self.manifests, contents)
        self._place: dict[str, tuple[Path, int]] = {}
        for manifest, content in zip(self.manifests, contents, strict=True):
            check_shard(manifest, content)
            path = manifest.parent / content.file  # one for all records: a pickle holds it once
            for row, image_id in enumerate(content.ids):
                self._place[image_id] = (path, row)
        self._files: dict[tuple[int, Path], h5py.File] = {}

    def __len__(self) -> int:
        return len(self._place)

    def __contains__(self, image_id: str) -> bool:
        return image_id in self._place

    def ids(self) -> Iterable[str]:
        """Return the image ids, in the order of the shards."""
        return self._place.keys()

    def facts(self) -> dict[str, Any]:
        """Return the facts of the store, as its first shard records them."""
        for path, _ in self._place.values():
            return dict(self._file(path).attrs)
        return {}

    def __getitem__(self, image_id: str) -> Record:
        group = self._group(image_id)
        arrays = {name: np.asarray(dataset[()]) for name, dataset in group.items()}
        return Record(arrays, _facts(group))

    def array(self, image_id: str, name: str) -> NDArray[Any]:
        """Return one array of an image's record, without reading the others."""
        return np.asarray(self._group(image_id)[name][()])

    def read_raw(self, image_id: str) -> RawRecord:
        """Return the compressed record of an image, to be copied to another store."""
        group = self._group(image_id)
        arrays = {
            name: RawArray(dataset.shape, dataset.dtype, dataset.id.read_direct_chunk(start)[1])
            if dataset.chunks
            else np.asarray(dataset[()])
            for name, dataset in group.items()
            for start in [(0,) * dataset.ndim]
        }
        return RawRecord(arrays, _facts(group))

    def digest(self, image_id: str) -> str:
        """Return the content digest of an image's record."""
        record = self.read_raw(image_id)
        sha256 = hashlib.sha256()
        for name, array in sorted(record.arrays.items()):
            content = array.chunk if isinstance(array, RawArray) else array.tobytes()
            sha256.update(f"{name} {array.dtype} {array.shape} {len(content)}".encode() + content)
        for name, value in sorted(record.facts.items()):
            sha256.update(f"{name} {np.asarray(value).tolist()!r}".encode())
        return sha256.hexdigest()

    def open_all(self) -> None:
        """Open all shards now, so that they stay readable even if they are deleted."""
        for path, _ in self._place.values():
            self._file(path)

    def _group(self, image_id: str) -> h5py.Group:
        if image_id not in self._place:
            raise AepslError.of(
                self.manifests[0].parent,
                f"has no record of image {image_id}",
                "run its stage again",
            )
        path, row = self._place[image_id]
        group = self._file(path)[f"records/{row}"]
        if group.attrs["id"] != image_id:
            raise AepslError.of(path, "does not match its manifest", "run its stage again")
        return group

    def _file(self, path: Path) -> h5py.File:
        key = (os.getpid(), path)
        if key not in self._files:
            self._files[key] = _open(path)
        return self._files[key]

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__ | {"_files": {}}


def stores_by_step(manifests: Sequence[Path], *, kind: str, all_shards: bool = True) -> list[Store]:
    """Return the store of each erasing step; its shards are in the folder of the step."""
    steps = groupby(manifests, key=lambda path: path.parent)
    return [Store(list(shards), kind=kind, all_shards=all_shards) for _, shards in steps]


def write_empty(manifest: Path, *, kind: str) -> None:
    """Write the manifest of an empty store, which has no shard file."""
    write_shard_manifest(manifest, ShardManifest(kind, shard=0, shards=1, ids=()))
