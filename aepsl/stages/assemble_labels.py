"""Join the mined regions and the background to pseudo-labels."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from aepsl.config.labels import Labels
from aepsl.config.sections import Slice
from aepsl.console import tracked
from aepsl.labels.assemble import assemble_label, background_threshold
from aepsl.stores.dataset import read_images
from aepsl.stores.records import Record, Store, writing_shard


def run(
    config: Slice,
    *,
    dataset: Path,
    regions: Sequence[Path],
    saliency: Sequence[Path],
    output: Path,
    shard: int,
    shards: int,
) -> None:
    """Write S_i = F_i union B_i of one part of the training images, and why pixels are ignored.

    Without ``saliency``, what is not mined is background.
    """
    manifest = read_images(dataset, root=Path(), shard=shard, shards=shards)
    images = manifest.images
    mined = Store(regions, kind="regions", whole=False)
    maps = Store(saliency, kind="saliency", whole=False) if saliency else None
    settings = config.section("labels", Labels)
    facts = {"class_names": list(manifest.class_names), "config": config.canonical()}
    with writing_shard(output, kind="labels", facts=facts, shard=shard, shards=shards) as writer:
        for image in tracked(images, total=len(images), what="labels"):
            record = mined[image.id]
            label = assemble_label(
                record.arrays["union"].astype(bool),
                maps[image.id].arrays["saliency"] if maps else None,
                classes=record.facts["classes"],
                background_threshold=background_threshold(
                    image.labels,
                    default=settings.background_threshold,
                    by_class=settings.class_thresholds,
                ),
            )
            reasons = {
                "ignored_conflict": label.conflict,
                "ignored_low_saliency": label.low_saliency,
                "ignored_unclaimed": label.unclaimed,
            }
            writer.add(image.id, Record({"mask": label.mask}, reasons))
