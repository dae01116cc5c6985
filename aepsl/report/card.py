"""The model card of an exported network."""

from __future__ import annotations

from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined


def render_card(about: Any, *, license: str) -> str:
    """Return the card in Markdown, with the metadata that Hugging Face's hub reads.

    Args:
        about: the network's :class:`aepsl.deployment.provenance.Provenance`.
        license: the identifier of the weights' licence, such as ``mit``.
    """
    environment = Environment(loader=PackageLoader("aepsl.report"), undefined=StrictUndefined)
    return environment.get_template("card.md.j2").render(about=about, license=license) + "\n"
