"""Checkpoint folder of an unfinished training, locked by one process."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from aepsl.console import log
from aepsl.errors import AepslError
from aepsl.stores.lock import FileLock
from aepsl.stores.models import Tensors, load_model, save_model
from aepsl.text import parse_json


class CheckpointFolder:
    """The checkpoint folder of a training; created by :func:`locked`."""

    def __init__(self, folder: Path, *, key: str) -> None:
        self.checkpoint = folder / "checkpoint.safetensors"
        self._key = key

    def save(self, tensors: Mapping[str, Any], progress: Mapping[str, Any]) -> None:
        """Save a checkpoint in place of the last one, atomically."""
        # Stored as text, which preserves the order of the curve's columns.
        facts = {"key": self._key, "progress": json.dumps(progress)}
        save_model(self.checkpoint, tensors, facts)

    def load(self) -> tuple[Tensors, dict[str, Any]] | None:
        """Return the checkpoint, if it belongs to the same training and is intact; else None."""
        if not self.checkpoint.exists():
            return None
        try:
            tensors, facts = load_model(self.checkpoint)
        except AepslError as error:
            log.warning("%s\nThe training starts from scratch.", error)
            return None
        if facts.get("key") != self._key:
            log.info("%s has other settings: the training starts from scratch", self.checkpoint)
            return None
        return tensors, parse_json(facts["progress"], self.checkpoint)


@contextmanager
def locked(folder: Path, *, key: str) -> Iterator[CheckpointFolder]:
    """Lock a checkpoint folder for the block; remove it if the block succeeds.

    The lock is the file ``<folder>.lock``, which is not removed.

    Args:
        folder: created when the first checkpoint is saved.
        key: digest of all settings and inputs; a checkpoint with another key is ignored.

    Raises:
        AepslError: if another process holds the lock; the message names that process.
    """
    lock = FileLock(folder.with_name(f"{folder.name}.lock"))
    if not lock.take():
        hint = "wait for it, or stop it with kill (it saves a checkpoint); then run again"
        raise AepslError.of(folder, f"is in use by {lock.holder}", hint)
    try:
        checkpoints = CheckpointFolder(folder, key=key)
        yield checkpoints
        checkpoints.checkpoint.unlink(missing_ok=True)
        with suppress(OSError):
            folder.rmdir()  # fails if other files are in it, which stay
    finally:
        lock.release()
