"""Train the segmentation network on pseudo-labels, with or without PSL."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from aepsl.config.networks import Networks
from aepsl.config.segmentation import Segmentation
from aepsl.data.loading import TrainingImages
from aepsl.device import Compute, pick_device
from aepsl.grid import Grid
from aepsl.mining.loss import LABEL_LOSSES, LabelLoss
from aepsl.networks.grids import resample
from aepsl.networks.models import SegmentationNetwork
from aepsl.segmentation.psl import prohibitive_loss, segmentation_loss
from aepsl.stages._checkpointing import checkpoint_folder
from aepsl.stages._networks import build_network
from aepsl.stages._options import (
    DatasetFile,
    Device,
    LabelStore,
    Output,
    OutputCurve,
    Root,
    Settings,
    Threads,
    TrainingGpus,
    Weights,
    Work,
    Workers,
)
from aepsl.stages._training import (
    augmentation_of,
    fit,
    save_model_and_curve,
    steps_per_epoch,
)
from aepsl.stores.manifests import read_images
from aepsl.stores.records import Store
from aepsl.training.engine import Batch, Losses, seed_torch
from aepsl.training.schedules import poly_decay


@dataclass(frozen=True)
class StoredMasks:
    """The masks of a label store, by image id."""

    labels: Store

    def __call__(self, image_id: str) -> NDArray[np.uint8]:
        """Return the (height, width) mask."""
        return self.labels.array(image_id, "mask")


@dataclass(frozen=True)
class SegmentationLosses:
    """Sum of the losses of both branches; the segmentation branch with or without PSL."""

    psl: str
    grid: Grid
    label_loss: LabelLoss

    def __call__(self, model: SegmentationNetwork, batch: Batch) -> Losses:
        """Return ``loss``, and its parts ``pixels`` and ``image``."""
        out = model(batch["image"].float())
        masks, labels = batch["mask"].long(), batch["labels"]
        full = resample(out.pixels, (masks.shape[1], masks.shape[2]), source=self.grid)
        log_probabilities = full.log_softmax(dim=1)
        match self.psl:
            case "scores":
                pixels = prohibitive_loss(
                    log_probabilities, masks, self.label_loss.probabilities(out.image)
                )
            case "labels":
                pixels = prohibitive_loss(log_probabilities, masks, labels)
            case _:
                pixels = segmentation_loss(log_probabilities, masks)
        image = self.label_loss.loss(out.image, labels)
        return {"loss": pixels + image, "pixels": pixels, "image": image}


def _drawn_masks(labels: Store) -> str:
    """Return how many of the masks people drew: ``all`` (true masks), ``some`` or ``none``."""
    if labels.facts().get("source") == "truth":
        return "all"
    corrected = any(labels.read_raw(image).facts.get("corrected") for image in labels.ids())
    return "some" if corrected else "none"


def _psl(settings: Segmentation, epoch: int) -> str:
    """Return the variant of PSL in an epoch: ``none`` during the first ``psl_after`` epochs."""
    return "none" if settings.psl == "none" or epoch < settings.psl_after else settings.psl


def train_segmentation(
    config: Settings,
    dataset: DatasetFile,
    root: Root,
    labels: LabelStore,
    output: Output,
    curve: OutputCurve,
    weights: Weights = None,
    device: Device = "auto",
    threads: Threads = 1,
    workers: Workers = 0,
    training_gpus: TrainingGpus = 1,
    code: str = "",
    work: Work = None,
) -> None:
    """Train the segmentation network on pseudo-labels.

    A stopped training resumes from its checkpoint in ``work``. Every round starts from the same
    weights and uses the same order of images; only the masks differ.
    """
    compute = Compute(pick_device(device), threads)
    seed, settings = int(config["seed"]), config.section("segmentation", Segmentation)
    train = settings.train
    manifest = read_images(dataset)
    images = manifest.images
    networks = config.section("networks", Networks)
    seed_torch(seed, "segmentation")
    options: dict[str, Any] = {"networks": networks, "head": settings.head, "weights": weights}
    model, facts = build_network(SegmentationNetwork, classes=len(manifest.class_names), **options)
    masks = Store(labels, kind="labels")
    facts |= {"class_names": manifest.class_names, "config": config.canonical()}
    facts |= {"drawn_masks": _drawn_masks(masks)}
    inputs = [*labels, *([weights] if weights else [])]
    with checkpoint_folder(work, config, compute, inputs, [code, manifest.digest()]) as kept:
        rows = fit(
            model,
            model.new_layers(),
            TrainingImages(
                images,
                manifest.label_matrix(images),
                root=root,
                augmentation=augmentation_of(train, manifest, scale=model.scale),
                seed=seed,
                masks=StoredMasks(masks),
            ),
            lambda epoch: SegmentationLosses(
                psl=_psl(settings, epoch),
                grid=model.grid,
                label_loss=LABEL_LOSSES[config["mining.loss"]],
            ),
            train=train,
            schedule=poly_decay(
                total_steps=train.epochs * steps_per_epoch(images, train), power=train.poly_power
            ),
            compute=compute,
            workers=workers,
            what="segmentation",
            work=kept,
        )
        save_model_and_curve(model, rows, output=output, curve_path=curve, facts=facts)
