"""The page of a run: plain HTML that opens from disk, without a server or a network."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined


def render(facts: Mapping[str, Any]) -> str:
    """Fill the page; every text is escaped."""
    environment = Environment(
        loader=PackageLoader("aepsl.report"), autoescape=True, undefined=StrictUndefined
    )
    return environment.get_template("index.html.j2").render(facts) + "\n"
