"""Mine one region per present class, and unite it with the regions of earlier steps."""

from __future__ import annotations

import numpy as np

from aepsl.console import tracked
from aepsl.grid import Grid, resample
from aepsl.mining.erase import mine_region, union_of_regions
from aepsl.stages._options import (
    Calibrated,
    CamStore,
    DatasetFile,
    OutputShard,
    RegionStore,
    Settings,
    Shard,
    Shards,
    Step,
)
from aepsl.stores.atomic import read_manifest_json
from aepsl.stores.manifests import read_images
from aepsl.stores.records import Record, Store, writing_shard


def erase_regions(
    config: Settings,
    dataset: DatasetFile,
    cams: CamStore,
    regions: RegionStore,
    step: Step,
    output: OutputShard,
    calibrated: Calibrated = None,
    shard: Shard = 0,
    shards: Shards = 1,
) -> None:
    """Mine one region for each present class and join it with the regions of earlier steps.

    Writes F_{i,t} (``region``) and F_i (``union``) of one shard of the training images. Delta is
    read from the file ``calibrated``, if given, else from ``mining.delta``.
    """
    delta = float(read_manifest_json(calibrated)["delta"]) if calibrated else config["mining.delta"]
    manifest = read_images(dataset, shard=shard, shards=shards)
    images = manifest.images
    cam_store, earlier = (
        Store(cams, kind="cams", all_shards=False),
        Store(regions, kind="regions", all_shards=False),
    )
    grid = Grid(*cam_store.facts()["grid"])
    facts = {"class_names": list(manifest.class_names), "step": step, "config": config.canonical()}
    with writing_shard(output, kind="regions", facts=facts, shard=shard, shards=shards) as writer:
        for image in tracked(images, total=len(images), what=f"regions, step {step}"):
            cam = cam_store[image.id]
            maps = resample(cam.arrays["cam"], (image.height, image.width), source=grid)
            mined = [
                mine_region(heatmap, rule=config["mining.erase_rule"], delta=delta)
                for heatmap in maps
            ]
            region = np.zeros((len(mined), image.height, image.width), bool)
            for number, (mask, _) in enumerate(mined):
                region[number] = mask
            before = (
                earlier[image.id].arrays["union"].astype(bool)
                if image.id in earlier
                else np.zeros_like(region)
            )
            arrays = {
                "region": region.astype(np.uint8),
                "union": union_of_regions(before, region).astype("u1"),
            }
            thresholds = [threshold for _, threshold in mined]
            recorded = {"classes": cam.facts["classes"], "threshold": thresholds, "step": step}
            writer.add(image.id, Record(arrays, recorded))
