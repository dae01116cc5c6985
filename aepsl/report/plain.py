"""Names from outside, in formats where some characters do something: always as plain text."""

from __future__ import annotations

import html
from typing import Any

_FORMULA = ("=", "+", "-", "@", "\t", "\r")


def csv_cell(value: Any) -> Any:
    """Return a cell that no spreadsheet runs as a formula; numbers stay numbers.

    >>> csv_cell("=1+1"), csv_cell(-0.5)
    ("'=1+1", -0.5)
    """
    return f"'{value}" if isinstance(value, str) and value.startswith(_FORMULA) else value


def markdown_text(text: str) -> str:
    r"""Return text that Markdown shows as it is, in a table's cell, too.

    >>> markdown_text("a|<script>")
    'a\\|&lt;script&gt;'
    """
    return html.escape(" ".join(text.split()), quote=False).replace("|", "\\|")
