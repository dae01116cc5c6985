"""The manifest over the shards of one store."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from aepsl.stores.records import gather


def run(shards: Sequence[Path], *, output: Path) -> None:
    """Write the manifest of a store whose shards are complete."""
    gather(shards, output)
