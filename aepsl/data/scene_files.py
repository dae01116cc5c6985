"""The folder of the generated scenes, in PASCAL VOC's layout."""

from __future__ import annotations

import csv
import hashlib
import json
import shutil
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from PIL import Image

from aepsl.data.images import write_mask
from aepsl.data.scenes import SceneOptions, make_scene
from aepsl.errors import AepslError
from aepsl.randomness import generator
from aepsl.stores.atomic import digest_of
from aepsl.stores.checksums import files_below

MARK = "generated.txt"
MARK_TEXT = "Made by aepsl generate-scenes, which may replace what lies here.\n"
"""Text of the marker file: the folder's content was generated and may be replaced."""

FILES = ("JPEGImages", "SegmentationClass", "ImageSets", "labels.csv", MARK)
"""Entries of the folder, without the digest file."""


class SceneRow(NamedTuple):
    """One scene of the dataset."""

    split: str
    image_id: str
    labels: tuple[str, ...]


def prepare_folder(root: Path, *, digest: Path) -> None:
    """Empty the folder of the scenes, if it contains only files of an earlier run.

    Args:
        root: folder of the scenes.
        digest: file in this folder for the digest of all scenes.

    Raises:
        AepslError: if the folder contains other files.
    """
    names = {path.name.partition(".tmp.")[0] for path in root.iterdir()} if root.exists() else set()
    if names:
        mark = root / MARK
        ours = mark.is_file() and mark.read_bytes() == MARK_TEXT.encode()
        if names - {*FILES, digest.name} or not ours:
            hint = "give --output an empty folder: its content would be replaced"
            raise AepslError.of(root, "contains files other than generated scenes", hint)
        shutil.rmtree(root)
    for folder in ("JPEGImages", "SegmentationClass", "ImageSets/Segmentation"):
        (root / folder).mkdir(parents=True)
    (root / MARK).write_text(MARK_TEXT)


def write_scene(job: tuple[str, str], *, seed: int, options: SceneOptions, root: Path) -> SceneRow:
    """Draw the scene of a split and image id, and write its image and its mask."""
    split, image_id = job
    scene = make_scene(generator(seed, split, int(image_id.rpartition("_")[2])), options)
    Image.fromarray(scene.image).save(root / "JPEGImages" / f"{image_id}.png")
    write_mask(root / "SegmentationClass" / f"{image_id}.png", scene.mask)
    return SceneRow(split, image_id, scene.labels)


def write_lists(root: Path, rows: Iterable[SceneRow]) -> None:
    """Write the file of each split, and the labels of all scenes."""
    splits: dict[str, list[str]] = {}
    with (root / "labels.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(("image", "labels"))
        for split, image_id, labels in rows:
            splits.setdefault(split, []).append(f"{image_id}\n")
            writer.writerow((image_id, " ".join(labels)))
    for split, ids in splits.items():
        (root / "ImageSets" / "Segmentation" / f"{split}.txt").write_text("".join(ids))


def digest_of_folder(root: Path) -> str:
    """Return the digest of the names and the content of all files in the folder."""
    files = {path.relative_to(root).as_posix(): digest_of(path) for path in files_below(root)}
    return hashlib.sha256(json.dumps(files).encode()).hexdigest()
