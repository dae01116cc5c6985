"""Final masks as palette PNGs, for everything that reads PASCAL VOC's."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from aepsl.console import tracked
from aepsl.data.images import write_mask
from aepsl.data.voc import is_name
from aepsl.errors import AepslError
from aepsl.stores.records import Store


def run(*, masks: Sequence[Path], output: Path) -> None:
    """Write each mask of a prediction store to ``<image>.png`` in the folder ``output``.

    Raises:
        AepslError: if an id would lead out of the folder.
    """
    store = Store(masks, kind="predictions")
    for image_id in store.ids():
        if not is_name(image_id):
            raise AepslError.of(masks[0], f"the id {image_id[:80]!r} is no name", "check the split")
    output.mkdir(parents=True, exist_ok=True)
    for image_id in tracked(store.ids(), total=len(store), what="masks"):
        write_mask(output / f"{image_id}.png", store[image_id].arrays["mask"])
