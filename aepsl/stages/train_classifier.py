"""Train the classifier of one erasing step on the erased images."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from aepsl.config.mining import Mining
from aepsl.config.networks import Networks
from aepsl.data.loading import Augmentation, TrainingImages
from aepsl.device import Compute, pick_device
from aepsl.grid import Grid
from aepsl.masks import IGNORE_INDEX
from aepsl.mining.loss import LABEL_LOSSES, label_recall
from aepsl.mining.supervision import FULL_SALIENCY, saliency_loss
from aepsl.networks.models import Classifier, SalientClassifier
from aepsl.stages._checkpointing import checkpoint_folder
from aepsl.stages._erasing import EraseMined
from aepsl.stages._networks import build_network
from aepsl.stages._options import (
    DatasetFile,
    Device,
    Output,
    OutputCurve,
    RegionStore,
    Root,
    SaliencyStore,
    Settings,
    Step,
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
from aepsl.stores.manifests import ImageManifest, read_images
from aepsl.stores.records import Store
from aepsl.training.engine import Batch, Losses, seed_torch
from aepsl.training.schedules import step_decay


@dataclass(frozen=True)
class ClassifierLoss:
    """The label loss of a batch, and its label recall."""

    name: str

    def __call__(self, model: Classifier, batch: Batch) -> Losses:
        """Return ``loss`` and ``recall``."""
        logits, labels = model(batch["image"].float()), batch["labels"]
        loss = LABEL_LOSSES[self.name].loss(logits, labels)
        return {"loss": loss, "recall": label_recall(logits, labels)}


@dataclass(frozen=True)
class SalientLoss:
    """The label loss of a batch, and the weighted loss of maps that disagree with saliency."""

    name: str
    weight: float
    overlap: float
    grid: Grid

    def __call__(self, model: SalientClassifier, batch: Batch) -> Losses:
        """Return ``loss``, its parts ``label_loss`` and ``saliency_loss``, and ``recall``."""
        cells, logits = model(batch["image"].float())
        labels = batch["labels"]
        label = LABEL_LOSSES[self.name].loss(logits, labels)
        maps = saliency_loss(cells, labels, batch["saliency"], grid=self.grid, overlap=self.overlap)
        losses = {"loss": label + self.weight * maps, "recall": label_recall(logits, labels)}
        return losses | {"label_loss": label, "saliency_loss": maps}


@dataclass(frozen=True)
class SaliencyLeft:
    """Saliency of an image, unknown where earlier steps erased it."""

    saliency: Store
    regions: Store

    def __call__(self, image_id: str) -> NDArray[np.uint8]:
        """Return the (height, width) saliency, 0..254; 255 is unknown."""
        saliency = np.rint(
            self.saliency.array(image_id, "saliency").astype(np.float32) * FULL_SALIENCY
        )
        saliency = saliency.astype(np.uint8)
        if len(self.regions):
            saliency[np.any(self.regions.array(image_id, "union"), axis=0)] = IGNORE_INDEX
        return saliency


def _photographs(
    manifest: ImageManifest,
    root: Path,
    augmentation: Augmentation,
    seed: int,
    regions: list[Path],
    saliency: list[Path],
) -> TrainingImages:
    mined = Store(regions, kind="regions")
    salient = SaliencyLeft(Store(saliency, kind="saliency"), mined) if saliency else None
    return TrainingImages(
        manifest.images,
        manifest.label_matrix(manifest.images),
        root=root,
        augmentation=augmentation,
        seed=seed,
        erase=EraseMined(mined, manifest.mean_pixel),
        saliency=salient,
    )


def _loss(mining: Mining, grid: Grid, *, salient: bool) -> ClassifierLoss | SalientLoss:
    if not salient:
        return ClassifierLoss(mining.loss)
    return SalientLoss(mining.loss, mining.saliency_loss, mining.saliency_overlap, grid)


def train_classifier(
    config: Settings,
    dataset: DatasetFile,
    root: Root,
    regions: RegionStore,
    saliency: SaliencyStore,
    step: Step,
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
    """Train the classifier of one erasing step on images without the regions of earlier steps.

    A stopped training resumes from its checkpoint in ``work``.
    """
    compute = Compute(pick_device(device), threads)
    seed, mining = int(config["seed"]), config.section("mining", Mining)
    manifest, networks = read_images(dataset), config.section("networks", Networks)
    train = mining.train
    seed_torch(seed, "classifier", step)
    model, facts = build_network(
        SalientClassifier if saliency else Classifier,
        classes=len(manifest.class_names),
        networks=networks,
        head=mining.head,
        suppression=mining.suppression,
        weights=weights,
    )
    facts |= {"class_names": manifest.class_names, "step": step, "config": config.canonical()}
    depends_on = [code, step, manifest.digest()]
    inputs = [*regions, *saliency, *filter(None, [weights])]
    augmentation = augmentation_of(train, manifest, scale=model.scale)
    photographs = _photographs(manifest, root, augmentation, seed, regions, saliency)
    with checkpoint_folder(work, config, compute, inputs, depends_on) as kept:
        rows = fit(
            model,
            model.new_layers(),
            photographs,
            lambda epoch: _loss(mining, model.grid, salient=bool(saliency)),
            train=train,
            schedule=step_decay(
                steps_per_epoch=steps_per_epoch(manifest.images, train),
                every_epochs=train.decay_every,
                factor=train.decay_factor,
            ),
            compute=compute,
            workers=workers,
            what=f"classifier, step {step}",
            work=kept,
        )
        save_model_and_curve(model, rows, output=output, curve_path=curve, facts=facts)
