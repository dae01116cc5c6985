"""Hook of MkDocs: Sphinx's roles in docstrings (``:func:`load```) are shown as plain code."""

from __future__ import annotations

import re
from typing import Any


def on_page_content(html: str, **_: Any) -> str:
    """Return a page without the names of roles before code."""
    return re.sub(r":(?:func|class|data|mod|meth):(?=<code>)", "", html)
