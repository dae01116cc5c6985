"""Fetching PASCAL VOC 2012, and the extra masks of SBD, with torchvision's downloaders."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.io import loadmat
from torchvision.datasets import SBDataset, VOCSegmentation

from aepsl.data.images import read_mask, write_mask
from aepsl.errors import AepslError

MASKS = "SegmentationClassAug"
"""Folder with VOC's own masks and SBD's, in VOC's numbers and palette."""

EXPECTED = {"train": 1464, "val": 1449, "train_aug": 10582}
"""Images of each split as everyone counts them."""


def read_ids(path: Path) -> list[str]:
    """Return the ids in a split's file.

    Raises:
        AepslError: if it is absent.
    """
    if not path.is_file():
        raise AepslError.of(path, "the list is not there", "fetch the dataset again")
    return path.read_text(encoding="utf-8").split()


def _split(voc: Path, name: str) -> Path:
    return voc / "ImageSets" / "Segmentation" / f"{name}.txt"


def fetch_voc(folder: Path) -> Path:
    """Download VOC 2012 into ``folder`` unless it is there; return its own folder.

    The archive is checked by its digest, the splits by their sizes.

    Raises:
        AepslError: if it cannot be downloaded or is not what it should be.
    """
    voc = folder / "VOCdevkit" / "VOC2012"
    try:
        there = _split(voc, "train").is_file()
        VOCSegmentation(str(folder), year="2012", image_set="train", download=not there)
    except (OSError, RuntimeError) as error:
        hint = "put VOC's folders there yourself, then run this again"
        raise AepslError.of(folder, f"VOC 2012 could not be fetched ({error})", hint) from None
    check_splits(voc, ["train", "val"])
    return voc


def check_splits(voc: Path, names: Sequence[str]) -> None:
    """Refuse splits of another size than they have in the dataset, or without their photographs.

    Raises:
        AepslError: if one has.
    """
    for name in names:
        ids = read_ids(_split(voc, name))
        hint = "remove the dataset and fetch it again"
        if len(ids) != EXPECTED[name]:
            what = f"{len(ids)} images instead of {EXPECTED[name]}"
            raise AepslError.of(_split(voc, name), what, hint)
        absent = [i for i in ids if not (voc / "JPEGImages" / f"{i}.jpg").is_file()]
        if absent:
            what = f"{len(absent)} photographs are absent, {absent[0]} first"
            raise AepslError.of(voc / "JPEGImages", what, hint)


def fetch_sbd(folder: Path) -> Path:
    """Download SBD into ``folder``/SBD unless it is there; return that folder.

    Raises:
        AepslError: if it cannot be downloaded.
    """
    sbd = folder / "SBD"
    try:
        there = (sbd / "train.txt").is_file()
        sbd.mkdir(parents=True, exist_ok=True)
        SBDataset(str(sbd), image_set="train", mode="segmentation", download=not there)
    except (OSError, RuntimeError) as error:
        hint = "put benchmark_RELEASE/dataset there yourself, then run this again"
        raise AepslError.of(sbd, f"SBD could not be fetched ({error})", hint) from None
    return sbd


def augmented_ids(voc: Path, sbd: Path) -> list[str]:
    """Return train_aug: what VOC or SBD has masks of, less VOC's val (10,582 images)."""
    known = read_ids(_split(voc, "train")) + read_ids(sbd / "train.txt") + read_ids(sbd / "val.txt")
    return sorted(set(known) - set(read_ids(_split(voc, "val"))))


def sbd_mask(path: Path) -> NDArray[np.uint8]:
    """Return the classes of an SBD annotation: (height, width), VOC's numbers, no void."""
    return np.asarray(loadmat(path)["GTcls"][0]["Segmentation"][0], np.uint8)


def add_masks(voc: Path, sbd: Path, image_id: str) -> None:
    """Write an image's mask to :data:`MASKS`: VOC's own where there is one, else SBD's."""
    target = voc / MASKS / f"{image_id}.png"
    own = voc / "SegmentationClass" / f"{image_id}.png"
    if not target.is_file():
        target.parent.mkdir(exist_ok=True)
        extra = sbd / "cls" / f"{image_id}.mat"
        write_mask(target, read_mask(own) if own.is_file() else sbd_mask(extra))


def write_split(voc: Path, name: str, ids: Sequence[str]) -> None:
    """Write a split of VOC's layout."""
    _split(voc, name).write_text("".join(f"{image_id}\n" for image_id in ids), encoding="utf-8")
