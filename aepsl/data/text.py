"""Text files of other programs: UTF-8, or what Excel writes on Windows."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from aepsl.errors import AepslError, require_file


def read_text(file: Path) -> str:
    """Return the text of a file in UTF-8, or in what Excel writes on Windows.

    Raises:
        AepslError: if there is no such file.
    """
    if not file.exists():
        raise AepslError.of(file, "the file does not exist", "check its path")
    require_file(file)
    content = file.read_bytes()
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError:
        return content.decode("cp1252", errors="replace")


def read_json(file: Path) -> Any:
    """Return the content of a JSON file.

    Raises:
        AepslError: if there is no such file, or it is not JSON.
    """
    try:
        return json.loads(read_text(file))
    except (ValueError, RecursionError) as error:
        raise AepslError.of(file, f"not JSON ({error})", "save it again as JSON") from None
