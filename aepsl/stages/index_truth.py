"""Check the true masks of one split, and write their manifest: for scores and the upper bound."""

from __future__ import annotations

from pathlib import Path

from aepsl.config.data import SCENE_CLASSES, Data
from aepsl.config.sections import Slice
from aepsl.console import log
from aepsl.data.index import index_truth
from aepsl.stores.dataset import read_images, write_manifest


def run(config: Slice, *, dataset: Path, root: Path, output: Path) -> None:
    """Index the masks of the images in ``dataset``, of those that have one.

    Raises:
        AepslError: one list of everything that is wrong with them.
    """
    data = config.section("data", Data)
    names = SCENE_CLASSES if data.adapter == "scenes" else data.class_names
    images = read_images(dataset, root=root)
    truth = index_truth(root, images, folder=data.mask_folder, class_names=names)
    log.info("%s: %d of %d images have a mask", truth.split, len(truth.masks), len(images.images))
    write_manifest(output, truth)
