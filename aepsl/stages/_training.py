"""Code shared by the two trainings: loader, optimizer, loop, model file and curve."""

from __future__ import annotations

import csv
import io
import os
import signal
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, closing, contextmanager
from itertools import islice
from pathlib import Path
from typing import Any

import torch
from torch import nn

from aepsl.config.networks import Training
from aepsl.console import epoch_of, log, tracked
from aepsl.data.loading import Augmentation, TrainingImages, training_batches
from aepsl.device import Compute
from aepsl.errors import AepslError
from aepsl.randomness import shuffled_batches
from aepsl.signals import stop_request
from aepsl.stages._checkpointing import Checkpoints
from aepsl.stores.atomic import write_text
from aepsl.stores.checkpoint import CheckpointFolder
from aepsl.stores.manifests import ImageManifest
from aepsl.stores.models import save_model
from aepsl.training.distributed import (
    is_main,
    local_batch,
    process_group,
    reduce_max,
    world_size,
    wrap,
)
from aepsl.training.engine import Batch, LossOf, Progress, train_one_epoch
from aepsl.training.optimizers import OptimizerOptions, make_optimizer
from aepsl.training.schedules import Schedule


def augmentation_of(train: Training, dataset: ImageManifest, *, scale: float) -> Augmentation:
    """Return the augmentation of a training on photographs in ``scale`` of their size."""
    sides = (max(image.height, image.width) for image in dataset.images)
    return Augmentation(
        scale=scale,
        crop=train.crop_of(sides, scale=scale),
        scale_min=train.scale_min,
        scale_max=train.scale_max,
        flip=train.flip,
        fill_value=dataset.mean_pixel,
    )


def steps_per_epoch(images: Sequence[Any], train: Training) -> int:
    """Return the number of batches per epoch."""
    return len(shuffled_batches(len(images), batch_size=train.batch_size, seed=0, epoch=0))


def _optimizer(
    model: nn.Module, new_layers: Iterable[nn.Module], train: Training
) -> torch.optim.Optimizer:
    rates = (train.learning_rate, train.new_layers_factor)
    options = OptimizerOptions(train.optimizer, *rates, train.momentum, train.weight_decay)
    return make_optimizer(model, new_layers, options)


def _batches(
    images: TrainingImages,
    progress: Progress,
    *,
    train: Training,
    workers: int,
    device: torch.device,
) -> Generator[Batch]:
    """Yield the local batches of this rank for the rest of the training."""
    return training_batches(
        images,
        batch_size=train.batch_size,
        epochs=train.epochs,
        workers=workers,
        start=(progress.epoch, progress.step),
        local_batch=local_batch,
        pin_memory=device.type == "cuda",
    )


def _warn_if_images_repeat(what: str, train: Training) -> None:
    if again := -train.batch_size % world_size():
        log.warning(
            "%s: %d images of a batch count twice, so that all processes have equal batches",
            what,
            again,
        )


def in_words(row: Mapping[str, float]) -> str:
    """Return a row of the curve as readable text, without the epoch."""
    values = {name: value for name, value in row.items() if name != "epoch"}
    return ", ".join(f"{name.replace('_', ' ')} {value:.3g}" for name, value in values.items())


@contextmanager
def _stop_signal(device: torch.device) -> Iterator[Callable[[], int]]:
    """Yield a function that returns the signal that requested a stop on any rank, or 0.

    A process that torchrun started also stops when torchrun has ended.
    """
    alone, parent = world_size() == 1, os.getppid()
    with stop_request(obeys_second=alone) as request:

        def asked() -> int:
            orphan = not alone and os.getppid() != parent
            return reduce_max(request.number or (signal.SIGTERM if orphan else 0), device)

        yield asked


def fit(
    model: nn.Module,
    new_layers: Iterable[nn.Module],
    images: TrainingImages,
    loss_of_epoch: Callable[[int], LossOf],
    *,
    train: Training,
    schedule: Schedule,
    compute: Compute,
    workers: int,
    what: str,
    work: CheckpointFolder | None = None,
) -> list[dict[str, float]]:
    """Train ``model`` in place; return one row per epoch: its losses and its learning rate.

    ``loss_of_epoch`` returns the loss function of an epoch, counted from 0. With the checkpoint
    folder ``work``, training resumes from a checkpoint and ends with a bit-identical model. Every
    rank calls this function. ``workers`` is the number of processes that load images; with 0, a
    thread of this process does.

    Raises:
        AepslError: if the loss is not finite.
        Stopped: if a signal requested a stop; a checkpoint is saved first.
    """
    _warn_if_images_repeat(what, train)
    torch.set_num_threads(compute.threads)
    steps = steps_per_epoch(images.images, train)
    with ExitStack() as stack:
        device = stack.enter_context(process_group(compute.device))
        stop_signal = stack.enter_context(_stop_signal(device))
        model.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        optimizer = _optimizer(model, new_layers, train)
        checkpoints = Checkpoints(work, model, optimizer, what=what)
        progress = checkpoints.restore(device)
        wrapped = wrap(model, device)
        batches = _batches(images, progress, train=train, workers=workers, device=device)
        stack.enter_context(closing(batches))
        while progress.epoch < train.epochs:
            epoch = progress.epoch
            title = epoch_of(what, epoch=epoch + 1, epochs=train.epochs)
            left = steps - progress.step
            of_epoch = islice(batches, left)
            try:
                row = train_one_epoch(
                    wrapped,
                    tracked(of_epoch, total=left, what=title) if is_main() else of_epoch,
                    loss_of_epoch(epoch),
                    optimizer=optimizer,
                    schedule=lambda step, done=epoch * steps: schedule(done + step),  # type: ignore[misc]
                    progress=progress,
                    device=device,
                    seed=images.seed,
                    after_step=lambda: checkpoints.save_if_due(progress, stop=stop_signal()),
                )
            except FloatingPointError as error:
                raise AepslError.of(what, str(error), "lower the learning_rate") from None
            log.info("%s: %s", title, in_words(row))
    return progress.curve


def save_model_and_curve(
    model: nn.Module,
    curve: Sequence[Mapping[str, float]],
    *,
    output: Path,
    curve_path: Path,
    facts: Mapping[str, Any],
) -> None:
    """Write the training curve as CSV, then the model; only rank 0 writes."""
    if not is_main():
        return
    text = io.StringIO()
    writer = csv.DictWriter(text, fieldnames=list(curve[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(curve)
    write_text(curve_path, text.getvalue())
    save_model(output, model.state_dict(), facts)
