"""What an option means to a job: marks in its annotation. One without a mark is a setting."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar, get_args

M = TypeVar("M")


class Writes:
    """The option is a file or folder that the command writes."""

    def __init__(self, *beside: str) -> None:
        """Mark it; ``beside`` are names or suffixes of what is written beside it."""
        self.beside = beside

    def paths(self, path: Path) -> list[Path]:
        """Return what the command writes if the option is ``path``."""
        return [path, *(self._sibling(path, name) for name in self.beside)]

    @staticmethod
    def _sibling(path: Path, name: str) -> Path:
        return path.with_suffix(name) if name.startswith(".") else path.with_name(name)


class Reads:
    """The option is one or more files that the result depends on by their content."""

    def __init__(self, *, by_image: bool = False) -> None:
        """Mark it; ``by_image`` if a record depends on no more of it than is about its image."""
        self.by_image = by_image


class Share:
    """The option says which records are made, not what is in them."""


class Aside:
    """The option is no part of the result: a place, or how the work is done."""


def marked(command: Callable[..., Any], mark: type[M]) -> dict[str, M]:
    """Return the options of ``command`` that carry ``mark``."""
    parameters = inspect.signature(command, eval_str=True).parameters
    return {
        name: found
        for name, parameter in parameters.items()
        for found in get_args(parameter.annotation)
        if isinstance(found, mark)
    }


def with_options(
    run: Callable[..., None],
    command: Callable[..., Any],
    more: dict[str, Any],
    *,
    without: str = "",
) -> None:
    """Give ``run`` the signature of ``command`` with more options, by keyword only.

    Args:
        run: what gets it.
        command: what it wraps.
        more: annotations of the options that are added; their default is None.
        without: a parameter of ``command`` that is no option.
    """
    signature = inspect.signature(command, eval_str=True)
    keyword = inspect.Parameter.KEYWORD_ONLY
    plain = [
        parameter.replace(kind=keyword)
        for name, parameter in signature.parameters.items()
        if name not in {without, *more}
    ]
    added = [
        inspect.Parameter(name, keyword, default=None, annotation=annotation)
        for name, annotation in more.items()
    ]
    run.__signature__ = signature.replace(parameters=[*plain, *added])  # type: ignore[attr-defined]
