"""JSON-lines manifests: a header, then one entry per line; a shard is read without the rest."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from aepsl.errors import AepslError
from aepsl.stores.atomic import atomic_write, self_digest
from aepsl.text import RUN_AGAIN, parse_json


def shard_range(count: int, *, shard: int, shards: int) -> range:
    """Return the contiguous range of one shard; sizes of shards differ by at most one."""
    return range(count * shard // shards, count * (shard + 1) // shards)


def write_jsonl(path: Path, head: Mapping[str, Any], entries: Iterable[bytes]) -> None:
    """Write ``head`` and ``entries`` (JSON without line breaks) as JSON lines, atomically."""
    lines = [entry + b"\n" for entry in entries]
    digest = hashlib.sha256()
    for line in lines:
        digest.update(line)
    about = {**head, "count": len(lines), "entries_sha256": digest.hexdigest()}
    first = json.dumps({**about, "self_sha256": self_digest(about)}, ensure_ascii=False)
    with atomic_write(path) as temporary, temporary.open("wb") as file:
        file.write(first.encode() + b"\n")
        file.writelines(lines)


def _head(path: Path, line: bytes) -> dict[str, Any]:
    head = parse_json(line, path, hint=RUN_AGAIN)
    if not isinstance(head, dict) or not isinstance(head.get("count"), int):
        raise AepslError.of(path, "not a manifest of this version", RUN_AGAIN)
    if head.pop("self_sha256", None) != self_digest(head):
        raise AepslError.of(path, "was modified after it was written", RUN_AGAIN)
    return head


def read_jsonl(
    path: Path, *, shard: int = 0, shards: int = 1
) -> tuple[dict[str, Any], list[bytes]]:
    """Return the header and the entries of one shard, after checking the digest of the whole file.

    Raises:
        AepslError: if the file is missing, invalid, or modified.
    """
    try:
        file = path.open("rb")
    except FileNotFoundError:
        what = "the file does not exist"
        raise AepslError.of(path, what, "run the stage that writes it") from None
    with file:
        head = _head(path, file.readline())
        wanted = shard_range(head["count"], shard=shard, shards=shards)
        digest, number, entries = hashlib.sha256(), 0, []
        for line in file:
            digest.update(line)
            if number in wanted:
                entries.append(line)
            number += 1
    if (head.pop("count"), head.pop("entries_sha256", None)) != (number, digest.hexdigest()):
        raise AepslError.of(path, "was modified after it was written", RUN_AGAIN)
    return head, entries
