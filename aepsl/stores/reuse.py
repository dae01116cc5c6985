"""Records that earlier work has made already, found by what each was made from.

When ten photographs are added to ten thousand, ten thousand records are copied and ten are made.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
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
        """Know the shards."""
        self._manifests = list(manifests)

    def find(self, sources: Collection[str]) -> dict[str, tuple[Store, str]]:
        """Return the store and id of each record there is, by its source.

        Only shards that have one are opened, and held: they may be removed meanwhile. None is
        trusted that is not whole.
        """
        found: dict[str, tuple[Store, str]] = {}
        missing = set(sources)
        for manifest in self._manifests:
            if not missing:
                break
            try:
                content = read_shard_manifest(manifest)
                pairs = zip(content.sources, content.ids, strict=False)
                useful = {source: i for source, i in pairs if source in missing}
                if not useful:
                    continue
                store = Store([manifest], kind=None, whole=False)
                store.hold()
            except (AepslError, OSError) as error:
                log.warning("Not taken from the cache: %s", error)
                continue
            found |= {source: (store, image_id) for source, image_id in useful.items()}
            missing -= useful.keys()
        return found


def _taken(place: tuple[Store, str]) -> PackedRecord | None:
    """Return a record that was there; None if it cannot be read any more."""
    try:
        return place[0].packed(place[1])
    except (AepslError, OSError, KeyError, RuntimeError) as error:
        log.warning("Not taken from the cache: %s", error)
        return None


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
    there = earlier.find(sources)
    missing = [i for i, source in zip(images, sources, strict=True) if source not in there]
    if there:
        log.info("%d of %d records are there already", len(images) - len(missing), len(images))
    made = make(missing)
    for image, source in zip(images, sources, strict=True):
        if source not in there:
            writer.add(image.id, next(made), source=source)
        else:
            record = _taken(there[source]) or next(make([image]))
            writer.add(image.id, record, source=source)
