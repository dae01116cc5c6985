"""Write docs/config.md: every setting with its default, unit, limits and source."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from aepsl.config.listing import flow_style
from aepsl.config.root import Config
from aepsl.config.sections import limits

TARGET = Path(__file__).parent.parent / "docs" / "config.md"

HEAD = """# Settings

`make schema` writes this file from the definitions in `aepsl/config/`. A configuration names a
preset in `base` and holds only what differs; the presets (`aepsl/config/presets/`) override the
defaults below. `aepsl config FILE` prints the values that apply and the file that sets each. Any
setting can be given on the command line: `--config mining='{"delta": 0.6}'`. The paper is Wei et
al. (CVPR 2017).
"""


def accepted(field: Mapping[str, Any]) -> str:
    """Return the values that a field accepts, in words."""
    for part in (field, *field.get("anyOf", ())):
        if "enum" in part:
            return "one of " + ", ".join(f"`{value}`" for value in part["enum"])
    return limits(field)


def cell(text: object) -> str:
    """Return text for one cell of a table."""
    return str(text).replace("|", "\\|").replace("\n", " ")


def rows(
    schema: Mapping[str, Any], name: str, definitions: Mapping[str, Any]
) -> Iterator[tuple[str, str]]:
    """Yield the section and the row of each setting, in the order of their definition."""
    for key, field in schema["properties"].items():
        dotted = f"{name}.{key}" if name else key
        if "$ref" in field:
            yield from rows(definitions[field["$ref"].rpartition("/")[2]], dotted, definitions)
            continue
        about = field.get("description", "")
        if values := accepted(field):
            about += f" ({values})"
        default = flow_style(field.get("default"))
        shown = (
            f"`{dotted}`",
            f"`{default}`",
            about,
            field.get("unit", "-"),
            field.get("source", "-"),
        )
        yield name, "| " + " | ".join(map(cell, shown)) + " |"


def reference() -> str:
    """Return the text of docs/config.md."""
    schema = Config.model_json_schema()
    lines, before = [HEAD.rstrip("\n")], None
    for section, row in rows(schema, "", schema["$defs"]):
        top = section.partition(".")[0] or "the run"
        if top != before:
            title = f"## {top}" if top == "the run" else f"## `{top}`"
            lines += [
                "",
                title,
                "",
                "| setting | default | what it is | unit | source |",
                "|---|---|---|---|---|",
            ]
            before = top
        lines.append(row)
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    TARGET.write_text(reference(), encoding="utf-8")
