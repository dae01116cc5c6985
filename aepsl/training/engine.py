"""The training loop."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from aepsl.precision import mixed_precision
from aepsl.randomness import generator
from aepsl.training.distributed import rank, reduce_mean, world_size
from aepsl.training.schedules import Schedule

Batch = Mapping[str, Tensor]
Losses = Mapping[str, Tensor]
"""Losses and other measures of one batch by name; ``loss`` is minimised."""
LossOf = Callable[[Any, Batch], Losses]


@dataclass(frozen=True)
class SgdOptions:
    """Options of SGD, as used for DeepLab in Caffe."""

    learning_rate: float
    new_layers_factor: float
    momentum: float
    weight_decay: float


def make_sgd(
    model: nn.Module, new_layers: Iterable[nn.Module], options: SgdOptions
) -> torch.optim.SGD:
    """Return SGD for ``model``, with a higher learning rate for ``new_layers``."""
    fast = {id(p): p for layer in new_layers for p in layer.parameters()}
    slow = [p for p in model.parameters() if id(p) not in fast and p.requires_grad]
    rate = options.learning_rate
    fast_rate = rate * options.new_layers_factor
    return torch.optim.SGD(
        [
            {"params": slow, "lr": rate, "initial_lr": rate},
            {"params": list(fast.values()), "lr": fast_rate, "initial_lr": fast_rate},
        ],
        momentum=options.momentum,
        weight_decay=options.weight_decay,
    )


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

    def add_batch(self, losses: Losses, *, images: int) -> None:
        """Count one step of ``images`` images."""
        self.step += 1
        self.images += images
        for name, value in losses.items():
            self.sums[name] = self.sums.get(name, 0.0) + float(value.detach()) * images

    def close_epoch(self, *, learning_rate: float) -> dict[str, float]:
        """Append and return the row of the completed epoch."""
        means = {name: total / self.images for name, total in self.sums.items()}
        row = {"epoch": self.epoch + 1, **means, "learning_rate": learning_rate}
        self.curve.append(row)
        self.epoch, self.step, self.images, self.sums = self.epoch + 1, 0, 0, {}
        return row


def training_state(model: nn.Module, optimizer: torch.optim.SGD) -> dict[str, Tensor]:
    """Return every tensor that the next step depends on, by name."""
    momenta = {
        f"momentum.{name}": optimizer.state[parameter]["momentum_buffer"]
        for name, parameter in model.named_parameters()
        if optimizer.state.get(parameter, {}).get("momentum_buffer") is not None
    }
    return {f"model.{name}": value for name, value in model.state_dict().items()} | momenta


def momentum_buffers(optimizer: torch.optim.SGD) -> list[Tensor]:
    """Return the momentum of each parameter; it is 0 before the first step."""
    parameters = [p for group in optimizer.param_groups for p in group["params"]]
    return [
        optimizer.state[p].setdefault("momentum_buffer", torch.zeros_like(p)) for p in parameters
    ]


def restore_training(
    model: nn.Module, optimizer: torch.optim.SGD, tensors: Mapping[str, Tensor]
) -> None:
    """Restore the tensors of :func:`training_state`.

    Raises:
        RuntimeError: if they do not fit the model.
    """
    parts: dict[str, dict[str, Tensor]] = {"model": {}, "momentum": {}}
    for name, value in tensors.items():
        part, _, rest = name.partition(".")
        parts[part][rest] = value
    model.load_state_dict(parts["model"])
    for name, parameter in model.named_parameters():
        if name in parts["momentum"]:
            # The memory format of the parameter: the result of a step can depend on the format.
            buffer = torch.empty_like(parameter).copy_(parts["momentum"][name])
            optimizer.state[parameter]["momentum_buffer"] = buffer


def train_one_epoch(
    model: nn.Module,
    batches: Iterable[Batch],
    loss_of: LossOf,
    *,
    optimizer: torch.optim.Optimizer,
    schedule: Schedule,
    progress: Progress,
    device: torch.device,
    precision: str = "float32",
    seed: int,
    after_step: Callable[[], None] = lambda: None,
) -> dict[str, float]:
    """Train for the rest of an epoch; return its row of the curve.

    Args:
        model: trained in place; with several processes, the result of
            :func:`aepsl.training.distributed.wrap`.
        batches: the local batches that ``progress`` has not counted yet.
        loss_of: see :data:`Losses`.
        optimizer: the result of :func:`make_sgd`.
        schedule: function from the step of this epoch to the factor of the learning rates.
        progress: updated in place.
        device: the device of the model.
        precision: see :func:`mixed_precision`.
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
        with mixed_precision(precision, device):
            losses = loss_of(model, {name: value.to(device) for name, value in batch.items()})
        optimizer.zero_grad(set_to_none=True)
        losses["loss"].backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        losses = reduce_mean(losses)
        progress.add_batch(losses, images=len(next(iter(batch.values()))) * world_size())
        if not torch.isfinite(losses["loss"]):
            raise FloatingPointError(f"the loss is {losses['loss'].item()}")
        after_step()
    first = optimizer.param_groups[0]["initial_lr"] * schedule(0)
    return progress.close_epoch(learning_rate=first)


def _set_rates(optimizer: torch.optim.Optimizer, factor: float) -> None:
    """Set the learning rates directly, so that no scheduler state must be saved."""
    for group in optimizer.param_groups:
        group["lr"] = group["initial_lr"] * factor
