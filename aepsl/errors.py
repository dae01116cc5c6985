"""Errors that a user can act on: each names the file, the problem and a hint."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from errno import (
    EACCES,
    EDQUOT,
    EHOSTDOWN,
    EIO,
    ENODEV,
    ENOSPC,
    ENOTCONN,
    ENXIO,
    EPERM,
    EREMOTEIO,
    EROFS,
    ESTALE,
    ETIMEDOUT,
)
from pathlib import Path


@dataclass(frozen=True)
class Problem:
    """One thing that is wrong: where it is, what it is, what to do about it."""

    where: str
    what: str
    hint: str

    def __str__(self) -> str:
        return f"{self.where}: {self.what}\n    Hint: {self.hint}"


class AepslError(Exception):
    """A fault of the input, not of the program; shown without a traceback."""

    def __init__(self, problems: Sequence[Problem], summary: str | None = None) -> None:
        self.problems = tuple(problems)
        self.summary = summary
        super().__init__(str(self))

    def __str__(self) -> str:
        lines = [self.summary] if self.summary else []
        return "\n".join(lines + [str(problem) for problem in self.problems])

    @classmethod
    def of(cls, where: str | Path, what: str, hint: str) -> AepslError:
        """Return an error of one problem."""
        return cls([Problem(str(where), what, hint)])


GO_ON = "then run the same command again: what is done is kept"

MACHINE = (
    ({ENOSPC, EDQUOT}, "no space is left", f"make room, {GO_ON}"),
    ({EROFS, EACCES, EPERM}, "may not be written or read", f"mend its permissions, {GO_ON}"),
    (
        {EIO, ESTALE, ENOTCONN, ENODEV, ENXIO, EHOSTDOWN, ETIMEDOUT, EREMOTEIO},
        "the file system does not answer",
        f"bring the disk or mount back, {GO_ON}",
    ),
)
"""Faults of the machine by the system's number, and what to do about each."""


def fault_of_the_machine(
    error: BaseException, *, where: str | Path | None = None
) -> AepslError | None:
    """Return the error to show for one that is neither the program's nor the input's fault.

    Args:
        error: what was raised.
        where: the file that was at hand, if the error does not say.
    """
    text = str(error)
    if isinstance(error, OSError):
        number = error.errno
        if found := re.search(r"errno = (\d+)", text):  # HDF5 hides the system's own
            number = int(found[1])
        for numbers, what, hint in MACHINE:
            if number in numbers:
                place = error.filename or where or "a file"
                return AepslError.of(str(place), f"{what} ({os.strerror(number or 0)})", hint)
    if isinstance(error, MemoryError) or "out of memory" in text.lower():
        hint = f"smaller batches or crops, fewer jobs at a time, a larger machine; {GO_ON}"
        return AepslError.of("memory", "there is not enough of it", hint)
    if "DataLoader worker" in text:
        hint = f"set runtime.workers lower: each needs memory of its own; {GO_ON}"
        return AepslError.of("a loader process", "was killed, most likely for its memory", hint)
    return None


def unreadable(error: BaseException, where: Path, what: str, hint: str) -> AepslError:
    """Return what to show when ``where`` could not be read: the machine's fault, or the file's."""
    return fault_of_the_machine(error, where=where) or AepslError.of(where, what, hint)
