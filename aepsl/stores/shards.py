"""The small JSON manifest beside each shard of a store, and whether shards and manifests agree."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated

from pydantic import Field

from aepsl.errors import AepslError
from aepsl.stores.atomic import checked, digest_of, read_manifest_json, write_manifest_json

SCHEMA = 2
"""Version of the layout; readers refuse another."""


@dataclass(frozen=True)
class ShardManifest:
    """What lies in one shard."""

    kind: str
    """What the records are, for instance ``cams``."""
    shard: Annotated[int, Field(ge=0)]
    """The number of this part, from 0."""
    shards: Annotated[int, Field(ge=1)]
    """The number of parts."""
    ids: tuple[str, ...]
    """The images, in the order of their records."""
    file: Annotated[str, Field(pattern=r"^[^/]*$")] = ""
    """Its name, beside the manifest; empty if there are no records and no file."""
    sha256: str = ""
    sources: tuple[str, ...] = ()
    """The digest of what each record was made from, if it can be told."""


def write_shard_manifest(path: Path, manifest: ShardManifest) -> None:
    """Write a manifest as JSON, all or nothing."""
    write_manifest_json(path, {"schema": SCHEMA, **asdict(manifest)})


def read_shard_manifest(manifest: Path, *, kind: str | None = None) -> ShardManifest:
    """Return what the manifest of a shard says.

    Raises:
        AepslError: if it is absent, changed, of another version, or not of ``kind``.
    """
    content = read_manifest_json(manifest)
    schema = content.pop("schema", None)
    if schema != SCHEMA:
        what = f"a store of layout {schema}, this version reads {SCHEMA}"
        raise AepslError.of(manifest, what, "remove the store's folder and run its stage again")
    found = checked(manifest, ShardManifest, content)
    if kind is not None and found.kind != kind:
        raise AepslError.of(manifest, f"not a store of {kind}", "run its stage again")
    return found


def check_shard(manifest: Path, content: ShardManifest) -> None:
    """Check that the shard of a manifest is there, and as it was written.

    Raises:
        AepslError: if not.
    """
    hint = "remove it and its manifest, and run its stage again"
    if not content.file:
        if content.ids:
            raise AepslError.of(manifest, "names images, but no shard", hint)
        return
    path = manifest.with_name(content.file)
    if not path.is_file():
        raise AepslError.of(path, "the shard is not there", hint)
    if digest_of(path) != content.sha256:
        raise AepslError.of(path, "was changed since it was written", hint)


def check_parts(manifests: Sequence[Path], contents: Sequence[ShardManifest]) -> None:
    """Check that these shards are all the parts of one store, each once.

    Raises:
        AepslError: if one is missing, foreign, or repeats an image of another.
    """
    hint = "remove the store's folder and run its stage again"
    parts = {content.shards for content in contents}
    numbers = sorted(content.shard for content in contents)
    if parts - {len(contents)} or numbers != list(range(len(contents))):
        what = f"has parts {numbers} of {' and '.join(map(str, sorted(parts)))}"
        raise AepslError.of(manifests[0].parent, what, hint)
    seen: set[str] = set()
    for manifest, content in zip(manifests, contents, strict=True):
        for image_id in content.ids:
            if image_id in seen:
                raise AepslError.of(manifest, f"repeats image {image_id}", hint)
            seen.add(image_id)
