"""Sharded HDF5 stores: one record an image, a shard a file with a small JSON manifest beside it.

A shard is a group a record, named by its running number; the id is an attribute, so that any
string may be one. A chunk is a whole array: images are read one at a time.
"""

from __future__ import annotations

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
from aepsl.stores.atomic import digest_of, read_json, replacing, write_json

SCHEMA = 1
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
def writing_shard(path: Path, *, kind: str, facts: Mapping[str, Any]) -> Iterator[ShardWriter]:
    """Write one shard, all or nothing.

    Args:
        path: its final name.
        kind: what the records are, for instance ``cams``.
        facts: of the whole store: class names, the configuration, the model's digest.
    """
    with replacing(path) as temporary, h5py.File(temporary, "w", track_order=False) as file:
        writer = ShardWriter(file)
        yield writer
        for name, value in facts.items():
            file.attrs[name] = value
        file.attrs["kind"] = kind
        file.attrs["schema"] = SCHEMA
        file.attrs["count"] = len(writer.ids)
        file.attrs["complete"] = True
    write_json(
        path.with_suffix(".json"),
        {
            "schema": SCHEMA,
            "kind": kind,
            "shard": path.name,
            "sha256": digest_of(path),
            "count": len(writer.ids),
            "ids": writer.ids,
        },
    )


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

    def __init__(self, manifests: Sequence[Path], *, kind: str) -> None:
        """Open the store whose shards' manifests are given.

        Raises:
            AepslError: if one is absent, of another version, holds something else than ``kind``,
                or repeats an image of another.
        """
        self.manifests = list(manifests)
        self._place: dict[str, tuple[Path, int]] = {}
        for manifest in self.manifests:
            content = read_json(manifest)
            if content.get("schema") != SCHEMA or content.get("kind") != kind:
                raise AepslError.of(manifest, f"not a store of {kind}", "run its stage again")
            for row, image_id in enumerate(content["ids"]):
                if image_id in self._place:
                    hint = "remove the store's folder and run its stage again"
                    raise AepslError.of(manifest, f"repeats image {image_id}", hint)
                self._place[image_id] = (manifest.parent / content["shard"], row)
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
    """Write the manifest of a shard without records or file."""
    write_json(manifest, {"schema": SCHEMA, "kind": kind, "count": 0, "ids": []})
