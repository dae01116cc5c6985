"""Errors that a user can fix: each names the file, the problem and a hint."""

from __future__ import annotations

import errno
import os
import re
import stat
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from difflib import get_close_matches
from pathlib import Path


@dataclass(frozen=True)
class Problem:
    """One problem: where it is, what it is, and a hint how to solve it."""

    where: str
    what: str
    hint: str

    def __str__(self) -> str:
        return f"{self.where}: {self.what}\n    Hint: {self.hint}"


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """Return the question for the known name that is most similar to ``name``, or no text.

    >>> did_you_mean("areoplane", ["aeroplane", "cat"])
    'did you mean aeroplane?'
    """
    near = get_close_matches(name, list(known), n=1)
    return f"did you mean {near[0]}?" if near else ""


MOST_EQUAL = 3
"""Largest number of equal problems that are all shown."""


def told_once(problems: Sequence[Problem]) -> Iterator[Problem]:
    """Yield the problems; of more than :data:`MOST_EQUAL` equal ones, the first and their number.

    >>> many = [Problem(f"image {n}", "has no labels", "give it one") for n in range(40)]
    >>> [problem.where for problem in told_once(many)]
    ['image 0 and 39 more']
    """
    counts = Counter((problem.what, problem.hint) for problem in problems)
    told = set()
    for problem in problems:
        equal = counts[problem.what, problem.hint]
        if equal <= MOST_EQUAL:
            yield problem
        elif (problem.what, problem.hint) not in told:
            told.add((problem.what, problem.hint))
            yield replace(problem, where=f"{problem.where} and {equal - 1} more")


class AepslError(Exception):
    """An error that the user can fix, shown without a traceback."""

    def __init__(self, problems: Sequence[Problem], summary: str | None = None) -> None:
        self.problems = tuple(problems)
        self.summary = summary
        super().__init__(str(self))

    def __str__(self) -> str:
        lines = [self.summary] if self.summary else []
        return "\n".join(lines + [str(problem) for problem in told_once(self.problems)])

    def __reduce__(self) -> tuple[type[AepslError], tuple[tuple[Problem, ...], str | None]]:
        """Return what a copy in another process is made of: not the message alone."""
        return type(self), (self.problems, self.summary)

    @classmethod
    def of(cls, where: str | Path, what: str, hint: str) -> AepslError:
        """Return an error with one problem."""
        return cls([Problem(str(where), what, hint)])


KINDS = {
    stat.S_IFREG: "a file",
    stat.S_IFDIR: "a folder",
    stat.S_IFIFO: "a named pipe",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
}
"""File types by their mode bits, as error messages name them."""


def kind_of(path: Path) -> str:
    """Return the type of the file at ``path``, one of :data:`KINDS`.

    Raises:
        OSError: if the path does not exist or cannot be reached.
    """
    return KINDS[stat.S_IFMT(path.stat().st_mode)]


def require_file(path: Path) -> None:
    """Check that a path is a regular file; reading a named pipe would block until it is written to.

    Raises:
        AepslError: if it is not, naming its type.
        OSError: if the path does not exist or cannot be reached.
    """
    if (kind := kind_of(path)) != KINDS[stat.S_IFREG]:
        raise AepslError.of(path, f"is {kind}, not a file", "put a regular file in its place")


RERUN_HINT = "then run the same command again: finished work is kept"

FULL = {errno.ENOSPC, errno.EDQUOT}
_DEAD = ["EIO", "ESTALE", "ENOTCONN", "ENODEV", "ENXIO", "EHOSTDOWN", "ETIMEDOUT", "EREMOTEIO"]

SYSTEM_ERRORS = (
    (FULL, "the disk is full", f"free disk space, {RERUN_HINT}"),
    (
        {errno.EROFS, errno.EACCES, errno.EPERM},
        "permission denied",
        f"fix its permissions, {RERUN_HINT}",
    ),
    (
        {getattr(errno, name) for name in _DEAD if hasattr(errno, name)},  # macOS lacks the last
        "the file system does not respond",
        f"check the disk or the mount, {RERUN_HINT}",
    ),
)
"""System errors by errno: message and hint for each."""


def _number(error: OSError) -> int | None:
    """Return the errno of an error; HDF5 reports it only in the message."""
    match = re.search(r"errno = (\d+)", str(error))
    return int(match[1]) if match else error.errno


def system_error(error: BaseException, *, where: str | Path | None = None) -> AepslError | None:
    """Return an AepslError for a system error (disk, permissions, memory); None for any other.

    Args:
        error: the exception.
        where: the file to name if the exception names none.
    """
    text = str(error)
    if isinstance(error, OSError):
        number = _number(error)
        for numbers, what, hint in SYSTEM_ERRORS:
            if number in numbers:
                place = error.filename or where or "unknown file"
                return AepslError.of(str(place), f"{what} ({os.strerror(number or 0)})", hint)
    if isinstance(error, MemoryError) or "out of memory" in text.lower():
        hint = "reduce the batch size or the crop, run fewer jobs at once, or use a larger machine"
        return AepslError.of("memory", "out of memory", f"{hint}; {RERUN_HINT}")
    if "DataLoader worker" in text:
        hint = f"lower runtime.workers: each worker uses memory; {RERUN_HINT}"
        return AepslError.of(
            "a data loading worker", "was killed, probably because it ran out of memory", hint
        )
    return None


@contextmanager
def errors_name_file(path: Path) -> Iterator[None]:
    """Add the path of the file being written to the system's error for a full disk."""
    try:
        yield
    except OSError as error:
        if error.filename is None and _number(error) in FULL:
            error.filename = str(path)
        raise


def read_error(error: BaseException, where: Path, what: str, hint: str) -> AepslError:
    """Return the error for an unreadable file: a system error if it is one, else ``what``."""
    return system_error(error, where=where) or AepslError.of(where, what, hint)
