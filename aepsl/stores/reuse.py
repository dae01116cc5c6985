"""Write shards; reuse records that exist in shards of the cache, and compute only the others.

After adding 10 photographs to 10,000, only 10 records are computed. A shard's manifest lists the
``source`` of each record: the digest of the inputs about its image. Everything else on which the
records depend is equal within a group of the cache.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol, TypeVar

from aepsl.console import log
from aepsl.errors import AepslError
from aepsl.stores.cache import reusable
from aepsl.stores.records import RawRecord, Record, Store, writing_shard
from aepsl.stores.shards import read_shard_manifest


class _HasId(Protocol):
    @property
    def id(self) -> str:
        """The image id."""


Image = TypeVar("Image", bound=_HasId)


def source_of(*digests: str) -> str:
    """Combine the digests of a record's inputs into one."""
    return hashlib.sha256("\n".join(digests).encode()).hexdigest()


def write_records(
    path: Path,
    images: Sequence[Image],
    *,
    sources: Sequence[str],
    make: Callable[[Sequence[Image]], Iterator[Record]],
    kind: str,
    facts: Mapping[str, Any],
    shard: int,
    shards: int,
) -> None:
    """Write one shard; the file is bit-identical whether records are reused or computed.

    Args:
        path: path of the shard.
        images: images of the shard, in the order of their records.
        sources: for each image, the digest of its record's inputs.
        make: function that yields the records of the given images, in order.
        kind: kind of the store; see :func:`aepsl.stores.records.writing_shard`.
        facts: metadata of the store.
        shard: number of this shard, from 0.
        shards: number of shards.
    """
    copies = _find(sources)
    missing = [i for i, source in zip(images, sources, strict=True) if source not in copies]
    if copies:
        log.info(
            "%d of %d records are copied from the cache", len(images) - len(missing), len(images)
        )
    made = make(missing)
    with writing_shard(path, kind=kind, facts=facts, shard=shard, shards=shards) as writer:
        for image, source in zip(images, sources, strict=True):
            record: Record | RawRecord | None
            if source in copies:
                record = _copied(*copies[source]) or next(make([image]))
            else:
                record = next(made)
            writer.add(image.id, record, source=source)


def _find(sources: Collection[str]) -> dict[str, tuple[Store, str]]:
    """Return store and image id of each reusable record, by its source.

    The shards are opened now, so that they stay readable if the cache removes them.
    """
    records: dict[str, tuple[Store, str]] = {}
    missing = set(sources)
    for manifest in reusable():
        if not missing:
            break
        try:
            content = read_shard_manifest(manifest)
            pairs = zip(content.sources, content.ids, strict=False)
            useful = {source: image_id for source, image_id in pairs if source in missing}
            if useful:
                store = Store([manifest], kind=None, all_shards=False)
                store.open_all()
                records |= {source: (store, image_id) for source, image_id in useful.items()}
                missing -= useful.keys()
        except (AepslError, OSError) as error:
            log.warning("Not reused from the cache: %s", error)
    return records


def _copied(store: Store, image_id: str) -> RawRecord | None:
    try:
        return store.read_raw(image_id)
    except (AepslError, OSError, KeyError, RuntimeError) as error:
        log.warning("Not reused from the cache: %s", error)
        return None
