"""A trained network labels its own training images: PSL++."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from aepsl.config.sections import Slice
from aepsl.console import tracked
from aepsl.data.images import read_image
from aepsl.networks.heads import SegmentationNetwork
from aepsl.segmentation.crf import refine
from aepsl.segmentation.inference import GridScores, grid_scores, weighted_probabilities
from aepsl.stages._crf import crf_options
from aepsl.stages._networks import as_batch, restore
from aepsl.stages._training import Machine
from aepsl.stores.atomic import digest_of
from aepsl.stores.dataset import read_images
from aepsl.stores.records import Record, writing_shard


def _weights(by: str, scores: GridScores, labels: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return v: the image's scores, its labels, or 1 for every class."""
    match by:
        case "scores":
            return scores.image.cpu().numpy()
        case "labels":
            return labels
        case _:
            return np.ones_like(labels)


def run(
    config: Slice,
    *,
    dataset: Path,
    root: Path,
    model: Path,
    output: Path,
    shard: int,
    shards: int,
    machine: Machine,
) -> None:
    """Write the masks that ``model`` gives one part of the training images, as a label store.

    Raises:
        AepslError: if they are to be refined, but pydensecrf is not installed.
    """
    crf = crf_options(config) if config["segmentation.relabel_crf"] else None
    scales, flip = config["prediction.scales"], bool(config["prediction.flip"])
    torch.set_num_threads(machine.threads)
    manifest = read_images(dataset, root=root, shard=shard, shards=shards)
    images = manifest.images
    network, _ = restore(SegmentationNetwork, model, device=machine.device)
    facts = {
        "class_names": list(manifest.class_names),
        "model": digest_of(model),
        "config": config.canonical(),
    }
    labels = manifest.label_matrix(images)
    with writing_shard(output, kind="labels", facts=facts, shard=shard, shards=shards) as writer:
        for image, present in zip(
            tracked(images, total=len(images), what="relabel"), labels, strict=True
        ):
            photograph = read_image(Path(image.path), sha256=image.sha256)
            pixels = as_batch(photograph, machine.device)
            scores = grid_scores(network, pixels, scales=scales, flip=flip)
            probabilities = weighted_probabilities(
                scores.log_pixels.cpu().numpy(),
                _weights(config["segmentation.relabel_by"], scores, present),
                height=image.height,
                width=image.width,
                stride=network.stride,
            )
            mask = probabilities.argmax(axis=0).astype(np.uint8)
            if crf:
                threshold = float(config["prediction.threshold"])
                mask = refine(photograph, probabilities, threshold=threshold, options=crf)
            writer.add(image.id, Record({"mask": mask}))
