"""JSON manifests of shards, and checks of shards against them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated

from pydantic import Field

from aepsl.errors import AepslError
from aepsl.stores.atomic import digest_of, read_manifest_json, validated, write_manifest_json

SCHEMA = 2
"""Layout version; readers reject any other."""


@dataclass(frozen=True)
class ShardManifest:
    """Content of one shard."""

    kind: str
    """Kind of the store, for example ``cams``."""
    shard: Annotated[int, Field(ge=0)]
    """Number of this shard, from 0."""
    shards: Annotated[int, Field(ge=1)]
    """Number of shards."""
    ids: tuple[str, ...]
    """Image ids, in the order of the records."""
    file: Annotated[str, Field(pattern=r"^[^/]*$")] = ""
    """Name of the HDF5 file next to the manifest; empty for a store without records."""
    sha256: str = ""
    sources: tuple[str, ...] = ()
    """Digest of each record's inputs; empty if unknown."""


def write_shard_manifest(path: Path, manifest: ShardManifest) -> None:
    """Write a manifest as JSON, atomically."""
    write_manifest_json(path, {"schema": SCHEMA, **asdict(manifest)})


def read_shard_manifest(manifest: Path, *, kind: str | None = None) -> ShardManifest:
    """Read the manifest of a shard.

    Raises:
        AepslError: if it is missing, modified, of another version, or not of ``kind``.
    """
    content = read_manifest_json(manifest)
    schema = content.pop("schema", None)
    if schema != SCHEMA:
        what = f"the store has layout {schema}, but this version reads {SCHEMA}"
        raise AepslError.of(manifest, what, "remove the store's folder and run its stage again")
    shard = validated(manifest, ShardManifest, content)
    if kind is not None and shard.kind != kind:
        raise AepslError.of(manifest, f"not a store of {kind}", "run its stage again")
    return shard


def check_shard(manifest: Path, content: ShardManifest) -> None:
    """Check that the shard of a manifest exists and is unmodified.

    Raises:
        AepslError: if it is missing or modified.
    """
    hint = "remove it and its manifest, and run its stage again"
    if not content.file:
        if content.ids:
            raise AepslError.of(manifest, "lists images, but no shard", hint)
        return
    path = manifest.with_name(content.file)
    if not path.is_file():
        raise AepslError.of(path, "the shard does not exist", hint)
    if digest_of(path) != content.sha256:
        raise AepslError.of(path, "was modified after it was written", hint)


def check_complete(manifests: Sequence[Path], contents: Sequence[ShardManifest]) -> None:
    """Check that the shards form one complete store.

    Raises:
        AepslError: if a shard is missing, repeated or of another store, or repeats an image.
    """
    hint = "remove the store's folder and run its stage again"
    parts = {content.shards for content in contents}
    numbers = sorted(content.shard for content in contents)
    if parts - {len(contents)} or numbers != list(range(len(contents))):
        what = f"has shards {numbers} of {' and '.join(map(str, sorted(parts)))}"
        all_of_them = "give the manifests of all its shards, or run its stage again"
        raise AepslError.of(manifests[0].parent, what, all_of_them)
    seen: set[str] = set()
    for manifest, content in zip(manifests, contents, strict=True):
        for image_id in content.ids:
            if image_id in seen:
                raise AepslError.of(manifest, f"repeats image {image_id}", hint)
            seen.add(image_id)
