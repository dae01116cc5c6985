"""Check the true masks of one split, and write their manifest, for scores and the upper bound."""

from __future__ import annotations

from aepsl.config.data import Data
from aepsl.console import log
from aepsl.data import index
from aepsl.data.adapters import open_dataset
from aepsl.stages._options import DatasetFile, Output, Root, Settings
from aepsl.stores.manifests import read_images, write_manifest


def index_truth(config: Settings, dataset: DatasetFile, root: Root, output: Output) -> None:
    """Check the true masks of a split and list them; images without a mask are skipped.

    Raises:
        AepslError: listing all problems of the masks.
    """
    images = read_images(dataset)
    truth = index.index_truth(open_dataset(config.section("data", Data), root=root), images)
    log.info("%s: %d of %d images have a mask", truth.split, len(truth.masks), len(images.images))
    write_manifest(output, truth)
