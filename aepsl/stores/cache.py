"""Cache of job outputs, shared between runs, under a digest of everything that they depend on.

An entry is a folder with copies of the outputs and a provenance file, in the folder of its group.
It is created atomically and verified on reading. The cache may be deleted at any time.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from contextvars import ContextVar
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

from aepsl.console import log
from aepsl.errors import AepslError
from aepsl.stores.atomic import (
    HOST,
    atomic_write,
    digest_of,
    read_manifest_json,
    temporary_name,
    validated,
    write_manifest_json,
)


@dataclass(frozen=True)
class Provenance:
    """Provenance of an entry."""

    files: dict[str, str]
    """The SHA-256 of each file, by name."""
    on: str
    """Time of creation."""
    host: str
    seconds: float


class Key(NamedTuple):
    """The key of an entry: two digests."""

    group: str
    """Digest of everything that each record of the result depends on, except its image."""
    entry: str
    """Digest of everything that the result depends on."""


PROVENANCE_FILE = "entry.json"
GB = 10**9

STALE_AFTER_SECONDS = 24 * 3600
"""Age, seconds, after which an incomplete entry is considered abandoned by its job."""


def json_digest(value: Mapping[str, Any]) -> str:
    """Return the SHA-256 of a value as JSON."""
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()


class Cache:
    """The cache folder; safe for concurrent processes, also on several machines.

    Errors of the cache are logged as warnings, never raised.
    """

    def __init__(self, folder: Path, *, limit: float | None = None) -> None:
        """Use ``folder``, which the first :meth:`put` creates.

        Args:
            folder: folder of the entries.
            limit: size limit, GB; beyond it, the least recently used entries are removed.
        """
        self._folder = folder
        self._limit = limit

    def get(self, key: Key, paths: Sequence[Path]) -> Provenance | None:
        """Copy the entry's files to ``paths``, all or none; return its provenance.

        Returns None if the entry is missing or unreadable. A modified entry is removed.
        """
        entry = self._folder.joinpath(*key)
        try:
            if not (entry / PROVENANCE_FILE).is_file():
                return None
            content = read_manifest_json(entry / PROVENANCE_FILE)
            provenance = validated(entry / PROVENANCE_FILE, Provenance, content)
            with ExitStack() as stack:
                for path in paths:
                    temporary = stack.enter_context(atomic_write(path))
                    shutil.copyfile(entry / path.name, temporary)
                    if digest_of(temporary) != provenance.files.get(path.name):
                        what = "was modified after it was written"
                        raise AepslError.of(entry / path.name, what, "the entry is removed")
        except AepslError as error:
            log.warning("Not reused from the cache: %s", error)
            _remove(entry)
            return None
        except OSError as error:
            log.warning("Not reused from the cache: %s", error)
            return None
        with suppress(OSError):
            os.utime(entry / PROVENANCE_FILE)  # mark as recently used
        return provenance

    def put(
        self, key: Key, paths: Sequence[Path], *, about: Mapping[str, Any], seconds: float
    ) -> None:
        """Store copies of ``paths``, which have distinct names; replace an entry with the same key.

        ``about`` (settings and inputs) and ``seconds`` (run time) are information for users.
        """
        entry = self._folder.joinpath(*key)
        temporary = temporary_name(self._folder / key.entry)
        try:
            temporary.mkdir(parents=True, exist_ok=True)
            for path in paths:
                shutil.copyfile(path, temporary / path.name)
            files = {path.name: digest_of(temporary / path.name) for path in paths}
            on = f"{datetime.now(UTC):%Y-%m-%d %H:%M:%S UTC}"
            provenance = Provenance(files, on, HOST, round(seconds, 3))
            write_manifest_json(temporary / PROVENANCE_FILE, {**about, **asdict(provenance)})
            _remove(entry)
            entry.parent.mkdir(exist_ok=True)
            with suppress(OSError):  # another process stored the same entry first
                temporary.rename(entry)
            self._make_room()
        except OSError as error:
            log.warning("Not stored in the cache %s: %s", self._folder, error)
        finally:
            shutil.rmtree(temporary, ignore_errors=True)

    def files(self, group: str, pattern: str) -> list[Path]:
        """Return the files in a group's entries that match ``pattern``, newest entry first."""
        try:
            entries = reversed(self._entries(group))
            files = [file for entry in entries for file in sorted(entry.glob(pattern))]
            return [file for file in files if file.name != PROVENANCE_FILE]
        except OSError as error:
            log.warning("Not reused from the cache: %s", error)
            return []

    def _entries(self, group: str = "*") -> list[Path]:
        """Return the entries, least recently used first."""
        used = []
        for provenance in self._folder.glob(f"{group}/*/{PROVENANCE_FILE}"):
            with suppress(FileNotFoundError):  # removed meanwhile
                used.append((provenance.stat().st_mtime, provenance.parent))
        return [entry for _, entry in sorted(used)]

    def _make_room(self) -> None:
        for left in self._folder.glob("*.tmp.*"):
            with suppress(FileNotFoundError):
                if time.time() - left.stat().st_mtime > STALE_AFTER_SECONDS:
                    shutil.rmtree(left, ignore_errors=True)
        if self._limit is None:
            return
        sizes = {entry: _size(entry) for entry in self._entries()}
        excess = sum(sizes.values()) - self._limit * GB
        for entry, size in sizes.items():
            if excess <= 0:
                break
            _remove(entry)
            excess -= size


def _size(entry: Path) -> int:
    with suppress(FileNotFoundError):
        return sum(file.stat().st_size for file in entry.iterdir())
    return 0


def _remove(entry: Path) -> None:
    """Remove an entry atomically (rename, then delete), and its group if that is empty."""
    group = entry.parent
    removed = temporary_name(group.with_name(f"{entry.name}.old"))
    with suppress(OSError):
        entry.rename(removed)
        shutil.rmtree(removed, ignore_errors=True)
        group.rmdir()


_reusable: ContextVar[Sequence[Path]] = ContextVar("manifests of earlier work", default=())


@contextmanager
def reusing(manifests: Sequence[Path]) -> Iterator[None]:
    """Let a stage reuse records from these cached manifests within the block."""
    token = _reusable.set(manifests)
    try:
        yield
    finally:
        _reusable.reset(token)


def reusable() -> Sequence[Path]:
    """Return the cached manifests whose records a stage may reuse, newest first."""
    return _reusable.get()
