"""Check the dataset and write its manifest."""

from __future__ import annotations

from pathlib import Path

from aepsl.config.data import SCENE_CLASSES, Data
from aepsl.config.sections import Slice
from aepsl.console import log, tracked
from aepsl.data.index import Selection, index_dataset
from aepsl.data.voc import check_folder, image_files, labels_from_csv, labels_from_xml, read_split
from aepsl.stores.dataset import write_manifest


def run(config: Slice, *, scenes_folder: Path | None, output: Path, threads: int) -> None:
    """Index the dataset of ``config``; for scenes, the one generated in ``scenes_folder``.

    Raises:
        AepslError: one list of everything that is wrong with it.
    """
    data = config.section("data", Data)
    if data.adapter == "scenes":
        assert scenes_folder is not None
        data = data.model_copy(
            update={
                "root": str(scenes_folder),
                "train_split": "train",
                "eval_split": "val",
                "labels": "csv",
                "labels_csv": str(scenes_folder / "labels.csv"),
                "class_names": SCENE_CLASSES,
            }
        )
    assert data.root is not None
    root = Path(data.root)
    check_folder(root)
    files = image_files(root)
    if data.labels == "csv":
        assert data.labels_csv is not None
        source = labels_from_csv(Path(data.labels_csv), known_images=files)
    else:
        source = labels_from_xml(root)
    names = {"train": data.train_split, "eval": data.eval_split}
    manifest = index_dataset(
        root,
        files=files,
        splits={split: read_split(root, name) for split, name in names.items()},
        split_names=names,
        source=source,
        selection=Selection(
            class_names=data.class_names,
            classes=data.used_classes,
            limit_per_class=data.limit_per_class,
        ),
        mask_folder=data.mask_folder,
        threads=threads,
        progress=lambda reads, total: tracked(reads, total=total, what="index"),
    )
    for split in names:
        log.info("%s: %d images", split, len(manifest.split(split)))
    write_manifest(output, manifest)
