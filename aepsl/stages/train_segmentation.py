"""Train the segmentation network on pseudo-labels, with or without PSL."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from aepsl.config import Networks, Segmentation
from aepsl.data.loading import TrainingImages
from aepsl.mining.loss import squared_label_loss
from aepsl.networks.heads import SegmentationNetwork
from aepsl.networks.pretrained import leading_blocks
from aepsl.networks.vgg import STRIDE
from aepsl.sections import Slice
from aepsl.segmentation.psl import (
    image_scores,
    prohibitive_loss,
    resize_scores,
    segmentation_loss,
)
from aepsl.stages._networks import build
from aepsl.stages._training import (
    Machine,
    augmentation_of,
    fit,
    label_matrix,
    steps_per_epoch,
    store,
)
from aepsl.stores.dataset import read_manifest
from aepsl.stores.records import Store
from aepsl.training.engine import Batch, Losses, freeze, seed_torch
from aepsl.training.schedules import poly_decay


@dataclass(frozen=True)
class StoredMasks:
    """The label of an image, by id."""

    labels: Store

    def __call__(self, image_id: str) -> NDArray[np.uint8]:
        """Return the (height, width) mask."""
        return self.labels[image_id].arrays["mask"]


@dataclass(frozen=True)
class SegmentationLosses:
    """The loss of the whole network: both branches, one of them with PSL or without."""

    psl: bool

    def __call__(self, model: SegmentationNetwork, batch: Batch) -> Losses:
        """Return ``loss``, and its parts ``pixels`` and ``image``."""
        out = model(batch["image"].float())
        masks = batch["mask"].long()
        size = {"height": masks.shape[1], "width": masks.shape[2]}
        log_probabilities = resize_scores(out.pixels.float(), stride=STRIDE, **size).log_softmax(
            dim=1
        )
        if self.psl:
            pixels = prohibitive_loss(log_probabilities, masks, image_scores(out.image.float()))
        else:
            pixels = segmentation_loss(log_probabilities, masks)
        image = squared_label_loss(out.image.float(), batch["labels"])
        return {"loss": pixels + image, "pixels": pixels, "image": image}


def run(
    config: Slice,
    *,
    dataset: Path,
    labels: Sequence[Path],
    output: Path,
    curve: Path,
    machine: Machine,
) -> None:
    """Train the network that is kept; write it and its curve."""
    seed, settings = int(config["seed"]), config.section("segmentation", Segmentation)
    train = settings.train
    manifest = read_manifest(dataset)
    images = manifest.split("train")
    networks = config.section("networks", Networks)
    seed_torch(seed, "segmentation")
    model, facts = build(SegmentationNetwork, classes=len(manifest.class_names), networks=networks)
    freeze(leading_blocks(model.features, networks.frozen_blocks))
    rows = fit(
        model,
        model.new_layers(),
        TrainingImages(
            images,
            label_matrix(manifest, images),
            augmentation=augmentation_of(train, manifest),
            seed=seed,
            masks=StoredMasks(Store(labels, kind="labels")),
        ),
        lambda epoch: SegmentationLosses(psl=settings.psl and epoch >= settings.psl_after),
        train=train,
        schedule=poly_decay(
            total_steps=train.epochs * steps_per_epoch(images, train), power=train.poly_power
        ),
        machine=machine,
        what="segmentation",
    )
    facts |= {"class_names": manifest.class_names, "config": config.canonical()}
    store(model, rows, output=output, curve_path=curve, facts=facts)
