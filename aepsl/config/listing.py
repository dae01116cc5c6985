"""The whole of a configuration as YAML: each value with its unit, its source and its origin."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel

from aepsl.config.presets import FOLDER
from aepsl.config.root import Config
from aepsl.text import read_text, yaml_node

COLUMN = 44
"""Column of the comments."""

Key = tuple[str, ...]


@dataclass(frozen=True)
class Origin:
    """The place that sets a value."""

    place: str
    """For instance ``preset photographs`` or ``mine.yaml:3``."""
    comment: str
    """The comment beside the value there."""


def origins_in(file: Path) -> dict[Key, Origin]:
    """Return the origin of each setting of a YAML file, by its key and those of its sections.

    Args:
        file: a preset or a configuration file, which must be valid YAML.
    """
    text = read_text(file)
    lines = text.splitlines()
    place = f"preset {file.stem}" if file.parent == FOLDER else ""

    def walk(node: yaml.Node | None, path: Key) -> Iterator[tuple[Key, Origin]]:
        if not isinstance(node, yaml.MappingNode):
            return
        for key, value in node.value:
            line, here = key.start_mark.line, (*path, str(key.value))
            if isinstance(value, yaml.MappingNode) and value.value:
                yield from walk(value, here)
                continue
            comment = ""
            if value.end_mark.line == line:
                comment = lines[line][value.end_mark.column :].partition(" #")[2].strip()
            yield here, Origin(place or f"{file}:{line + 1}", comment)

    return dict(walk(yaml_node(text, file), ()))


def listing(
    config: Config, *, files: Sequence[Path], arguments: Mapping[str, Any]
) -> Iterator[tuple[Key, Any, str, str]]:
    """Yield each setting that applies: its key, its value, its unit and source, and its origin.

    Args:
        config: the whole configuration.
        files: presets and configuration files; later ones override earlier ones.
        arguments: the values of the command line.
    """
    origins: dict[Key, Origin] = {}
    for file in files:
        origins |= origins_in(file)
    origins |= {key: Origin("--config", "") for key, _ in _leaves(arguments, ())}
    for key, value in _leaves(config.model_dump(mode="json"), ()):
        unit, source = _recorded(key)
        if (origin := origins.get(key)) is None:
            yield key, value, "; ".join(t for t in (unit, source) if t != "-"), "default"
        else:
            yield key, value, origin.comment or (unit if unit != "-" else ""), origin.place


def as_yaml(settings: Iterator[tuple[Key, Any, str, str]]) -> str:
    """Return settings as YAML, each with its origin and its unit and source as a comment."""
    lines: list[str] = []
    before: Key = ()
    for key, value, about, origin in settings:
        shared = 0
        while shared < min(len(before), len(key) - 1) and before[shared] == key[shared]:
            shared += 1
        lines += [f"{'  ' * n}{flow_style(key[n])}:" for n in range(shared, len(key) - 1)]
        line = f"{'  ' * (len(key) - 1)}{flow_style(key[-1])}: {flow_style(value)}"
        lines.append(f"{line:<{COLUMN}} # {origin}{': ' if about else ''}{about}")
        before = key
    return "\n".join(lines) + "\n"


def _leaves(values: Mapping[str, Any], path: Key) -> Iterator[tuple[Key, Any]]:
    for name, value in values.items():
        if isinstance(value, Mapping) and value:
            yield from _leaves(value, (*path, str(name)))
        else:
            yield (*path, str(name)), value


def _recorded(key: Key) -> tuple[str, str]:
    """Return the unit and the source that a setting's definition records."""
    model: Any = Config
    for name in key:
        field = model.model_fields.get(name)
        if field is None:
            return "-", "-"
        model = field.annotation
        if not (isinstance(model, type) and issubclass(model, BaseModel)):
            extra = field.json_schema_extra or {}
            return str(extra.get("unit", "-")), str(extra.get("source", "-"))
    return "-", "-"


def flow_style(value: Any) -> str:
    """Return a value as YAML in one line."""
    text = yaml.safe_dump(value, default_flow_style=True, width=10**6, allow_unicode=True)
    return text.removesuffix("\n").removesuffix("\n...")
