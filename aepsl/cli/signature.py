"""Signatures of commands: read the marks of parameters, add the options of wrappers."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar, get_args

from aepsl.stages._options import Writes

M = TypeVar("M")


def marked(command: Callable[..., Any], mark: type[M]) -> dict[str, M]:
    """Return the options of ``command`` that carry ``mark``."""
    parameters = inspect.signature(command, eval_str=True).parameters
    return {
        name: marker
        for name, parameter in parameters.items()
        for marker in get_args(parameter.annotation)
        if isinstance(marker, mark)
    }


def written(command: Callable[..., Any], options: Mapping[str, Any]) -> list[Path]:
    """Return the files and folders that a call of ``command`` writes."""
    marks = marked(command, Writes)
    return [path for name, mark in marks.items() for path in mark.paths(options[name])]


def with_options(
    run: Callable[..., None], command: Callable[..., Any], more: Mapping[str, Any]
) -> None:
    """Set the signature of ``run`` to that of ``command`` plus ``more`` options, all keyword-only.

    Args:
        run: function that gets the signature.
        command: the function that ``run`` wraps.
        more: annotations of the added options by name; their default is None.
    """
    signature = inspect.signature(command, eval_str=True)
    keyword = inspect.Parameter.KEYWORD_ONLY
    own = [
        parameter.replace(kind=keyword)
        for name, parameter in signature.parameters.items()
        if name not in more
    ]
    added = [
        inspect.Parameter(name, keyword, default=None, annotation=annotation)
        for name, annotation in more.items()
    ]
    run.__signature__ = signature.replace(parameters=[*own, *added])  # type: ignore[attr-defined]
