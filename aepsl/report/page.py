"""The report page: plain HTML that opens from disk, without a server or network access."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined


def render(facts: Mapping[str, Any]) -> str:
    """Render the report page from its values; all text is HTML-escaped."""
    environment = Environment(
        loader=PackageLoader("aepsl.report"), autoescape=True, undefined=StrictUndefined
    )
    return environment.get_template("index.html.j2").render(facts) + "\n"
