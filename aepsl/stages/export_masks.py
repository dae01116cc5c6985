"""Final masks as palette PNGs, for everything that reads PASCAL VOC's."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from aepsl.console import tracked
from aepsl.data.images import write_mask
from aepsl.stores.records import Store


def run(*, masks: Sequence[Path], output: Path) -> None:
    """Write each mask of a prediction store to ``<image>.png`` in the folder ``output``."""
    store = Store(masks, kind="predictions")
    output.mkdir(parents=True, exist_ok=True)
    for image_id in tracked(store.ids(), total=len(store), what="masks"):
        write_mask(output / f"{image_id}.png", store[image_id].arrays["mask"])
