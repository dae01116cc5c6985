"""Mine one region a present class from its map, and join it with what earlier steps mined."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from aepsl.config.sections import Slice
from aepsl.console import tracked
from aepsl.mining.erase import mine_region, unite
from aepsl.mining.grid import upsample_to_image
from aepsl.stores.atomic import read_manifest_json
from aepsl.stores.dataset import read_images
from aepsl.stores.records import Record, Store, writing_shard


def run(
    config: Slice,
    *,
    dataset: Path,
    cams: Sequence[Path],
    regions: Sequence[Path],
    calibrated: Path | None,
    step: int,
    output: Path,
    shard: int,
    shards: int,
) -> None:
    """Write F_{i,t} (``region``) and F_i (``union``) of one part of the training images.

    Delta is the one in ``calibrated``, if there is such a file.
    """
    delta = float(read_manifest_json(calibrated)["delta"]) if calibrated else config["mining.delta"]
    manifest = read_images(dataset, root=Path(), shard=shard, shards=shards)
    images = manifest.images
    cam_store, earlier = (
        Store(cams, kind="cams", whole=False),
        Store(regions, kind="regions", whole=False),
    )
    stride = float(cam_store.facts()["stride"])
    facts = {"class_names": list(manifest.class_names), "step": step, "config": config.canonical()}
    with writing_shard(output, kind="regions", facts=facts, shard=shard, shards=shards) as writer:
        for image in tracked(images, total=len(images), what=f"regions, step {step}"):
            cam = cam_store[image.id]
            maps = upsample_to_image(
                cam.arrays["cam"], height=image.height, width=image.width, stride=stride
            )
            mined = [
                mine_region(heatmap, rule=config["mining.erase_rule"], delta=delta)
                for heatmap in maps
            ]
            region = np.stack([mask for mask, _ in mined])
            before = (
                earlier[image.id].arrays["union"].astype(bool)
                if image.id in earlier
                else np.zeros_like(region)
            )
            arrays = {
                "region": region.astype(np.uint8),
                "union": unite(before, region).astype("u1"),
            }
            thresholds = [threshold for _, threshold in mined]
            recorded = {"classes": cam.facts["classes"], "threshold": thresholds, "step": step}
            writer.add(image.id, Record(arrays, recorded))
