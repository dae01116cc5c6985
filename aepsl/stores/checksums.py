"""Checksum lists in sha256sum's format: one per job, of all files that it wrote."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from itertools import chain
from pathlib import Path

from aepsl.stores.atomic import digest_of, write_text
from aepsl.text import parsing, read_text


def files_below(path: Path) -> Iterator[Path]:
    """Yield all files below the folder ``path``, sorted; any other ``path`` itself."""
    if path.is_dir():
        yield from sorted(child for child in path.rglob("*") if child.is_file())
    else:
        yield path


def _escaped(path: Path) -> str:
    return str(path).replace("\\", "\\\\").replace("\n", "\\n")


def write_checksums(listing: Path, paths: Sequence[Path]) -> None:
    """Write the SHA-256 of every file in ``paths``, including all files below folders."""
    lines = []
    for path in chain.from_iterable(map(files_below, paths)):
        name = _escaped(path)
        mark = "\\" if name != str(path) else ""
        lines.append(f"{mark}{digest_of(path)}  {name}\n")
    write_text(listing, "".join(lines))


def read_checksums(listing: Path) -> dict[Path, str]:
    """Return the SHA-256 of each file in a checksum list.

    Raises:
        AepslError: if the file is not a checksum list.
    """
    digests = {}
    with parsing(listing, "a list of checksums", "remove it and its job's outputs, and run again"):
        for line in read_text(listing).splitlines():
            digest, separator, name = line.partition("  ")
            if digest.startswith("\\"):
                plain = re.sub(r"\\(.)", lambda m: "\n" if m[1] == "n" else m[1], name)
                digest, name = digest[1:], plain
            if not separator or len(digest) != 64:
                raise ValueError(f"the line {line[:40]!r}")
            digests[Path(name)] = digest
    return digests
