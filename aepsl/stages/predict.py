"""Predict masks with the segmentation network, at full resolution."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Annotated

import numpy as np
import torch
import typer

from aepsl.config.sections import StageSettings
from aepsl.console import tracked
from aepsl.data.photographs import photograph
from aepsl.device import Compute, pick_device
from aepsl.networks.layers import as_batch
from aepsl.networks.models import SegmentationNetwork
from aepsl.segmentation.inference import grid_scores, predict_mask, upsample_probabilities
from aepsl.stages._options import (
    DatasetFile,
    Device,
    Model,
    OutputShard,
    Root,
    SelectsRecords,
    Settings,
    Shard,
    Shards,
    Threads,
)
from aepsl.stores.atomic import digest_of
from aepsl.stores.manifests import ImageEntry, read_images
from aepsl.stores.networks import load_network
from aepsl.stores.records import Record
from aepsl.stores.reuse import write_records


def _records(
    images: Sequence[ImageEntry],
    *,
    root: Path,
    network: SegmentationNetwork,
    config: StageSettings,
    device: torch.device,
) -> Iterator[Record]:
    scales, flip = config["prediction.scales"], bool(config["prediction.flip"])
    threshold = float(config["prediction.threshold"])
    for image in tracked(images, total=len(images), what="predict"):
        pixels = as_batch(photograph(image, root=root), device)
        cells = grid_scores(network, pixels, scales=scales, flip=flip).log_pixels[0]
        scores = cells.cpu().numpy().astype(np.float16)
        full = upsample_probabilities(
            scores, height=image.height, width=image.width, stride=network.stride
        )
        mask = predict_mask(full, threshold=threshold)
        arrays = {"mask": mask} | ({"scores": scores} if config["crf.enabled"] else {})
        yield Record(arrays, {"threshold": threshold})


def predict(
    config: Settings,
    dataset: DatasetFile,
    root: Root,
    model: Model,
    output: OutputShard,
    limit: Annotated[
        int | None,
        typer.Option(min=0, help="Number of images to predict, evenly spaced; default: all."),
        SelectsRecords(),
    ] = None,
    shard: Shard = 0,
    shards: Shards = 1,
    device: Device = "auto",
    threads: Threads = 1,
) -> None:
    """Predict the masks of a split with the segmentation network.

    Writes the masks of one shard and, if the CRF is enabled, the log-probabilities on cells.
    """
    compute = Compute(pick_device(device), threads)
    torch.set_num_threads(compute.threads)
    manifest = read_images(dataset, shard=shard, shards=shards)
    images = manifest.evenly_spaced(limit)
    network, _ = load_network(SegmentationNetwork, model, device=compute.device)
    facts = {
        "class_names": list(manifest.class_names),
        "model": digest_of(model),
        "stride": network.stride,
        "config": config.canonical(),
    }
    write_records(
        output,
        images,
        sources=[image.sha256 for image in images],
        make=partial(_records, root=root, network=network, config=config, device=compute.device),
        kind="predictions",
        facts=facts,
        shard=shard,
        shards=shards,
    )
