"""Check of configuration files for duplicate keys, which YAML readers ignore silently."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

import yaml

from aepsl.errors import AepslError, Problem


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
    waiting = [yaml.compose(file.read_text(encoding="utf-8"), Loader=yaml.SafeLoader)]
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
