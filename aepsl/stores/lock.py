"""File locks, on one machine or between nodes.

The locks are POSIX locks, which also work between nodes if the file system supports them. They end
with their process, so a lock is never stale. A lock file is never removed: otherwise two processes
could each lock a different file of the same name.
"""

from __future__ import annotations

import errno
import fcntl
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TextIO

from aepsl.console import log

NO_LOCKS = (errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP, errno.ENOTSUP)
"""Errors of a file system without locks."""


def _this_process() -> str:
    job = os.environ.get("SLURM_JOB_ID")
    where = f"{socket.gethostname()} (SLURM job {job})" if job else socket.gethostname()
    return f"process {os.getpid()} on {where}, since {datetime.now(UTC):%Y-%m-%d %H:%M:%S UTC}"


class FileLock:
    """The lock on one file."""

    def __init__(self, path: Path) -> None:
        """``path``: lock file, created when the lock is first taken."""
        self.path = path
        self._file: TextIO | None = None

    def take(self, *, wait: bool = False) -> bool:
        """Try to take the lock, or ``wait`` for it; return whether this process holds it now.

        On a file system without locks, log a warning and return True.
        """
        self.path.parent.mkdir(parents=True, exist_ok=True)
        file = self.path.open("a", encoding="utf-8")
        try:
            fcntl.lockf(file, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
        except BlockingIOError:
            file.close()
            return False
        except OSError as error:
            if error.errno not in NO_LOCKS:
                file.close()
                raise
            what = "no locks here (%s): another job may do the same work at the same time"
            log.warning("%s: " + what, self.path, error.strerror)
        file.truncate(0)
        print(_this_process(), file=file, flush=True)
        self._file = file
        return True

    def is_held(self) -> bool | None:
        """Return whether another process holds the lock, without taking it; None if unknown.

        It is unknown on a file system without locks, or if the file cannot be read. Not for a
        process that may hold the lock itself (POSIX).
        """
        try:
            with self.path.open("rb") as file:
                fcntl.lockf(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        except FileNotFoundError:
            return False
        except OSError:
            return None
        return False

    @property
    def holder(self) -> str:
        """Description of the process that holds the lock.

        Use it only if :meth:`take` has failed: closing the file after reading would release a lock
        of this process (POSIX).
        """
        try:
            return self.path.read_text(encoding="utf-8").strip() or "another process"
        except (OSError, ValueError):
            return "another process"

    def release(self) -> None:
        """Release the lock, if this process holds it."""
        if self._file:
            self._file.close()
            self._file = None


@contextmanager
def locked(path: Path, *, what: str) -> Iterator[None]:
    """Lock ``path`` for the block; log and wait while another process holds the lock.

    ``what`` names the protected file in the log.
    """
    lock = FileLock(path)
    if not lock.take():
        log.info("waiting: %s is being written by %s", what, lock.holder)
        lock.take(wait=True)
    try:
        yield
    finally:
        lock.release()
