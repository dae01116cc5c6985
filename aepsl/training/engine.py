"""The training loop."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from aepsl.randomness import generator
from aepsl.training.schedules import Schedule

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
    return torch.optim.SGD(
        [
            {"params": slow, "lr": options.learning_rate},
            {
                "params": list(fast.values()),
                "lr": options.learning_rate * options.new_layers_factor,
            },
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


def train_one_epoch(
    model: nn.Module,
    batches: Iterable[Batch],
    loss_of: LossOf,
    *,
    optimizer: torch.optim.Optimizer,
    schedule: torch.optim.lr_scheduler.LRScheduler,
    device: torch.device,
    precision: str = "float32",
    seed: int,
    epoch: int,
) -> dict[str, float]:
    """Train on each batch once; return the mean of each measure over the images, and the rate.

    Dropout is drawn from (seed, epoch, step). Raises ``FloatingPointError`` when the loss is no
    longer a number.
    """
    model.train()
    sums: dict[str, float] = {}
    images = 0
    rate = optimizer.param_groups[0]["lr"]
    for step, batch in enumerate(batches):
        seed_torch(seed, epoch, step)
        with mixed_precision(precision, device):
            losses = loss_of(model, {name: value.to(device) for name, value in batch.items()})
        optimizer.zero_grad(set_to_none=True)
        losses["loss"].backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        schedule.step()
        size = len(next(iter(batch.values())))
        images += size
        for name, value in losses.items():
            sums[name] = sums.get(name, 0.0) + float(value.detach()) * size
        if not torch.isfinite(losses["loss"]):
            raise FloatingPointError(f"the loss is {losses['loss'].item()}")
    return {name: total / images for name, total in sums.items()} | {"learning_rate": rate}


def rate_schedule(
    optimizer: torch.optim.Optimizer, schedule: Schedule
) -> torch.optim.lr_scheduler.LambdaLR:
    """Return torch's scheduler that follows ``schedule``, one step a batch."""
    return torch.optim.lr_scheduler.LambdaLR(optimizer, schedule)
