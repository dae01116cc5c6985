"""The folder of a training that is not done: held by one process, kept for the next."""

from __future__ import annotations

import fcntl
import json
import os
import socket
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from io import TextIOWrapper
from pathlib import Path
from typing import Any

from aepsl.console import log
from aepsl.errors import AepslError
from aepsl.stores.models import Tensors, load_model, save_model


class WorkFolder:
    """Where a training keeps its checkpoint; made by :func:`holding`."""

    def __init__(self, folder: Path, *, key: str) -> None:
        self.checkpoint = folder / "checkpoint.safetensors"
        self._key = key

    def save(self, tensors: Mapping[str, Any], progress: Mapping[str, Any]) -> None:
        """Replace the checkpoint, all or nothing."""
        # As text: the columns of the curve keep their order.
        facts = {"key": self._key, "progress": json.dumps(progress)}
        save_model(self.checkpoint, tensors, facts)

    def load(self) -> tuple[Tensors, dict[str, Any]] | None:
        """Return the checkpoint that was left, if it is of the same training and whole."""
        if not self.checkpoint.exists():
            return None
        try:
            tensors, facts = load_model(self.checkpoint)
        except AepslError as error:
            log.warning("%s\nThe training starts anew.", error)
            return None
        if facts.get("key") != self._key:
            log.info("%s is of other settings: the training starts anew", self.checkpoint)
            return None
        return tensors, json.loads(facts["progress"])


def _holder(file: TextIOWrapper) -> str:
    file.seek(0)
    try:
        about = json.loads(file.read())
        return f"process {about['pid']} on {about['host']}, since {about['since']}"
    except (ValueError, KeyError, TypeError):
        return "another process"


def _locked(folder: Path) -> TextIOWrapper:
    """Return the folder's lock file, locked; again if its last holder has just removed it."""
    while True:
        folder.mkdir(parents=True, exist_ok=True)
        lock = folder / "lock"
        file = lock.open("a+", encoding="utf-8")
        try:
            fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            with file:
                hint = "wait for it, or stop it with kill, which saves where it is; then run again"
                raise AepslError.of(folder, f"is held by {_holder(file)}", hint) from None
        with suppress(FileNotFoundError):
            if lock.stat().st_ino == os.fstat(file.fileno()).st_ino:
                return file
        file.close()


@contextmanager
def holding(folder: Path, *, key: str) -> Iterator[WorkFolder]:
    """Hold a work folder for this process; it is removed when the block ends without an error.

    The lock is the system's (POSIX, so it holds across nodes where the file system has locks) and
    ends with its process: there is no such thing as a stale one.

    Args:
        folder: is made if absent.
        key: of what the training depends on; a checkpoint of another key is not taken up.

    Raises:
        AepslError: if another process holds it, saying which.
    """
    with _locked(folder) as file:
        about = {"pid": os.getpid(), "host": socket.gethostname()}
        about["since"] = datetime.now(UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
        file.truncate(0)
        file.write(json.dumps(about) + "\n")
        file.flush()
        work = WorkFolder(folder, key=key)
        yield work
        work.checkpoint.unlink(missing_ok=True)
        Path(file.name).unlink()
        with suppress(OSError):
            folder.rmdir()  # unless somebody keeps other things in it
