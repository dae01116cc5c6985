"""Train the classification network of one erasing step on what earlier steps left over."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from aepsl.config.mining import ClassifierTraining
from aepsl.config.networks import Networks
from aepsl.config.sections import Slice
from aepsl.data.loading import TrainingImages
from aepsl.mining.erase import erase
from aepsl.mining.loss import label_recall, squared_label_loss
from aepsl.networks.heads import Classifier
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
from aepsl.training.schedules import step_decay
from aepsl.training.team import Team


@dataclass(frozen=True)
class EraseMined:
    """Paints the mean pixel over everything that earlier steps have mined."""

    regions: Store
    fill: tuple[int, int, int]

    def __call__(self, image_id: str, image: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Return I_{i,t} from I_{i,1}."""
        if not len(self.regions):
            return image  # before the first step nothing is mined
        mined = np.any(self.regions[image_id].arrays["union"], axis=0)
        return erase(image, mined, fill=self.fill)


def _loss_of(model: Classifier, batch: Batch) -> Losses:
    logits, labels = model(batch["image"].float()), batch["labels"]
    return {"loss": squared_label_loss(logits, labels), "recall": label_recall(logits, labels)}


def run(
    config: Slice,
    *,
    dataset: Path,
    root: Path,
    regions: Sequence[Path],
    step: int,
    output: Path,
    curve: Path,
    machine: Machine,
    weights: Path | None = None,
    code: str = "",
    work: Path | None = None,
    team: Team | None = None,
) -> None:
    """Train M_t on I_{.,t}; write it and its curve. What an earlier process did is taken up."""
    seed, train = int(config["seed"]), config.section("mining.train", ClassifierTraining)
    manifest = read_images(dataset, root=root)
    images = manifest.images
    networks = config.section("networks", Networks)
    seed_torch(seed, "classifier", step)
    classes, head = len(manifest.class_names), str(config["mining.head"])
    model, facts = build(Classifier, classes=classes, networks=networks, head=head, weights=weights)
    facts |= {"class_names": manifest.class_names, "step": step, "config": config.canonical()}
    depends_on = [code, step, manifest.digest()]
    inputs = [*regions, weights or Path(networks.weights)]
    with work_folder(work, config, machine, inputs, depends_on, team=team) as kept:
        rows = fit(
            model,
            model.new_layers(),
            TrainingImages(
                images,
                manifest.label_matrix(images),
                augmentation=augmentation_of(train, manifest),
                seed=seed,
                paint=EraseMined(Store(regions, kind="regions"), manifest.mean_pixel),
            ),
            lambda epoch: _loss_of,
            train=train,
            schedule=step_decay(
                steps_per_epoch=steps_per_epoch(images, train),
                every_epochs=train.decay_every,
                factor=train.decay_factor,
            ),
            machine=machine,
            what=f"classifier, step {step}",
            work=kept,
            team=team,
        )
        if team is None or team.leads:
            store(model, rows, output=output, curve_path=curve, facts=facts)
