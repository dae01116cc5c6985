"""Presets: complete configurations by name, of which a configuration holds only the differences.

``base: photographs`` starts from ``presets/photographs.yaml`` in this folder. A preset can start
from another one.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from aepsl.errors import AepslError, did_you_mean

PRESETS = ("scenes", "photographs", "voc-small", "voc2012")
"""The presets that a configuration can start from."""

FOLDER = Path(__file__).with_name("presets")


def merged(base: Mapping[str, Any], override: Mapping[str, Any]) -> dict[str, Any]:
    """Return ``base`` updated with ``override``; nested sections are merged."""
    result = dict(base)
    for key, value in override.items():
        old = result.get(key)
        nested = isinstance(old, Mapping) and isinstance(value, Mapping)
        result[key] = merged(old, value) if nested else value  # type: ignore[arg-type]
    return result


def preset_files(name: object) -> list[Path]:
    """Return the files of a preset in the order in which they are merged; none for None.

    Raises:
        AepslError: if there is no such preset.
    """
    if name is None or name == "null":
        return []
    if name not in PRESETS:
        hint = did_you_mean(str(name), PRESETS) or f"one of {', '.join(PRESETS)}"
        raise AepslError.of("base", f"there is no preset {name!r}", hint)
    files = [FOLDER / f"{name}.yaml"]
    while name := yaml.safe_load(files[0].read_text(encoding="utf-8")).get("base"):
        files.insert(0, FOLDER / f"{name}.yaml")
    return files


def expanded(config: Mapping[str, Any]) -> dict[str, Any]:
    """Return the preset that ``config`` names in ``base``, updated with ``config``.

    Raises:
        AepslError: if there is no such preset.
    """
    whole: dict[str, Any] = {}
    for file in preset_files(config.get("base")):
        whole = merged(whole, yaml.safe_load(file.read_text(encoding="utf-8")))
    return merged(whole, config)
