"""What was found out about files and folders, so that it is not found out again."""

from __future__ import annotations

import hashlib
import json
import os
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Any

from aepsl.stores.atomic import digest_of, write_text

MANY = 1000
"""Files that take long enough to read that a person should know."""


def _load(file: Path | None) -> dict[str, Any]:
    if file is None:
        return {}
    try:
        known = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return {}  # it is found out again
    return known if isinstance(known, dict) else {}


def _look_of_file(file: Path) -> str:
    """Return the size and time of a file, in words; it may be absent."""
    try:
        found = file.stat()
    except FileNotFoundError:
        return "absent"
    return f"{found.st_size} {found.st_mtime_ns}"


def _look_of_folder(folder: Path) -> str:
    """Return a digest of the names, sizes and times of its files: of a million in seconds.

    The sum of a digest a file, so that none has to be held, and their order means nothing.
    """
    total = 0
    try:
        with os.scandir(folder) as entries:
            for entry in entries:
                found = entry.stat()
                look = f"{found.st_size} {found.st_mtime_ns} {entry.name}"
                total += int.from_bytes(hashlib.blake2b(os.fsencode(look)).digest())
    except FileNotFoundError:
        return "absent"
    return f"{total % 2**512:x}"


class Memory:
    """Digests of files by size and time, and answers about folders by those of all their files."""

    def __init__(self, file: Path | None = None, *, settled: bool = False) -> None:
        """Keep answers in ``file`` and digests beside it, if there is to be one.

        With ``settled``, an answer that is there is right: a job asks what was planned, while
        whoever planned it has looked.
        """
        self._file = file
        self._settled = settled
        self._answers = _load(file)
        self._look_of_folder = cache(_look_of_folder)  # several questions are about the photographs
        self._digests: dict[str, Any] | None = None
        self._new = 0

    @property
    def _digest_file(self) -> Path | None:
        return self._file and self._file.with_name(f"{self._file.stem}-digests.json")

    def digest(self, path: Path) -> str:
        """Return the SHA-256 of a file; it is read only if its size or time has changed.

        Raises:
            OSError: if it cannot be read.
        """
        if self._digests is None:
            self._digests = _load(self._digest_file)
        found = path.stat()
        about = f"{found.st_size} {found.st_mtime_ns} "
        known = str(self._digests.get(str(path)))
        if not known.startswith(about):
            known = about + digest_of(path)
            self._digests[str(path)] = known
            self._new += 1
            if self._new == MANY:
                print("aepsl: reading the data, to know it again", file=sys.stderr)
        return known.removeprefix(about)

    def answer(
        self,
        *question: str | None,
        files: Sequence[Path],
        folders: Sequence[Path],
        find_out: Callable[[], str],
    ) -> str:
        """Return what ``find_out`` says, now or when ``files`` and ``folders`` last looked so."""
        key = json.dumps(question)
        known = self._answers.get(key)
        if not isinstance(known, list) or len(known) != 2:
            known = None
        if known and self._settled:
            return str(known[1])
        try:
            looks = [_look_of_file(file) for file in files]
            looks += [self._look_of_folder(folder) for folder in folders]
        except OSError:
            return find_out()  # which says what is wrong
        if not known or known[0] != looks:
            known = [looks, find_out()]
            self._answers[key] = known
            self._store()
        return str(known[1])

    def _store(self) -> None:
        with suppress(OSError):  # it is found out again
            if self._file:
                write_text(self._file, json.dumps(self._answers))
            if self._digest_file and self._new:
                write_text(self._digest_file, json.dumps(self._digests))
                self._new = 0
