"""The training loop."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from aepsl.randomness import generator
from aepsl.training.distributed import rank, reduce_mean, world_size
from aepsl.training.schedules import Schedule

Batch = Mapping[str, Tensor]
Losses = Mapping[str, Tensor]
"""Losses and other measures of one batch by name; ``loss`` is minimised."""
LossOf = Callable[[Any, Batch], Losses]


def seed_torch(seed: int, *key: int | str) -> None:
    """Seed torch's global generators (initial weights, dropout) for ``seed`` and ``key``."""
    torch.manual_seed(int(generator(seed, *key).integers(2**63)))


@dataclass
class Progress:
    """Progress of a training; together with the tensors, a complete checkpoint."""

    epoch: int = 0
    """Completed epochs."""
    step: int = 0
    """Completed steps of the current epoch."""
    images: int = 0
    """Images in these steps, over all processes."""
    sums: dict[str, float] = field(default_factory=dict)
    """Sum of each measure over these images."""
    curve: list[dict[str, float]] = field(default_factory=list)
    """One row per completed epoch: the mean of each measure over the images, and the rate."""

    def __post_init__(self) -> None:
        self._unread: list[tuple[Losses, int]] = []

    def add_batch(self, losses: Losses, *, images: int) -> None:
        """Count one step of ``images`` images.

        Its losses are added to the sums one step later: reading them waits for the device, which
        then computes the next step already.
        """
        self.step += 1
        self.images += images
        self._unread.append(({name: value.detach() for name, value in losses.items()}, images))
        self.read_losses(all_but=1)

    def read_losses(self, *, all_but: int = 0) -> None:
        """Add the losses of the counted steps to the sums, except those of the last ``all_but``.

        Raises:
            FloatingPointError: if the loss is not finite.
        """
        while len(self._unread) > all_but:
            losses, images = self._unread.pop(0)
            for name, tensor in losses.items():
                value = tensor.item()
                if name == "loss" and not math.isfinite(value):
                    raise FloatingPointError(f"the loss is {value}")
                self.sums[name] = self.sums.get(name, 0.0) + value * images

    def close_epoch(self, *, learning_rate: float) -> dict[str, float]:
        """Append and return the row of the completed epoch."""
        self.read_losses()
        means = {name: total / self.images for name, total in self.sums.items()}
        row = {"epoch": self.epoch + 1, **means, "learning_rate": learning_rate}
        self.curve.append(row)
        self.epoch, self.step, self.images, self.sums = self.epoch + 1, 0, 0, {}
        return row


def train_one_epoch(
    model: nn.Module,
    batches: Iterable[Batch],
    loss_of: LossOf,
    *,
    optimizer: torch.optim.Optimizer,
    schedule: Schedule,
    progress: Progress,
    device: torch.device,
    seed: int,
    after_step: Callable[[], None] = lambda: None,
) -> dict[str, float]:
    """Train for the rest of an epoch; return its row of the curve.

    Args:
        model: trained in place; with several processes, the result of
            :func:`aepsl.training.distributed.wrap`.
        batches: the local batches that ``progress`` has not counted yet.
        loss_of: see :data:`Losses`.
        optimizer: the result of :func:`aepsl.training.optimizers.make_optimizer`.
        schedule: function from the step of this epoch to the factor of the learning rates.
        progress: updated in place.
        device: the device of the model.
        seed: dropout is drawn from (seed, epoch, step, rank).
        after_step: called after each counted step.

    Raises:
        FloatingPointError: when the loss is not finite.
    """
    model.train()
    own = [rank()] if rank() else []  # rank 0 gets the seed of a single process
    for batch in batches:
        seed_torch(seed, progress.epoch, progress.step, *own)
        _set_rates(optimizer, schedule(progress.step))
        there = {name: value.to(device, non_blocking=True) for name, value in batch.items()}
        losses = loss_of(model, there)
        optimizer.zero_grad(set_to_none=True)
        losses["loss"].backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        images = len(next(iter(batch.values()))) * world_size()
        progress.add_batch(reduce_mean(losses), images=images)
        after_step()
    first = optimizer.param_groups[0]["initial_lr"] * schedule(0)
    return progress.close_epoch(learning_rate=first)


def _set_rates(optimizer: torch.optim.Optimizer, factor: float) -> None:
    """Set the learning rates directly, so that no scheduler state must be saved."""
    for group in optimizer.param_groups:
        group["lr"] = group["initial_lr"] * factor
