"""Errors that a user can act on: each names the file, the problem and a hint."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
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
