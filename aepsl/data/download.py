"""Download of published files, which are known by their digest."""

from __future__ import annotations

import hashlib
from pathlib import Path
from urllib.request import Request, urlopen

BLOCK = 1 << 20
"""Bytes written at a time while downloading."""

TIMEOUT = 60
"""Seconds without a byte after which a connection counts as dead."""


def is_published(path: Path, digest: str) -> bool:
    """Return whether a file exists and has this digest, for instance ``md5:`` and 32 digits."""
    if not path.is_file():
        return False
    name, _, expected = digest.partition(":")
    with path.open("rb") as file:
        made = hashlib.file_digest(file, lambda: hashlib.new(name, usedforsecurity=False))
    return made.hexdigest() == expected


def fetch_file(url: str, path: Path, *, digest: str) -> None:
    """Download a file unless it is there; continue an interrupted download.

    Args:
        url: its address.
        path: where to put it.
        digest: name of a hash function, colon, hexadecimal digest of the published file.

    Raises:
        OSError: if the server does not answer.
        RuntimeError: if what it sent is not the published file.
    """
    if is_published(path, digest):
        return
    part = path.with_name(f"{path.name}.part")
    path.parent.mkdir(parents=True, exist_ok=True)
    if not is_published(part, digest):
        _continue_download(url, part, what=f"{path.name}, MB")
        if not is_published(part, digest):
            part.unlink()
            raise RuntimeError(f"{url} is not the published file")
    part.rename(path)


def _continue_download(url: str, part: Path, *, what: str) -> None:
    from aepsl.console import tracked  # which planning a run does not need

    there = part.stat().st_size if part.exists() else 0
    request = Request(url, headers={"Range": f"bytes={there}-"} if there else {})
    with urlopen(request, timeout=TIMEOUT) as answer:
        continues = answer.status == 206  # else the server sends the file from its start
        size = int(answer.headers.get("Content-Length") or 0)
        total = size // BLOCK + 1
        with part.open("ab" if continues else "wb") as file:
            blocks = iter(lambda: answer.read(BLOCK), b"")
            for block in tracked(blocks, total=total, what=what):
                file.write(block)
                size -= len(block)
    if size > 0:
        raise OSError("the connection ended early; the same command continues")
