"""Download of PASCAL VOC 2012 and of SBD's additional masks.

Addresses and layouts of VOC and SBD are torchvision's. Archives are kept: an interrupted download
continues, and a half unpacked archive is unpacked again.
"""

from __future__ import annotations

import shutil
import tarfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.io import loadmat
from torchvision.datasets import SBDataset, VOCSegmentation
from torchvision.datasets.voc import DATASET_YEAR_DICT

from aepsl.data.download import fetch_file
from aepsl.data.images import read_mask, write_mask
from aepsl.errors import AepslError
from aepsl.text import read_text

MASKS = "SegmentationClassAug"
"""Folder of the merged masks of VOC and SBD, with VOC's class indices and palette."""

SPLIT_SIZES = {"train": 1464, "val": 1449, "train_aug": 10582}
"""Published number of images in each split."""


def read_ids(path: Path) -> list[str]:
    """Return the ids in a split's file.

    Raises:
        AepslError: if the file cannot be read.
    """
    return read_text(path, absent="download the dataset again").split()


def _split(voc: Path, name: str) -> Path:
    return voc / "ImageSets" / "Segmentation" / f"{name}.txt"


@contextmanager
def _safely(folder: Path, what: str, hint: str) -> Iterator[None]:
    """Turn failures inside the block into an AepslError about ``what``; extract archives safely.

    torchvision extracts with Python's default filter, which before 3.14 allows links and paths that
    lead outside the target folder. Python 3.11.0 to 3.11.3 have no filters: there only the
    archive's digest protects.
    """
    before = getattr(tarfile.TarFile, "extraction_filter", None)
    data_filter = getattr(tarfile, "data_filter", None)
    tarfile.TarFile.extraction_filter = data_filter and staticmethod(data_filter)
    try:
        yield
    except (OSError, RuntimeError, tarfile.TarError) as error:
        raise AepslError.of(folder, f"{what} could not be downloaded ({error})", hint) from None
    finally:
        tarfile.TarFile.extraction_filter = before


def fetch_voc(folder: Path) -> Path:
    """Download VOC 2012 into ``folder`` unless it is there; return the folder VOC2012.

    The archive is checked by its digest, the splits by their sizes and files.

    Raises:
        AepslError: if the download fails, or the archive or a split is not the published one.
    """
    voc = folder / "VOCdevkit" / "VOC2012"
    hint = "put VOC's folders there yourself, then run the same command again"
    with suppress(AepslError):
        check_splits(voc, ["train", "val"])
        return voc
    with _safely(folder, "VOC 2012", hint):
        about = DATASET_YEAR_DICT["2012"]
        archive = folder / about["filename"]
        fetch_file(about["url"], archive, digest=f"md5:{about['md5']}")
        VOCSegmentation(str(folder), year="2012", image_set="train", download=True)  # unpacks
    check_splits(voc, ["train", "val"])
    return voc


def check_splits(voc: Path, names: Sequence[str]) -> None:
    """Check the size of each split, and that its photographs and masks exist.

    Raises:
        AepslError: if a split has the wrong size, or files are missing.
    """
    for name in names:
        ids = read_ids(_split(voc, name))
        hint = "remove the dataset and download it again"
        if len(ids) != SPLIT_SIZES[name]:
            what = f"{len(ids)} images instead of {SPLIT_SIZES[name]}"
            raise AepslError.of(_split(voc, name), what, hint)
        masks = [] if name == "train_aug" else [("SegmentationClass", "png", "masks")]
        for sub, suffix, things in [("JPEGImages", "jpg", "photographs"), *masks]:
            absent = [i for i in ids if not (voc / sub / f"{i}.{suffix}").is_file()]
            if absent:
                what = f"{len(absent)} {things} are absent, the first is {absent[0]}"
                raise AepslError.of(voc / sub, what, hint)


def fetch_sbd(folder: Path) -> Path:
    """Download SBD into ``folder``/SBD unless it exists; return that folder.

    Raises:
        AepslError: if the download fails.
    """
    sbd = folder / "SBD"
    hint = "put benchmark_RELEASE/dataset there yourself, then run the same command again"
    with _safely(sbd, "SBD", hint):
        there = (sbd / "train.txt").is_file()
        if not there:
            for half in ("cls", "img", "inst"):  # of an interrupted unpacking
                shutil.rmtree(sbd / half, ignore_errors=True)
            archive = sbd / SBDataset.filename
            fetch_file(SBDataset.url, archive, digest=f"md5:{SBDataset.md5}")
        SBDataset(str(sbd), image_set="train", mode="segmentation", download=not there)
    return sbd


def augmented_ids(voc: Path, sbd: Path) -> list[str]:
    """Return train_aug: images with a mask in VOC or SBD, without VOC's val (10,582 images)."""
    known = read_ids(_split(voc, "train")) + read_ids(sbd / "train.txt") + read_ids(sbd / "val.txt")
    return sorted(set(known) - set(read_ids(_split(voc, "val"))))


def sbd_mask(path: Path) -> NDArray[np.uint8]:
    """Return an SBD annotation as a (height, width) mask of VOC's class indices, without void."""
    return np.asarray(loadmat(path)["GTcls"][0]["Segmentation"][0], np.uint8)


def add_masks(voc: Path, sbd: Path, image_id: str) -> None:
    """Write an image's mask to :data:`MASKS`: VOC's mask if it exists, else SBD's."""
    target = voc / MASKS / f"{image_id}.png"
    own = voc / "SegmentationClass" / f"{image_id}.png"
    if not target.is_file():
        target.parent.mkdir(exist_ok=True)
        extra = sbd / "cls" / f"{image_id}.mat"
        write_mask(target, read_mask(own) if own.is_file() else sbd_mask(extra))


def write_split(voc: Path, name: str, ids: Sequence[str]) -> None:
    """Write a split file."""
    _split(voc, name).write_text("".join(f"{image_id}\n" for image_id in ids), encoding="utf-8")
