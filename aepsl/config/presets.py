"""Presets: complete configurations by name, of which a configuration holds only the differences.

``base: photographs`` starts from ``presets/photographs.yaml`` in this folder, and
``base: [photographs, best]`` from the same with ``presets/best.yaml`` laid over it. A preset can
start from another one.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

from aepsl.errors import AepslError, did_you_mean
from aepsl.text import parse_yaml, read_text

PRESETS = ("scenes", "photographs", "voc-small", "voc2012")
"""The presets of datasets, each a complete configuration."""

RECIPES = ("paper", "best")
"""The presets that change the method of any dataset's."""

FOLDER = Path(__file__).with_name("presets")


def merged(base: Mapping[str, Any], override: Mapping[str, Any]) -> dict[str, Any]:
    """Return ``base`` updated with ``override``; nested sections are merged."""
    result = dict(base)
    for key, value in override.items():
        old = result.get(key)
        nested = isinstance(old, Mapping) and isinstance(value, Mapping)
        result[key] = merged(old, value) if nested else value  # type: ignore[arg-type]
    return result


def preset_files(base: object) -> list[Path]:
    """Return the files of presets in the order in which they are merged; none for None.

    Args:
        base: the name of a preset, or a list of names.

    Raises:
        AepslError: if there is no such preset.
    """
    if base is None or base == "null":
        return []
    names = base if isinstance(base, Sequence) and not isinstance(base, str) else [base]
    files: list[Path] = []
    for name in names:
        *inherited, own = _files(name)
        files += [file for file in inherited if file not in files]
        files = [*(file for file in files if file != own), own]
    return files


def _files(name: object) -> list[Path]:
    known = (*PRESETS, *RECIPES)
    if name not in known:
        hint = did_you_mean(str(name), known) or f"one of {', '.join(known)}"
        raise AepslError.of("base", f"there is no preset {name!r}", hint)
    files = [FOLDER / f"{name}.yaml"]
    while name := _content(files[0]).get("base"):
        files.insert(0, FOLDER / f"{name}.yaml")
    return files


@cache
def _content(file: Path) -> Mapping[str, Any]:
    content: Mapping[str, Any] = parse_yaml(read_text(file), file)
    return content


def expanded(config: Mapping[str, Any]) -> dict[str, Any]:
    """Return the presets that ``config`` names in ``base``, updated with ``config``.

    Raises:
        AepslError: if there is no such preset.
    """
    whole: dict[str, Any] = {}
    for file in preset_files(config.get("base")):
        whole = merged(whole, _content(file))
    return merged(whole, config)
