"""The folder of a training that is not done: held by one process, kept for the next."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from aepsl.console import log
from aepsl.errors import AepslError
from aepsl.stores.lease import Lease
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


@contextmanager
def holding(folder: Path, *, key: str) -> Iterator[WorkFolder]:
    """Hold a work folder for this process; it is removed when the block ends without an error.

    Args:
        folder: is made if absent.
        key: of what the training depends on; a checkpoint of another key is not taken up.

    Raises:
        AepslError: if another process holds it, saying which.
    """
    lease = Lease(folder / "lock")
    if not lease.take():
        hint = "wait for it, or stop it with kill, which saves where it is; then run again"
        raise AepslError.of(folder, f"is held by {lease.holder}", hint)
    try:
        work = WorkFolder(folder, key=key)
        yield work
        work.checkpoint.unlink(missing_ok=True)
    finally:
        lease.release()
        with suppress(OSError):
            folder.rmdir()  # unless there is something to go on from, or somebody's own
