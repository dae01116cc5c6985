"""Label the training images with the trained network: PSL++."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from aepsl.console import tracked
from aepsl.data.photographs import photograph
from aepsl.device import Compute, pick_device
from aepsl.mining.loss import LABEL_LOSSES
from aepsl.networks.layers import as_batch
from aepsl.networks.models import SegmentationNetwork
from aepsl.segmentation.crf import refine
from aepsl.segmentation.inference import GridScores, grid_scores, weighted_probabilities
from aepsl.stages._crf import crf_options
from aepsl.stages._options import (
    DatasetFile,
    Device,
    LabelStore,
    Model,
    OutputShard,
    Root,
    Settings,
    Shard,
    Shards,
    Threads,
)
from aepsl.stores.atomic import digest_of
from aepsl.stores.manifests import read_images
from aepsl.stores.networks import load_network
from aepsl.stores.records import Record, Store, writing_shard


def _weights(by: str, scores: GridScores, labels: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the class weights v: the image's scores, its labels, or 1 for every class."""
    match by:
        case "scores":
            return scores.image[0].cpu().numpy()
        case "labels":
            return labels
        case _:
            return np.ones_like(labels)


def _source(learnt: Mapping[str, Any]) -> dict[str, str]:
    """Return that the masks follow from true ones, if those of the earlier round did."""
    return {"source": "truth"} if learnt.get("drawn_masks") == "all" else {}


def relabel(
    config: Settings,
    dataset: DatasetFile,
    root: Root,
    model: Model,
    corrected: LabelStore,
    output: OutputShard,
    shard: Shard = 0,
    shards: Shards = 1,
    device: Device = "auto",
    threads: Threads = 1,
) -> None:
    """Label the training images with the trained segmentation network, for PSL++.

    Writes the masks that ``model`` predicts for one shard, as a label store. Masks that were
    corrected by hand, in the store ``corrected``, are kept.

    Raises:
        AepslError: if ``relabel_crf`` is set, but pydensecrf is not installed.
    """
    crf = crf_options(config) if config["segmentation.relabel_crf"] else None
    image_scores = LABEL_LOSSES[config["mining.loss"]].probabilities
    scales, flip = config["prediction.scales"], bool(config["prediction.flip"])
    compute = Compute(pick_device(device), threads)
    torch.set_num_threads(compute.threads)
    manifest = read_images(dataset, shard=shard, shards=shards)
    images = manifest.images
    network, learnt = load_network(SegmentationNetwork, model, device=compute.device)
    facts = {"class_names": list(manifest.class_names), "config": config.canonical()}
    facts |= {"model": digest_of(model)} | _source(learnt)
    labels = manifest.label_matrix(images)
    earlier = Store(corrected, kind="labels", all_shards=False) if corrected else None
    with writing_shard(output, kind="labels", facts=facts, shard=shard, shards=shards) as writer:
        for image, present in zip(
            tracked(images, total=len(images), what="relabel"), labels, strict=True
        ):
            if earlier and (record := earlier[image.id]).facts.get("corrected"):
                writer.add(image.id, record)
                continue
            pixels = photograph(image, root=root)
            batch = as_batch(pixels, compute.device)
            scores = grid_scores(
                network, batch, scales=scales, flip=flip, image_scores=image_scores
            )
            probabilities = weighted_probabilities(
                scores.log_pixels[0].cpu().numpy(),
                _weights(config["segmentation.relabel_by"], scores, present),
                height=image.height,
                width=image.width,
                stride=network.stride,
            )
            mask = probabilities.argmax(axis=0).astype(np.uint8)
            if crf:
                threshold = float(config["prediction.threshold"])
                mask = refine(pixels, probabilities, threshold=threshold, options=crf)
            writer.add(image.id, Record({"mask": mask}))
