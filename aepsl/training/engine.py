"""The training loop."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from aepsl.randomness import generator
from aepsl.training.schedules import Schedule
from aepsl.training.team import Team

Batch = Mapping[str, Tensor]
Losses = Mapping[str, Tensor]
"""Named losses and other measures of one batch; the one called ``loss`` is minimised."""
LossOf = Callable[[Any, Batch], Losses]


@dataclass(frozen=True)
class SgdOptions:
    """Stochastic gradient descent, as Caffe does it for DeepLab."""

    learning_rate: float
    new_layers_factor: float
    momentum: float
    weight_decay: float


def sgd(model: nn.Module, new_layers: Iterable[nn.Module], options: SgdOptions) -> torch.optim.SGD:
    """Return the optimizer of ``model``, whose ``new_layers`` learn faster by a factor."""
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


def freeze(layers: Iterable[nn.Module]) -> None:
    """Keep the parameters of ``layers`` as they are."""
    for layer in layers:
        layer.requires_grad_(False)


def multiplies_bfloat16(device: torch.device) -> bool:
    """Return whether ``device`` has units for bfloat16 (a GPU since Ampere, a CPU with AMX)."""
    if device.type == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    return bool(torch.cpu.get_capabilities().get("amx_bf16", False))


def mixed_precision(precision: str, device: torch.device) -> torch.autocast:
    """Return the context of a forward pass: ``float32``, ``bfloat16``, or ``auto``.

    Weights and their updates stay float32; only the products of a step are rounded.
    """
    wanted = precision == "bfloat16" or (precision == "auto" and multiplies_bfloat16(device))
    return torch.autocast(device.type, torch.bfloat16, enabled=wanted)


@dataclass
class Progress:
    """How far a training is: with the tensors, all that another process needs to go on."""

    epoch: int = 0
    """Epochs that are done."""
    step: int = 0
    """Steps that are done of the next epoch."""
    images: int = 0
    """Images in these steps."""
    sums: dict[str, float] = field(default_factory=dict)
    """Each measure, summed over these images."""
    curve: list[dict[str, float]] = field(default_factory=list)
    """One row an epoch that is done: the mean of each measure over the images, and the rate."""

    def count(self, losses: Losses, *, images: int) -> None:
        """Take note of one step."""
        self.step += 1
        self.images += images
        for name, value in losses.items():
            self.sums[name] = self.sums.get(name, 0.0) + float(value.detach()) * images

    def close_epoch(self, *, learning_rate: float) -> dict[str, float]:
        """Add the row of an epoch whose steps are done, and return it."""
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


def restore_training(
    model: nn.Module, optimizer: torch.optim.SGD, tensors: Mapping[str, Tensor]
) -> None:
    """Put the tensors of :func:`training_state` back.

    Raises:
        RuntimeError: if they are another model's.
    """
    parts: dict[str, dict[str, Tensor]] = {"model": {}, "momentum": {}}
    for name, value in tensors.items():
        part, _, rest = name.partition(".")
        parts[part][rest] = value
    model.load_state_dict(parts["model"])
    for name, parameter in model.named_parameters():
        if name in parts["momentum"]:
            # Laid out as the parameter is: the next step must not depend on where memory lies.
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
    team: Team | None = None,
) -> dict[str, float]:
    """Train on what is left of an epoch; return its row of the curve.

    Args:
        model: is trained in place.
        batches: those that ``progress`` has not counted yet.
        loss_of: see :data:`Losses`.
        optimizer: of :func:`sgd`.
        schedule: from the step of this epoch to the factor of the learning rates.
        progress: is carried on.
        device: where the model lies.
        precision: see :func:`mixed_precision`.
        seed: dropout is drawn from (seed, epoch, step).
        after_step: is called when a step is done and counted.
        team: of processes that each work on a part of every batch; knows how large the batch is.

    Raises:
        FloatingPointError: when the loss is no longer a number.
    """
    team = team or Team()
    model.train()
    for batch in batches:
        seed_torch(seed, progress.epoch, progress.step)
        _set_rates(optimizer, schedule(progress.step))
        with mixed_precision(precision, device):
            losses = loss_of(model, {name: value.to(device) for name, value in batch.items()})
        optimizer.zero_grad(set_to_none=True)
        team.weigh(losses["loss"]).backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        losses = team.mean(losses)
        progress.count(losses, images=team.total or len(next(iter(batch.values()))))
        if not torch.isfinite(losses["loss"]):
            raise FloatingPointError(f"the loss is {losses['loss'].item()}")
        after_step()
    first = optimizer.param_groups[0]["initial_lr"] * schedule(0)
    return progress.close_epoch(learning_rate=first)


def _set_rates(optimizer: torch.optim.Optimizer, factor: float) -> None:
    """Set the rates from the step alone: a scheduler object would be one more state to keep."""
    for group in optimizer.param_groups:
        group["lr"] = group["initial_lr"] * factor
