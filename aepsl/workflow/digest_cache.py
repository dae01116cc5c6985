"""Persistent cache of digests and other values that are computed from files and folders."""

from __future__ import annotations

import hashlib
import json
import os
import stat
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Any

from aepsl.errors import AepslError
from aepsl.stores.atomic import digest_of, write_text
from aepsl.text import read_json

MANY = 1000
"""Number of files to read from which the user is informed."""


def _load(file: Path | None) -> dict[str, Any]:
    with suppress(AepslError):
        if file and isinstance(known := read_json(file), dict):
            return known
    return {}  # the values are computed again


def _state(status: os.stat_result) -> str:
    """Return the state of a file as text, which changes with its content.

    A replaced file can keep size and modification time (rsync, cp -p, touch -r), but not the change
    time, which only the system sets.
    """
    return f"{status.st_size} {status.st_mtime_ns} {status.st_ctime_ns}"


def _state_of_entry(entry: os.DirEntry[str]) -> str:
    try:
        return _state(entry.stat())
    except FileNotFoundError:
        return "a broken link"


def fingerprint(path: Path) -> str:
    """Return the state of a file, or a digest of the names and states of a folder's files.

    A folder's fingerprint is the sum of one digest per file: independent of order, in constant
    memory. A missing path has a fingerprint, too.

    Raises:
        OSError: for a system error other than a missing path.
    """
    try:
        status = path.stat()
    except FileNotFoundError:
        return "absent"
    if not stat.S_ISDIR(status.st_mode):
        return _state(status)
    total = 0
    with os.scandir(path) as entries:
        for entry in entries:
            line = f"{_state_of_entry(entry)} {entry.name}"
            total += int.from_bytes(hashlib.blake2b(os.fsencode(line)).digest())
    return f"{total % 2**512:x}"


class DigestCache:
    """Cache of values computed from files and folders, and of the digests of single files."""

    def __init__(self, file: Path | None = None, *, trust_cached: bool = False) -> None:
        """``file``: JSON file of the values, with the digests next to it; None keeps no files.

        ``trust_cached``: return cached values without checking the files. This is for cluster jobs,
        whose planning process has checked the files.
        """
        self._file = file
        self._trust_cached = trust_cached
        self._values = _load(file)
        self._fingerprint = cache(
            fingerprint
        )  # cached, as several values depend on the same folder
        self._digests: dict[str, Any] | None = None
        self._new = 0

    @property
    def _digest_file(self) -> Path | None:
        return self._file and self._file.with_name(f"{self._file.stem}-digests.json")

    def digest(self, path: Path) -> str:
        """Return the SHA-256 of a file, which is read only if its state has changed.

        Raises:
            AepslError: if it is not a regular file.
            OSError: if the file cannot be read.
        """
        if self._digests is None:
            self._digests = _load(self._digest_file)
        state = f"{_state(path.stat())} "
        known = str(self._digests.get(str(path)))
        if not known.startswith(state):
            known = state + digest_of(path)
            self._digests[str(path)] = known
            self._new += 1
            if self._new == MANY:
                print("aepsl: computing digests of the data", file=sys.stderr)
        return known.removeprefix(state)

    def get(
        self,
        key: Sequence[str | None],
        *,
        watch: Callable[[], Sequence[Path]],
        compute: Callable[[], str],
    ) -> str:
        """Return the cached value of ``key``; compute it again if a file or folder has changed.

        Args:
            key: name of the value.
            watch: returns the files and folders that the value depends on.
            compute: called if there is no cached value, or a fingerprint has changed.
        """
        name = json.dumps(key)
        known = self._values.get(name)
        if not isinstance(known, list) or len(known) != 2:
            known = None
        if known and self._trust_cached:
            return str(known[1])
        try:
            fingerprints = [self._fingerprint(path) for path in watch()]
        except OSError:
            return compute()  # which reports the error
        if not known or known[0] != fingerprints:
            known = [fingerprints, compute()]
            self._values[name] = known
            self._store()
        return str(known[1])

    def _store(self) -> None:
        with suppress(OSError):  # the values are computed again
            if self._file:
                write_text(self._file, json.dumps(self._values))
            if self._digest_file and self._new:
                write_text(self._digest_file, json.dumps(self._digests))
                self._new = 0
