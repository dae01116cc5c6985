"""Atomic writes: a file or folder is either complete or missing."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import socket
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from glob import escape
from pathlib import Path
from typing import Any, TypeVar

from pydantic import TypeAdapter, ValidationError

from aepsl.errors import AepslError, errors_name_file, require_file
from aepsl.text import RUN_AGAIN, read_json

T = TypeVar("T")

HOST = socket.gethostname()


def temporary_name(path: Path) -> Path:
    """Return this process's temporary name for ``path``, in the same folder."""
    return path.with_name(f"{path.name}.tmp.{HOST}.{os.getpid()}")


def stale_temporary_files(path: Path) -> Iterator[Path]:
    """Yield temporary files of ``path`` left by dead processes of this machine."""
    for file in path.parent.glob(f"{escape(path.name)}.tmp.{escape(HOST)}.*"):
        try:
            os.kill(int(file.suffix[1:]), 0)
        except (ProcessLookupError, ValueError):
            yield file
        except PermissionError:
            pass  # the process exists and belongs to another user


@contextmanager
def atomic_write(path: Path) -> Iterator[Path]:
    """Yield a temporary path; at the end of the block, sync it and rename it to ``path``.

    If the block raises, the temporary file is removed and ``path`` stays unchanged.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    for orphan in stale_temporary_files(path):
        orphan.unlink(missing_ok=True)
    temporary = temporary_name(path)
    try:
        with errors_name_file(path):
            yield temporary
        _sync(temporary)
        temporary.replace(path)
        _sync(path.parent)
    finally:
        temporary.unlink(missing_ok=True)


@contextmanager
def atomic_folder(path: Path) -> Iterator[Path]:
    """Yield a temporary empty folder; at the end of the block, sync it and rename it to ``path``.

    If the block raises, the temporary folder is removed. The caller makes sure that ``path`` does
    not exist.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    for orphan in stale_temporary_files(path):
        shutil.rmtree(orphan, ignore_errors=True)
    temporary = temporary_name(path)
    temporary.mkdir()
    try:
        with errors_name_file(path):
            yield temporary
        for written in (*temporary.rglob("*"), temporary):
            if not written.is_symlink():
                _sync(written)
        temporary.rename(path)
        _sync(path.parent)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _sync(path: Path) -> None:
    """Wait until a file, or the list of a folder's files, is on the disk."""
    opened = os.open(path, os.O_RDONLY)
    try:
        os.fsync(opened)
    finally:
        os.close(opened)


def write_text(path: Path, text: str) -> None:
    """Write ``text`` as UTF-8, atomically."""
    with atomic_write(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def write_json(path: Path, value: Any) -> None:
    """Write ``value`` as indented JSON, atomically; keys keep their order."""
    write_text(path, json.dumps(value, indent=1, ensure_ascii=False) + "\n")


def self_digest(value: Mapping[str, Any]) -> str:
    """Return the digest of a manifest's content, which is stored in the manifest."""
    plain = {name: part for name, part in value.items() if name != "self_sha256"}
    return hashlib.sha256(json.dumps(plain, sort_keys=True).encode()).hexdigest()


def write_manifest_json(path: Path, value: Mapping[str, Any]) -> None:
    """Write ``value`` as JSON together with its digest, atomically."""
    write_json(path, {**value, "self_sha256": self_digest(value)})


def read_manifest_json(path: Path) -> dict[str, Any]:
    """Return the content of a file that :func:`write_manifest_json` wrote.

    Raises:
        AepslError: if it is missing, not such a file, or was modified.
    """
    value = read_json(path, absent="run the stage that writes it", hint=RUN_AGAIN)
    if not isinstance(value, dict) or "self_sha256" not in value:
        raise AepslError.of(path, "not a manifest of this version", RUN_AGAIN)
    if value.pop("self_sha256") != self_digest(value):
        raise AepslError.of(path, "was modified after it was written", RUN_AGAIN)
    return value


def validated(path: Path, kind: type[T], value: Any) -> T:
    """Validate ``value``, read from ``path``, and return it as a dataclass.

    Raises:
        AepslError: if it does not validate.
    """
    try:
        return TypeAdapter(kind).validate_python(value)
    except ValidationError as failure:
        raise _invalid(path, failure) from None


def validated_lines(path: Path, kind: type[T], lines: Iterable[bytes]) -> list[T]:
    """Validate ``lines`` of JSON, read from ``path``; see :func:`validated`."""
    read = TypeAdapter(kind).validate_json
    try:
        return [read(line) for line in lines]
    except ValidationError as failure:
        raise _invalid(path, failure) from None


def _invalid(path: Path, failure: ValidationError) -> AepslError:
    first = failure.errors()[0]
    place = ".".join(map(str, first["loc"])) or "it"
    what = f"not a manifest of this version ({place}: {first['msg']})"
    return AepslError.of(path, what, RUN_AGAIN)


def digest_of(path: Path) -> str:
    """Return the SHA-256 of a file, in hex.

    Raises:
        AepslError: if it is not a regular file.
    """
    require_file(path)
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
