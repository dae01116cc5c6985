"""Export final masks as PNGs with VOC's palette."""

from __future__ import annotations

from aepsl.console import tracked
from aepsl.data.images import write_mask
from aepsl.data.names import is_safe_file_name
from aepsl.errors import AepslError
from aepsl.stages._options import OutputFolder, Predictions
from aepsl.stores.records import Store


def export_masks(
    masks: Predictions,
    output: OutputFolder,
) -> None:
    """Export final masks as PNGs with PASCAL VOC's palette.

    Writes ``<image>.png`` in the folder ``output`` for each mask of a prediction store.

    Raises:
        AepslError: if an image id is not a safe file name.
    """
    store = Store(masks, kind="predictions")
    for image_id in store.ids():
        if not is_safe_file_name(image_id):
            raise AepslError.of(
                masks[0], f"the id {image_id[:80]!r} is not a valid file name", "check the split"
            )
    output.mkdir(parents=True, exist_ok=True)
    for image_id in tracked(store.ids(), total=len(store), what="masks"):
        write_mask(output / f"{image_id}.png", store[image_id].arrays["mask"])
