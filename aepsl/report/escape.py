"""Escape user-supplied names for CSV and Markdown, where some characters have a special meaning."""

from __future__ import annotations

import html
import re
from typing import Any

_FORMULA = re.compile(r"""(^|[;,"\t\r\n])(?='*[=+\-@\t\r])""")
"""Positions at which a spreadsheet may start a formula: the start of a cell, and every position at
which a cell starts for a spreadsheet with another separator, such as the semicolon."""


def csv_cell(value: Any) -> Any:
    """Return a CSV cell that spreadsheets do not execute as a formula; numbers stay numbers.

    An apostrophe is inserted before each formula. Different texts stay different.

    >>> csv_cell("=1+1"), csv_cell("cat;=1+1"), csv_cell(-0.5)
    ("'=1+1", "cat;'=1+1", -0.5)
    """
    return _FORMULA.sub(r"\1'", value) if isinstance(value, str) else value


def markdown_text(text: str) -> str:
    r"""Return text that Markdown shows unchanged, also inside a table cell.

    >>> markdown_text("a|<script>")
    'a\\|&lt;script&gt;'
    """
    return html.escape(" ".join(text.split()), quote=False).replace("|", "\\|")
