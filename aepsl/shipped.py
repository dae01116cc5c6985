"""Where the workflow lies that belongs to the package: Snakefile, rules, profiles, config.yaml.

These files stand beside the package in a checkout, and inside it once it is installed from a wheel
(``pyproject.toml`` maps them there).
"""

from __future__ import annotations

from pathlib import Path

PACKAGE = Path(__file__).parent
INSTALLED = PACKAGE / "shipped"
"""The folder that a wheel brings; a checkout has none."""


def shipped(name: str) -> Path:
    """Return the path of a file or folder of the workflow, such as ``Snakefile``."""
    return (INSTALLED if INSTALLED.is_dir() else PACKAGE.parent) / name
