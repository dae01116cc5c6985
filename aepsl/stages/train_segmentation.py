"""Train the segmentation network on pseudo-labels, with or without PSL."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from aepsl.config.networks import Networks
from aepsl.config.sections import Slice
from aepsl.config.segmentation import Segmentation
from aepsl.data.loading import TrainingImages
from aepsl.mining.loss import squared_label_loss
from aepsl.networks.heads import SegmentationNetwork
from aepsl.segmentation.psl import (
    image_scores,
    prohibitive_loss,
    resize_scores,
    segmentation_loss,
)
from aepsl.stages._networks import build
from aepsl.stages._resuming import work_folder
from aepsl.stages._training import (
    Machine,
    augmentation_of,
    fit,
    steps_per_epoch,
    store,
)
from aepsl.stores.dataset import read_images
from aepsl.stores.records import Store
from aepsl.training.engine import Batch, Losses, seed_torch
from aepsl.training.schedules import poly_decay
from aepsl.training.team import Team


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

    psl: str
    stride: int

    def __call__(self, model: SegmentationNetwork, batch: Batch) -> Losses:
        """Return ``loss``, and its parts ``pixels`` and ``image``."""
        out = model(batch["image"].float())
        masks, labels = batch["mask"].long(), batch["labels"]
        full = resize_scores(
            out.pixels, height=masks.shape[1], width=masks.shape[2], stride=self.stride
        )
        log_probabilities = full.log_softmax(dim=1)
        match self.psl:
            case "scores":
                pixels = prohibitive_loss(log_probabilities, masks, image_scores(out.image))
            case "labels":
                pixels = prohibitive_loss(log_probabilities, masks, labels)
            case _:
                pixels = segmentation_loss(log_probabilities, masks)
        image = squared_label_loss(out.image, labels)
        return {"loss": pixels + image, "pixels": pixels, "image": image}


def run(
    config: Slice,
    *,
    dataset: Path,
    root: Path,
    labels: Sequence[Path],
    output: Path,
    curve: Path,
    machine: Machine,
    weights: Path | None = None,
    code: str = "",
    work: Path | None = None,
    team: Team | None = None,
) -> None:
    """Train the network that is kept; write it and its curve. Earlier work is taken up.

    Every round starts from the same weights and sees the images in the same order: what differs is
    the masks.
    """
    seed, settings = int(config["seed"]), config.section("segmentation", Segmentation)
    train = settings.train
    manifest = read_images(dataset, root=root)
    images = manifest.images
    networks = config.section("networks", Networks)
    seed_torch(seed, "segmentation")
    options: dict[str, Any] = {"networks": networks, "head": settings.head, "weights": weights}
    model, facts = build(SegmentationNetwork, classes=len(manifest.class_names), **options)
    facts |= {"class_names": manifest.class_names, "config": config.canonical()}
    depends_on = [code, manifest.digest()]
    inputs = [*labels, weights or Path(networks.weights)]
    with work_folder(work, config, machine, inputs, depends_on, team=team) as kept:
        rows = fit(
            model,
            model.new_layers(),
            TrainingImages(
                images,
                manifest.label_matrix(images),
                augmentation=augmentation_of(train, manifest),
                seed=seed,
                masks=StoredMasks(Store(labels, kind="labels")),
            ),
            lambda epoch: SegmentationLosses(
                psl=settings.psl if epoch >= settings.psl_after else "none",
                stride=networks.stride,
            ),
            train=train,
            schedule=poly_decay(
                total_steps=train.epochs * steps_per_epoch(images, train), power=train.poly_power
            ),
            machine=machine,
            what="segmentation",
            work=kept,
            team=team,
        )
        if team is None or team.leads:
            store(model, rows, output=output, curve_path=curve, facts=facts)
