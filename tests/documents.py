"""The commands and the code in README.md and docs/: what a reader would copy."""

import re
from typing import NamedTuple

from conftest import ROOT

DOCUMENTS = [
    ROOT / "README.md",
    ROOT / "CONTRIBUTING.md",
    ROOT / "MAINTAINING.md",
    ROOT / "config" / "README.md",
    *sorted((ROOT / "docs").glob("*.md")),
]


class Command(NamedTuple):
    """A command, and the document in which it stands."""

    document: str
    text: str


def blocks(document, language):
    """Return the fenced blocks of a document in a language."""
    text = document.read_text(encoding="utf-8")
    return re.findall(rf"^```{language}\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)


def commands(document):
    """Return the commands in a document's blocks of bash, without comments."""
    name = document.relative_to(ROOT).as_posix()
    lines = "\n".join(blocks(document, "bash")).replace("\\\n", " ").splitlines()
    plain = (re.sub(r"(^|\s)#.*", "", line).strip() for line in lines)
    return [Command(name, line) for line in plain if line]
