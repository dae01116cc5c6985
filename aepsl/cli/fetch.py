"""Download PASCAL VOC 2012 (2 GB; 3.5 GB with SBD); the workflow never runs this."""

from __future__ import annotations

from pathlib import Path

from aepsl.console import log, tracked
from aepsl.data import fetch


def download(folder: Path, *, sbd: bool) -> None:
    """Download VOC 2012 into ``folder``; with ``sbd``, also the list and masks of train_aug."""
    voc = fetch.fetch_voc(folder)
    log.info("VOC 2012: %s", voc)
    if sbd:
        extra = fetch.fetch_sbd(folder)
        ids = fetch.augmented_ids(voc, extra)
        fetch.write_split(voc, "train_aug", ids)
        fetch.check_splits(voc, ["train_aug"])
        masked = ids + fetch.read_ids(voc / "ImageSets" / "Segmentation" / "val.txt")
        for image_id in tracked(masked, total=len(masked), what="masks"):
            fetch.add_masks(voc, extra, image_id)
        log.info("train_aug: %d images, masks in %s", len(ids), voc / fetch.MASKS)
