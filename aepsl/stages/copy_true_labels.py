"""True masks instead of pseudo-labels: the upper bound (labels.source: truth)."""

from __future__ import annotations

from aepsl.console import tracked
from aepsl.errors import AepslError
from aepsl.stages._options import DatasetFile, OutputShard, Root, Shard, Shards, TruthFile
from aepsl.stages._truth import true_mask
from aepsl.stores.manifests import read_images, read_truth
from aepsl.stores.records import Record, writing_shard


def copy_true_labels(
    dataset: DatasetFile,
    truth: TruthFile,
    root: Root,
    output: OutputShard,
    shard: Shard = 0,
    shards: Shards = 1,
) -> None:
    """Copy the true masks of the training images into a label store, for the upper bound.

    Raises:
        AepslError: if an image has no true mask.
    """
    manifest = read_images(dataset, shard=shard, shards=shards)
    images = manifest.images
    true = read_truth(truth)
    masks = {mask.id: mask for mask in true.masks}
    facts = {"class_names": list(manifest.class_names), "source": "truth"}
    with writing_shard(output, kind="labels", facts=facts, shard=shard, shards=shards) as writer:
        for image in tracked(images, total=len(images), what="true labels"):
            if image.id not in masks:
                raise AepslError.of(
                    f"image {image.id}",
                    "has no true mask",
                    "labels.source: truth needs a mask for every image",
                )
            writer.add(image.id, Record({"mask": true_mask(masks[image.id], true, root=root)}))
