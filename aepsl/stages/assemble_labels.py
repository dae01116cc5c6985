"""Combine mined regions and background into pseudo-labels."""

from __future__ import annotations

from aepsl.config.labels import Labels
from aepsl.console import tracked
from aepsl.labels.assemble import assemble_label, background_threshold
from aepsl.stages._options import (
    DatasetFile,
    OutputShard,
    RegionStore,
    SaliencyStore,
    Settings,
    Shard,
    Shards,
)
from aepsl.stores.manifests import read_images
from aepsl.stores.records import Record, Store, writing_shard


def assemble_labels(
    config: Settings,
    dataset: DatasetFile,
    regions: RegionStore,
    saliency: SaliencyStore,
    output: OutputShard,
    shard: Shard = 0,
    shards: Shards = 1,
) -> None:
    """Combine mined regions and background into the pseudo-labels of the training images.

    Writes S_i = F_i union B_i for one shard, and the number of pixels that each rule ignores.
    Without ``saliency``, every pixel outside the regions is background.
    """
    manifest = read_images(dataset, shard=shard, shards=shards)
    images = manifest.images
    mined = Store(regions, kind="regions", all_shards=False)
    maps = Store(saliency, kind="saliency", all_shards=False) if saliency else None
    settings = config.section("labels", Labels)
    facts = {"class_names": list(manifest.class_names), "config": config.canonical()}
    with writing_shard(output, kind="labels", facts=facts, shard=shard, shards=shards) as writer:
        for image in tracked(images, total=len(images), what="labels"):
            record = mined[image.id]
            threshold = 0.0
            if maps:
                threshold = background_threshold(
                    image.labels,
                    default=settings.background_threshold,
                    by_class=settings.class_thresholds,
                )
            label = assemble_label(
                record.arrays["union"].astype(bool),
                # Where no class is shown, all is background, however salient.
                maps[image.id].arrays["saliency"] if maps and image.labels else None,
                classes=record.facts["classes"],
                background_threshold=threshold,
            )
            reasons = {
                "ignored_conflict": label.conflict,
                "ignored_low_saliency": label.low_saliency,
                "ignored_unclaimed": label.unclaimed_value,
            }
            writer.add(image.id, Record({"mask": label.mask}, reasons))
