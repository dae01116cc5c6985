"""Step 0 of Algorithm 1: nothing is mined yet, so that every step has one before it."""

from __future__ import annotations

from pathlib import Path

from aepsl.stores.records import write_empty


def run(*, output: Path) -> None:
    """Write the manifest of a region store without records."""
    write_empty(output, kind="regions")
