"""Masks of the segmentation network, at full resolution."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path

import numpy as np
import torch

from aepsl.config.sections import Slice
from aepsl.console import tracked
from aepsl.data.images import read_image
from aepsl.networks.heads import SegmentationNetwork
from aepsl.segmentation.inference import decide, full_probabilities, grid_scores
from aepsl.stages._networks import as_batch, restore
from aepsl.stages._training import Machine
from aepsl.stores.atomic import digest_of
from aepsl.stores.dataset import ImageEntry, read_images
from aepsl.stores.records import Record, writing_shard
from aepsl.stores.reuse import Earlier, add_all


def _asked_for(images: Sequence[ImageEntry], limit: int | None) -> Sequence[ImageEntry]:
    """Return ``limit`` images spread evenly, or all."""
    if limit is None or limit >= len(images):
        return images
    return [images[len(images) * number // limit] for number in range(limit)]


def _records(
    images: Sequence[ImageEntry],
    *,
    network: SegmentationNetwork,
    config: Slice,
    device: torch.device,
) -> Iterator[Record]:
    scales, flip = config["prediction.scales"], bool(config["prediction.flip"])
    threshold = float(config["prediction.threshold"])
    for image in tracked(images, total=len(images), what="predict"):
        pixels = as_batch(read_image(Path(image.path), sha256=image.sha256), device)
        cells = grid_scores(network, pixels, scales=scales, flip=flip).log_pixels
        scores = cells.cpu().numpy().astype(np.float16)
        full = full_probabilities(
            scores, height=image.height, width=image.width, stride=network.stride
        )
        mask = decide(full, threshold=threshold)
        arrays = {"mask": mask} | ({"scores": scores} if config["crf.enabled"] else {})
        yield Record(arrays, {"threshold": threshold})


def run(
    config: Slice,
    *,
    dataset: Path,
    root: Path,
    model: Path,
    limit: int | None,
    output: Path,
    shard: int,
    shards: int,
    machine: Machine,
    earlier: Sequence[Path] = (),
) -> None:
    """Write one part of a split's masks; with the CRF to follow, the scores of the cells, too.

    Records in ``earlier``, the manifests of stores that were made alike, are taken from there.
    """
    torch.set_num_threads(machine.threads)
    manifest = read_images(dataset, root=root, shard=shard, shards=shards)
    images = _asked_for(manifest.images, limit)
    network, _ = restore(SegmentationNetwork, model, device=machine.device)
    facts = {
        "class_names": list(manifest.class_names),
        "model": digest_of(model),
        "stride": network.stride,
        "config": config.canonical(),
    }
    make = partial(_records, network=network, config=config, device=machine.device)
    with writing_shard(
        output, kind="predictions", facts=facts, shard=shard, shards=shards
    ) as writer:
        add_all(writer, images, [i.sha256 for i in images], earlier=Earlier(earlier), make=make)
