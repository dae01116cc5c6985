"""Check the photographs and labels of one split, and write its manifest."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from aepsl.config.data import SCENE_CLASSES, Data
from aepsl.config.sections import Slice
from aepsl.console import log, tracked
from aepsl.data.index import Selection, index_images
from aepsl.data.voc import check_folder, image_files, labels_from_csv, labels_from_xml, read_split
from aepsl.errors import AepslError
from aepsl.stores.dataset import ImageEntry, read_images, write_manifest

LATEST = 3
"""Manifests of earlier runs that are looked into: as good as all, and read in bounded time."""


def _known(manifests: Sequence[Path], *, root: Path) -> dict[str, ImageEntry]:
    """Return the photographs in ``manifests``, by their digest."""
    known: dict[str, ImageEntry] = {}
    for manifest in manifests[:LATEST]:
        try:
            known |= {image.sha256: image for image in read_images(manifest, root=root).images}
        except (AepslError, OSError) as error:
            log.warning("Not taken from the cache: %s", error)
    return known


def run(
    config: Slice,
    *,
    part: str,
    root: Path,
    labels_csv: Path | None,
    output: Path,
    threads: int,
    earlier: Sequence[Path] = (),
) -> None:
    """Index the split that is learnt from (``part`` is train) or predicted (eval).

    Args:
        config: the keys of ``data``.
        part: ``train`` or ``eval``.
        root: the dataset's folder; for scenes, where they were generated.
        labels_csv: the labels, if they are in such a file.
        output: the manifest.
        threads: how many images are decoded at a time.
        earlier: manifests whose photographs need not be decoded again.

    Raises:
        AepslError: one list of everything that is wrong with it.
    """
    data = config.section("data", Data)
    split = {"train": data.train_split, "eval": data.eval_split}[part]
    names = data.class_names
    if data.adapter == "scenes":
        split, names = {"train": "train", "eval": "val"}[part], SCENE_CLASSES
    check_folder(root)
    files = image_files(root)
    source = (
        labels_from_csv(labels_csv, known_images=files) if labels_csv else labels_from_xml(root)
    )
    selection = Selection(names, data.used_classes, data.limit_per_class)
    manifest = index_images(
        root,
        files=files,
        ids=read_split(root, split),
        split=split,
        source=source,
        selection=selection,
        learnt=part == "train",
        threads=threads,
        earlier=_known(earlier, root=root),
        progress=lambda reads, total: tracked(reads, total=total, what=f"index {split}"),
    )
    log.info("%s: %d images", split, len(manifest.images))
    write_manifest(output, manifest)
