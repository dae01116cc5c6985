"""Configuration files: read as Snakemake reads them, without duplicate keys."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from aepsl.config.presets import merged, preset_files
from aepsl.errors import AepslError, Problem
from aepsl.shipped import shipped
from aepsl.text import parse_yaml, read_text, yaml_node


@dataclass(frozen=True)
class Configuration:
    """What Snakemake's ``config`` holds, and the files that it was read from."""

    values: Mapping[str, Any]
    files: tuple[Path, ...]
    """Presets, config.yaml, then the given files: later ones override earlier ones."""
    arguments: Mapping[str, Any]
    """Values of the command line, which override all files."""


def read_configuration(files: Sequence[Path], settings: Sequence[str] = ()) -> Configuration:
    """Return the configuration of ``snakemake --configfile FILES --config SETTINGS``.

    Args:
        files: configuration files; later ones override earlier ones.
        settings: ``key=value``, as for Snakemake's ``--config``.

    Raises:
        AepslError: if a file is missing, is not YAML or has a key twice; or a setting is no pair.
    """
    named = [shipped("config.yaml"), *files]
    values: dict[str, Any] = {}
    for file in named:
        values = merged(values, _mapping_in(file))
    refuse_duplicate_keys(named)
    arguments: dict[str, Any] = {}
    for text in settings:
        key, is_pair, value = text.partition("=")
        if not is_pair:
            raise AepslError.of("--config", f"{text} is not key=value", "for instance seed=1")
        arguments = merged(arguments, {key: parse_yaml(value, f"--config {key}")})
    values = merged(values, arguments)
    presets = preset_files(values.get("base"))
    return Configuration(values, (*presets, *named), arguments)


def _mapping_in(file: Path) -> Mapping[str, Any]:
    values = parse_yaml(read_text(file), file)
    if not isinstance(values, Mapping):
        raise AepslError.of(file, "is not a configuration: it has no keys", "see README")
    return values


def refuse_duplicate_keys(files: Iterable[str | Path]) -> None:
    """Raise an error if a YAML or JSON file has duplicate keys in a mapping.

    YAML readers, including Snakemake's, keep only the last value. If a section were written twice,
    its first part would be lost silently.

    Raises:
        AepslError: listing each duplicate key with its file and line.
    """
    problems = [problem for file in files for problem in _duplicate_keys(Path(file))]
    if problems:
        raise AepslError(problems, "Invalid configuration:")


def _duplicate_keys(file: Path) -> Iterator[Problem]:
    waiting = [yaml_node(read_text(file), file)]
    visited = set()  # a YAML alias refers to a visited node, possibly to one that contains it
    while waiting:
        node = waiting.pop()
        if id(node) in visited:
            continue
        visited.add(id(node))
        if isinstance(node, yaml.SequenceNode):
            waiting += reversed(node.value)
        elif isinstance(node, yaml.MappingNode):
            lines: dict[str, int] = {}
            for key, _ in node.value:
                line = key.start_mark.line + 1
                if key.value in lines:
                    what = f"the key {key.value} occurs twice, first in line {lines[key.value]}"
                    yield Problem(f"{file}:{line}", what, "keep one: YAML would use the later one")
                lines.setdefault(key.value, line)
            waiting += [value for _, value in reversed(node.value)]
