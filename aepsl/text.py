"""Text that a user or another program wrote: whatever its parser raises becomes an AepslError.

Every function raises one about ``where``, a file or an option, for a text that it cannot read.
"""

from __future__ import annotations

import codecs
import csv
import io
import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from math import inf
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import yaml

from aepsl.errors import AepslError, read_error, require_file

CHECK = "check its path"
JSON = "save it again as JSON"
YAML = "correct it; a text with : # [ or { in it needs quotes"
RUN_AGAIN = "remove it and run its stage again"
"""Hints; the last is for files of a run."""

MOST_VALUES = 1_000_000
"""Largest number of values in a YAML text, with those that its aliases stand for."""

_SURROGATE = re.compile(r"\\u[dD][89a-fA-F]")


@contextmanager
def parsing(where: str | Path, kind: str, hint: str) -> Iterator[None]:
    """Turn whatever a parser raises in the block into an AepslError: ``where`` is not ``kind``."""
    try:
        yield
    except AepslError:
        raise
    except FileNotFoundError:
        raise AepslError.of(where, "the file does not exist", hint) from None
    except RecursionError:
        raise AepslError.of(where, f"not {kind} (nested too deeply)", hint) from None
    except Exception as error:  # PyYAML, for one, raises seven classes
        what = f"not {kind} ({_in_one_line(error)})"
        raise read_error(error, Path(where), what, hint) from None


def _in_one_line(error: Exception) -> str:
    if isinstance(error, yaml.MarkedYAMLError) and (mark := error.problem_mark):
        return f"{error.problem}: line {mark.line + 1}, column {mark.column + 1}"
    kind = f"{type(error).__name__}: " if isinstance(error, (LookupError, AttributeError)) else ""
    return kind + " ".join(str(error).split())


def read_bytes(file: Path, *, absent: str = CHECK) -> bytes:
    """Return the content of a file; ``absent`` is the hint if there is none."""
    with parsing(file, "a readable file", absent):
        require_file(file)
        return file.read_bytes()


def read_text(file: Path, *, absent: str = CHECK) -> str:
    """Return the text of a file in UTF-8, with or without its mark; see :func:`read_bytes`."""
    content = read_bytes(file, absent=absent)
    with parsing(file, "UTF-8", "save it as plain text in UTF-8"):
        return content.decode("utf-8-sig")


def read_foreign_text(file: Path, *, absent: str = CHECK) -> str:
    """Return the text of a file in UTF-8, UTF-16, or what Excel writes on Windows."""
    content = read_bytes(file, absent=absent)
    is_utf_16 = content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
    try:
        return content.decode("utf-16" if is_utf_16 else "utf-8-sig")
    except UnicodeDecodeError:
        return content.decode("cp1252", errors="replace")


def parse_json(text: str | bytes, where: str | Path, *, hint: str = JSON) -> Any:
    """Return the value of a JSON text; ``NaN`` and ``Infinity`` are numbers."""
    with parsing(where, "JSON", hint):
        value = json.loads(text)
        if isinstance(text, str) and _SURROGATE.search(text):
            json.dumps(value, ensure_ascii=False).encode()  # fails for half a character
        return value


def read_json(file: Path, *, absent: str = CHECK, hint: str = JSON) -> Any:
    """Return the value of a JSON file."""
    return parse_json(read_foreign_text(file, absent=absent), file, hint=hint)


def yaml_node(text: str, where: str | Path) -> yaml.Node | None:
    """Return the node of a YAML text, with the lines of its keys; None if it is empty."""
    with parsing(where, "YAML", YAML):
        node = yaml.compose(text, Loader=yaml.SafeLoader)
        if _values(node, {}) > MOST_VALUES:
            raise ValueError("its aliases repeat it too often")
        return node


def _values(node: Any, known: dict[int, float]) -> float:
    """Return the number of values in a node, with those that its aliases stand for."""
    if isinstance(node, yaml.ScalarNode):
        node.value.encode()  # fails for half a character, "\ud800"
    if not isinstance(node, yaml.CollectionNode):
        return 1
    if id(node) not in known:
        known[id(node)] = inf  # for an alias in it
        pairs = isinstance(node, yaml.MappingNode)
        parts = [part for pair in node.value for part in pair] if pairs else node.value
        known[id(node)] = 1 + sum(_values(part, known) for part in parts)
    return known[id(node)]


def parse_yaml(text: str, where: str | Path) -> Any:
    """Return the value of a YAML text, which is never code."""
    node = yaml_node(text, where)
    with parsing(where, "YAML", YAML):
        return node and yaml.SafeLoader("").construct_document(node)


class _WithoutDoctype(ElementTree.TreeBuilder):
    def doctype(self, name: str, public: str | None, system: str | None) -> None:
        """Refuse a document type, which can declare entities."""
        raise ValueError("its document type could expand without limit, or read other files")


def parse_xml(content: bytes, where: str | Path, *, hint: str) -> ElementTree.Element:
    """Return the root of an XML document, which must not declare entities."""
    with parsing(where, "XML", hint):
        return ElementTree.fromstring(content, ElementTree.XMLParser(target=_WithoutDoctype()))


def parse_csv(
    text: str, where: str | Path, *, delimiter: str = ",", hint: str
) -> tuple[list[str], list[tuple[int, dict[str | None, Any]]]]:
    """Return the header of a CSV, and each row after the number of its last line."""
    reader = csv.DictReader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    try:
        rows = [(reader.line_num, row) for row in reader]
    except csv.Error as error:
        line = reader.line_num + 1  # where the row begins
        raise AepslError.of(f"{where}:{line}", f"not CSV ({error})", hint) from None
    return list(reader.fieldnames or ()), rows


def read_columns(file: Path) -> dict[str, list[float]]:
    """Return the columns of a CSV of numbers that a stage wrote."""
    with parsing(file, "a table of numbers", RUN_AGAIN):
        header, rows = parse_csv(read_text(file), file, hint=RUN_AGAIN)
        return {name: [float(row[name]) for _, row in rows] for name in header}
