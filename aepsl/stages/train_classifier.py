"""Train the classifier of one erasing step on the erased images."""

from __future__ import annotations

from dataclasses import dataclass

from aepsl.config.mining import ClassifierTraining
from aepsl.config.networks import Networks
from aepsl.data.loading import TrainingImages
from aepsl.device import Compute, pick_device
from aepsl.mining.loss import LABEL_LOSSES, label_recall
from aepsl.networks.models import Classifier
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
from aepsl.stores.manifests import read_images
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


def train_classifier(
    config: Settings,
    dataset: DatasetFile,
    root: Root,
    regions: RegionStore,
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
    seed, train = int(config["seed"]), config.section("mining.train", ClassifierTraining)
    manifest = read_images(dataset)
    images = manifest.images
    networks = config.section("networks", Networks)
    seed_torch(seed, "classifier", step)
    classes, head = len(manifest.class_names), str(config["mining.head"])
    model, facts = build_network(
        Classifier, classes=classes, networks=networks, head=head, weights=weights
    )
    facts |= {"class_names": manifest.class_names, "step": step, "config": config.canonical()}
    depends_on = [code, step, manifest.digest()]
    inputs = [*regions, *([weights] if weights else [])]
    with checkpoint_folder(work, config, compute, inputs, depends_on) as kept:
        rows = fit(
            model,
            model.new_layers(),
            TrainingImages(
                images,
                manifest.label_matrix(images),
                root=root,
                augmentation=augmentation_of(train, manifest),
                seed=seed,
                erase=EraseMined(Store(regions, kind="regions"), manifest.mean_pixel),
            ),
            lambda epoch: ClassifierLoss(config["mining.loss"]),
            train=train,
            schedule=step_decay(
                steps_per_epoch=steps_per_epoch(images, train),
                every_epochs=train.decay_every,
                factor=train.decay_factor,
            ),
            compute=compute,
            workers=workers,
            what=f"classifier, step {step}",
            work=kept,
        )
        save_model_and_curve(model, rows, output=output, curve_path=curve, facts=facts)
