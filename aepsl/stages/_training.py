"""What the two trainings share: loader, optimizer, loop, model file and curve."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn

from aepsl.config.networks import Training
from aepsl.console import log, tracked
from aepsl.data.loading import Augmentation, TrainingImages, epoch_batches
from aepsl.errors import AepslError
from aepsl.randomness import shuffled_batches
from aepsl.stages._resuming import Checkpoints
from aepsl.stopping import stop_requests
from aepsl.stores.atomic import write_text
from aepsl.stores.dataset import ImageManifest
from aepsl.stores.models import save_model
from aepsl.stores.work import WorkFolder
from aepsl.training.engine import Batch, LossOf, Progress, SgdOptions, sgd, train_one_epoch
from aepsl.training.schedules import Schedule
from aepsl.training.team import Team


@dataclass(frozen=True)
class Machine:
    """How a training is run; device and threads decide the last bits, loader processes nothing."""

    device: torch.device
    threads: int
    workers: int
    processes: int = 1
    """That train one model together, each on a GPU of its own if there are any."""


def augmentation_of(train: Training, dataset: ImageManifest) -> Augmentation:
    """Return how the images vary."""
    return Augmentation(
        crop=train.crop,
        scale_min=train.scale_min,
        scale_max=train.scale_max,
        flip=train.flip,
        outside=dataset.mean_pixel,
    )


def steps_per_epoch(images: Sequence[Any], train: Training) -> int:
    """Return how many batches an epoch has."""
    return len(shuffled_batches(len(images), batch_size=train.batch_size, seed=0, epoch=0))


def _optimizer(
    model: nn.Module, new_layers: Iterable[nn.Module], train: Training
) -> torch.optim.SGD:
    rates = (train.learning_rate, train.new_layers_factor)
    return sgd(model, new_layers, SgdOptions(*rates, train.momentum, train.weight_decay))


def _batches(
    images: TrainingImages,
    progress: Progress,
    *,
    train: Training,
    machine: Machine,
    team: Team,
    what: str,
) -> Iterator[Batch]:
    """Yield what is left of an epoch, each batch when the team knows how large it is."""
    batches = epoch_batches(
        images,
        batch_size=train.batch_size,
        epoch=progress.epoch,
        workers=machine.workers,
        start=progress.step,
        share=team.share,
    )
    left = steps_per_epoch(images.images, train) - progress.step
    for team.total, batch in tracked(batches, total=left, what=what):
        yield batch


def fit(
    model: nn.Module,
    new_layers: Iterable[nn.Module],
    images: TrainingImages,
    loss_at: Callable[[int], LossOf],
    *,
    train: Training,
    schedule: Schedule,
    machine: Machine,
    what: str,
    work: WorkFolder | None = None,
    team: Team | None = None,
) -> list[dict[str, float]]:
    """Train ``model`` in place; return one row an epoch: its losses and its learning rate.

    ``loss_at`` gives the loss of an epoch, counted from 0. With a work folder it goes on where an
    earlier process was, and comes to the same model, to the last bit. Each process of a ``team``
    calls it.

    Raises:
        AepslError: if the loss is no longer a number.
        Stopped: if the process was asked to stop; what is done is saved.
    """
    team = team or Team()
    torch.set_num_threads(machine.threads)
    model.to(machine.device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    steps = steps_per_epoch(images.images, train)
    with stop_requests() as request:
        optimizer = _optimizer(model, new_layers, train)
        checkpoints = Checkpoints(work, request, model, optimizer, what=what, leads=team.leads)
        progress = checkpoints.take_up()
        together = team.join(model, machine.device)
        while progress.epoch < train.epochs:
            epoch = progress.epoch
            title = f"{what}, epoch {epoch + 1} of {train.epochs}"
            try:
                row = train_one_epoch(
                    together,
                    _batches(images, progress, train=train, machine=machine, team=team, what=title),
                    loss_at(epoch),
                    optimizer=checkpoints.optimizer,
                    schedule=lambda step, done=epoch * steps: schedule(done + step),  # type: ignore[misc]
                    progress=progress,
                    device=machine.device,
                    precision=train.precision,
                    seed=images.seed,
                    after_step=lambda: checkpoints.after_step(progress),
                    team=team,
                )
            except FloatingPointError as error:
                raise AepslError.of(what, str(error), "lower the learning_rate") from None
            log.info("%s: %s", title, row)
    return progress.curve


def store(
    model: nn.Module,
    curve: Sequence[Mapping[str, float]],
    *,
    output: Path,
    curve_path: Path,
    facts: Mapping[str, Any],
) -> None:
    """Write the training curve as CSV, then the model."""
    text = io.StringIO()
    writer = csv.DictWriter(text, fieldnames=list(curve[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(curve)
    write_text(curve_path, text.getvalue())
    save_model(output, model.state_dict(), facts)
