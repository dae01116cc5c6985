"""Files that are either whole or absent."""

from __future__ import annotations

import hashlib
import json
import os
import socket
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from glob import escape
from pathlib import Path
from typing import Any, TypeVar

from pydantic import TypeAdapter, ValidationError

from aepsl.errors import AepslError

T = TypeVar("T")

HOST = socket.gethostname()


def temporary_name(path: Path) -> Path:
    """Return the name beside ``path`` under which this process makes it."""
    return path.with_name(f"{path.name}.tmp.{HOST}.{os.getpid()}")


def orphans(path: Path) -> Iterator[Path]:
    """Yield what killed processes of this machine left of ``path``."""
    for found in path.parent.glob(f"{escape(path.name)}.tmp.{escape(HOST)}.*"):
        try:
            os.kill(int(found.suffix[1:]), 0)
        except (ProcessLookupError, ValueError):
            yield found
        except PermissionError:
            pass  # somebody else's process, alive


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Yield a temporary name beside ``path``; sync and rename it to ``path`` when the block ends.

    If the block raises, the temporary file is removed and ``path`` is left as it was.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    for orphan in orphans(path):
        orphan.unlink(missing_ok=True)
    temporary = temporary_name(path)
    try:
        yield temporary
        with temporary.open("rb+") as file:
            os.fsync(file.fileno())
        temporary.replace(path)
        folder = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
    finally:
        temporary.unlink(missing_ok=True)


def write_text(path: Path, text: str) -> None:
    """Write ``text`` as UTF-8, all or nothing."""
    with replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def write_json(path: Path, value: Any) -> None:
    """Write ``value`` as indented JSON, keys in their order, all or nothing."""
    write_text(path, json.dumps(value, indent=1, ensure_ascii=False) + "\n")


def read_json(path: Path) -> Any:
    """Return what a JSON file holds.

    Raises:
        AepslError: if it is absent or not JSON.
    """
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise AepslError.of(path, "the file is not there", "run the stage that makes it") from None
    except (ValueError, RecursionError) as error:
        raise AepslError.of(
            path, f"not JSON ({error})", "remove it and run its stage again"
        ) from None


def self_digest(value: Mapping[str, Any]) -> str:
    """Return the digest that a manifest holds of itself."""
    plain = {name: part for name, part in value.items() if name != "self_sha256"}
    return hashlib.sha256(json.dumps(plain, sort_keys=True).encode()).hexdigest()


def write_manifest_json(path: Path, value: Mapping[str, Any]) -> None:
    """Write ``value`` as JSON with a digest of itself, all or nothing."""
    write_json(path, {**value, "self_sha256": self_digest(value)})


def read_manifest_json(path: Path) -> dict[str, Any]:
    """Return what :func:`write_manifest_json` wrote.

    Raises:
        AepslError: if it is absent, not such JSON, or was changed since it was written.
    """
    value = read_json(path)
    hint = "remove it and run its stage again"
    if not isinstance(value, dict) or "self_sha256" not in value:
        raise AepslError.of(path, "not a manifest of this version", hint)
    if value.pop("self_sha256") != self_digest(value):
        raise AepslError.of(path, "was changed since it was written", hint)
    return value


def checked(path: Path, kind: type[T], value: Any) -> T:
    """Return ``value``, read from ``path``, as a dataclass.

    Raises:
        AepslError: if it is something else.
    """
    try:
        return TypeAdapter(kind).validate_python(value)
    except ValidationError as failure:
        raise _strange(path, failure) from None


def checked_lines(path: Path, kind: type[T], lines: Iterable[bytes]) -> list[T]:
    """Return ``lines`` of JSON, read from ``path``, as dataclasses; see :func:`checked`."""
    read = TypeAdapter(kind).validate_json
    try:
        return [read(line) for line in lines]
    except ValidationError as failure:
        raise _strange(path, failure) from None


def _strange(path: Path, failure: ValidationError) -> AepslError:
    first = failure.errors()[0]
    place = ".".join(map(str, first["loc"])) or "it"
    what = f"not a manifest of this version ({place}: {first['msg']})"
    return AepslError.of(path, what, "remove it and run its stage again")


def digest_of(path: Path) -> str:
    """Return the SHA-256 of a file, in hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
