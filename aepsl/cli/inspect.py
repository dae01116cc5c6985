"""Print the content of a store."""

from __future__ import annotations

from pathlib import Path

from rich.console import Console

from aepsl.stores.records import Store


def print_store(store: Path, *, image: str | None) -> None:
    """Print the facts of a store and, with ``image``, the record of that image."""
    console = Console(highlight=False, markup=False)
    records = Store([store], kind=None, all_shards=False)
    console.print(f"{store}: {len(records)} records")
    for name, value in records.facts().items():
        console.print(f"  {name}: {value}")
    if image:
        record = records[image]
        for name, value in record.facts.items():
            console.print(f"  {image} {name}: {value}")
        for name, array in record.arrays.items():
            console.print(f"  {image} {name}: {array.dtype} {array.shape}")
