"""Finished work, kept for other runs and folders under a digest of all that it was made from.

An entry is a folder with copies of what a job wrote and a note of how it was made. It appears whole
or not at all; what is taken from it is checked. Nothing in it is needed: it may be deleted at any
time.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, suppress
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from types import MappingProxyType
from typing import Any

from aepsl.console import log
from aepsl.errors import AepslError
from aepsl.stores.atomic import (
    HOST,
    checked,
    digest_of,
    orphans,
    read_manifest_json,
    replacing,
    temporary_name,
    write_manifest_json,
)


@dataclass(frozen=True)
class Made:
    """How an entry was made."""

    files: dict[str, str]
    """The digest of each file, by name."""
    on: str
    """The day and hour."""
    host: str
    seconds: float


ABOUT = "entry.json"
FAMILIES = "families"
GB = 10**9

FORGOTTEN = 24 * 3600
"""Seconds after which nobody is at work any more on what is half kept."""


def key_of(about: Mapping[str, Any]) -> str:
    """Return the digest of what work was made from."""
    return hashlib.sha256(json.dumps(about, sort_keys=True).encode()).hexdigest()


class Cache:
    """A folder of finished work; safe for many processes at once, on one machine or several."""

    def __init__(self, folder: Path, *, limit: float | None = None) -> None:
        """Use ``folder``, which is made when there is something to keep.

        Args:
            folder: where the entries lie.
            limit: GB of entries; beyond it those that nobody asked for the longest are removed.
        """
        self._folder = folder
        self._limit = limit

    def _entry(self, key: str) -> Path:
        return self._folder / key[:2] / key

    def fetch(self, key: str, paths: Sequence[Path]) -> Made | None:
        """Put what was kept under ``key`` in ``paths``, all or nothing; return how it was made.

        None if there is no such entry, or it is not whole any more.
        """
        entry = self._entry(key)
        if not _is_there(entry):
            return None
        try:
            made = checked(entry / ABOUT, Made, read_manifest_json(entry / ABOUT))
            with ExitStack() as stack:
                for path in paths:
                    temporary = stack.enter_context(replacing(path))
                    _copy(entry / path.name, temporary)
                    if digest_of(temporary) != made.files[path.name]:
                        what = "was changed since it was written"
                        raise AepslError.of(entry / path.name, what, "nothing needs to be done")
        except FileNotFoundError:
            if _is_there(entry):
                _remove(entry)  # somebody cleaned up in it; else it was removed, to make room
            return None
        except (AepslError, KeyError) as error:
            log.warning("The cache is not whole: %s\nThe work is done again.", error)
            _remove(entry)
            return None
        with suppress(OSError):
            os.utime(entry / ABOUT)  # asked for: it goes last
        return made

    def keep(
        self,
        key: str,
        paths: Sequence[Path],
        *,
        about: Mapping[str, Any] = MappingProxyType({}),
        seconds: float = 0,
        family: str | None = None,
    ) -> None:
        """Keep copies of ``paths``, whose names differ; a cache that fails is no fault of the work.

        Args:
            key: of what they were made from.
            paths: the files.
            about: what they were made from, for people.
            seconds: that it took.
            family: of what each of their records was made from beside the image; see :meth:`kin`.
        """
        entry = self._entry(key)
        temporary = temporary_name(entry)
        try:
            for orphan in orphans(entry):
                _remove(orphan)
            if entry.exists() and not _is_whole(entry):
                _remove(entry)
            temporary.mkdir(parents=True)
            for path in paths:
                shutil.copyfile(path, temporary / path.name)
            files = {path.name: digest_of(temporary / path.name) for path in paths}
            on = datetime.now(UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
            made = Made(files, on, HOST, round(seconds, 3))
            write_manifest_json(temporary / ABOUT, {**about, **asdict(made)})
            try:
                temporary.rename(entry)
            except OSError:  # it is there: another process was as quick
                os.utime(entry / ABOUT)
            if family:
                member = self._folder / FAMILIES / family / key
                member.parent.mkdir(parents=True, exist_ok=True)
                member.touch()
            self._make_room()
        except OSError as error:
            log.warning("Nothing was kept in the cache %s: %s", self._folder, error)
        finally:
            shutil.rmtree(temporary, ignore_errors=True)

    def kin(self, family: str) -> list[Path]:
        """Return the manifests of entries whose records were made alike, the latest first."""
        found: list[tuple[float, Path]] = []
        with suppress(OSError):
            for member in (self._folder / FAMILIES / family).iterdir():
                entry = self._entry(member.name)
                if not _is_there(entry):
                    member.unlink(missing_ok=True)
                    continue
                kept = member.stat().st_mtime
                found += [(kept, p) for p in entry.glob("*.json*") if p.name != ABOUT]
        return [manifest for _, manifest in sorted(found, reverse=True)]

    def _entries(self) -> Iterator[tuple[float, int, Path]]:
        """Yield when each entry was last asked for, its bytes, and its folder."""
        for about in self._folder.glob(f"??/*/{ABOUT}"):
            with suppress(FileNotFoundError):
                size = sum(file.stat().st_size for file in about.parent.iterdir())
                yield about.stat().st_mtime, size, about.parent

    def _sweep(self) -> None:
        """Remove what jobs left that were killed while they kept something."""
        for left in self._folder.glob("??/*.tmp.*"):
            with suppress(OSError):
                if time.time() - left.stat().st_mtime > FORGOTTEN:
                    shutil.rmtree(left, ignore_errors=True)

    def _make_room(self) -> None:
        self._sweep()
        if self._limit is None:
            return
        entries = sorted(self._entries())
        total = sum(size for _, size, _ in entries)
        for _, size, entry in entries:
            if total <= self._limit * GB:
                break
            _remove(entry)
            total -= size


def _is_there(entry: Path) -> bool:
    try:
        return (entry / ABOUT).is_file()
    except OSError:
        return False  # a folder that cannot be read holds nothing


def _is_whole(entry: Path) -> bool:
    """Return whether all files of an entry are there, whatever is in them."""
    try:
        made = checked(entry / ABOUT, Made, read_manifest_json(entry / ABOUT))
        return all((entry / name).is_file() for name in made.files)
    except (AepslError, OSError):
        return False


def _copy(kept: Path, path: Path) -> None:
    """Copy a file out of an entry; that it cannot be read is the entry's fault."""
    try:
        with kept.open("rb") as source:
            source.read(1)
    except FileNotFoundError:
        raise
    except OSError as error:
        raise AepslError.of(kept, f"cannot be read ({error})", "nothing needs to be done") from None
    shutil.copyfile(kept, path)


def _remove(entry: Path) -> None:
    """Remove an entry at once for all who look for it."""
    condemned = temporary_name(entry)
    with suppress(OSError):
        entry.rename(condemned)
    shutil.rmtree(condemned, ignore_errors=True)
