"""Records that earlier work has made already, found by what each was made from.

When ten photographs are added to ten thousand, ten thousand records are copied and ten are made.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Protocol, TypeVar

from aepsl.console import log
from aepsl.errors import AepslError
from aepsl.stores.records import (
    PackedRecord,
    Record,
    ShardWriter,
    Store,
)
from aepsl.stores.shards import read_shard_manifest


class _Named(Protocol):
    """What has an id."""

    @property
    def id(self) -> str:
        """The name of an image."""
        ...


Named = TypeVar("Named", bound=_Named)


def source_of(*digests: str) -> str:
    """Return one digest of all that a record was made from."""
    return hashlib.sha256("\n".join(digests).encode()).hexdigest()


class Earlier:
    """The records of shards that were made alike; see :meth:`aepsl.stores.cache.Cache.kin`."""

    def __init__(self, manifests: Iterable[Path] = ()) -> None:
        """Know the records of these shards, and trust none that is not whole."""
        self._stores: list[Store] = []
        self._place: dict[str, tuple[Store, str]] = {}
        for manifest in manifests:
            try:
                content = read_shard_manifest(manifest)
                sources = dict(zip(content.sources, content.ids, strict=False))
                if not sources.keys() <= self._place.keys():
                    store = Store([manifest], kind=None, whole=False)
                    self._place = {s: (store, i) for s, i in sources.items()} | self._place
            except AepslError as error:
                log.warning("Not taken from the cache: %s", error)

    def __contains__(self, source: str) -> bool:
        return source in self._place

    def __getitem__(self, source: str) -> PackedRecord:
        store, image_id = self._place[source]
        return store.packed(image_id)

    def __len__(self) -> int:
        return len(self._place)


def add_all(
    writer: ShardWriter,
    images: Sequence[Named],
    sources: Sequence[str],
    *,
    earlier: Earlier,
    make: Callable[[Sequence[Named]], Iterator[Record]],
) -> None:
    """Add the record of each image in order: an earlier one where there is one, else made.

    Args:
        writer: of the shard.
        images: what records are wanted of.
        sources: the digest of what the record of each is made from.
        earlier: what is there already.
        make: yields the records of those images that it is given, in order.
    """
    wanted = list(zip(images, sources, strict=True))
    missing = [image for image, source in wanted if source not in earlier]
    if len(missing) < len(images):
        log.info("%d of %d records are there already", len(images) - len(missing), len(images))
    made = make(missing)
    for image, source in wanted:
        record = earlier[source] if source in earlier else next(made)
        writer.add(image.id, record, source=source)
