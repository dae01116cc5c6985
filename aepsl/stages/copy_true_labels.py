"""True masks in the place of pseudo-labels: the upper bound, asked for by name only."""

from __future__ import annotations

from pathlib import Path

from aepsl.console import tracked
from aepsl.errors import AepslError
from aepsl.stages._truth import true_mask
from aepsl.stores.dataset import read_images, read_truth
from aepsl.stores.records import Record, writing_shard


def run(*, dataset: Path, truth: Path, root: Path, output: Path, shard: int, shards: int) -> None:
    """Write the true masks of one part of the training images as a label store.

    Raises:
        AepslError: if an image has none.
    """
    manifest = read_images(dataset, root=root, shard=shard, shards=shards)
    images = manifest.images
    true = read_truth(truth, root=root)
    masks = {mask.id: mask for mask in true.masks}
    facts = {"class_names": list(manifest.class_names), "source": "truth"}
    with writing_shard(output, kind="labels", facts=facts, shard=shard, shards=shards) as writer:
        for image in tracked(images, total=len(images), what="true labels"):
            if image.id not in masks:
                raise AepslError.of(
                    f"image {image.id}", "has no true mask", "labels.source: truth needs them all"
                )
            writer.add(image.id, Record({"mask": true_mask(masks[image.id], true)}))
