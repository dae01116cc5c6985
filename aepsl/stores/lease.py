"""Who does a piece of work: a lock on a file, on this machine or across nodes.

The lock is the system's (POSIX, so it holds across nodes where the file system has locks) and ends
with its process: there is no such thing as a stale one.
"""

from __future__ import annotations

import errno
import fcntl
import json
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from io import TextIOWrapper
from pathlib import Path

from aepsl.console import log

NO_LOCKS = (errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP)
"""What a file system without locks answers."""


class Lease:
    """A file that one process at a time holds."""

    def __init__(self, path: Path) -> None:
        """Name the file; it is made when it is taken, and removed when it is released."""
        self.path = path
        self._file: TextIOWrapper | None = None

    def take(self, *, wait: bool = False) -> bool:
        """Hold the file; return whether it is held now. It is not asked for twice.

        On a file system without locks it counts as held, with a warning.
        """
        while True:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            file = self.path.open("a+", encoding="utf-8")
            try:
                fcntl.lockf(file, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
            except BlockingIOError:
                file.close()
                return False
            except OSError as error:
                if error.errno not in NO_LOCKS:
                    file.close()
                    raise
                what = "no locks here (%s): nothing keeps another job from the same work"
                log.warning("%s: " + what, self.path, error.strerror)
            if self._is_current(file):
                self._file = file
                self._sign()
                return True
            file.close()

    def _is_current(self, file: TextIOWrapper) -> bool:
        """Return whether the file still has its name: its last holder removes it."""
        with suppress(FileNotFoundError):
            return self.path.stat().st_ino == os.fstat(file.fileno()).st_ino
        return False

    def _sign(self) -> None:
        assert self._file
        about = {"pid": os.getpid(), "host": socket.gethostname()}
        if job := os.environ.get("SLURM_JOB_ID"):
            about["slurm_job"] = job
        about["since"] = datetime.now(UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
        self._file.truncate(0)
        self._file.write(json.dumps(about) + "\n")
        self._file.flush()

    @property
    def holder(self) -> str:
        """Return who holds it, in words."""
        try:
            about = json.loads(self.path.read_text(encoding="utf-8"))
            job = f" (SLURM job {about['slurm_job']})" if "slurm_job" in about else ""
            return f"process {about['pid']} on {about['host']}{job}, since {about['since']}"
        except (OSError, ValueError, KeyError, TypeError):
            return "another process"

    def release(self) -> None:
        """Let go of it."""
        if self._file:
            with suppress(OSError):
                self.path.unlink()
            self._file.close()
            self._file = None


@contextmanager
def leased(path: Path, *, what: str) -> Iterator[None]:
    """Hold the file ``path`` until the block ends; wait for whoever else holds it, and say so.

    Args:
        path: the file of the lease.
        what: is held, for people.
    """
    lease = Lease(path)
    if not lease.take():
        log.info("waits: %s is being written by %s", what, lease.holder)
        lease.take(wait=True)
    try:
        yield
    finally:
        lease.release()
