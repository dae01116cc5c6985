"""Optimizers with two learning rates, and their state by name."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.optim import SGD, AdamW, Optimizer


@dataclass(frozen=True)
class OptimizerOptions:
    """Options of an optimizer."""

    name: str
    """A key of :data:`OPTIMIZERS`."""
    learning_rate: float
    new_layers_factor: float
    momentum: float
    """Of SGD; AdamW has its own."""
    weight_decay: float


class OptimizerKind(NamedTuple):
    """An optimizer of torch."""

    make: Callable[[Any, OptimizerOptions], Optimizer]
    """Function from groups of parameters and options to the optimizer."""
    state: tuple[str, ...]
    """Names of the tensors that it keeps for each parameter, 0 before the first step."""


OPTIMIZERS = {
    "sgd": OptimizerKind(
        lambda groups, options: SGD(
            groups, momentum=options.momentum, weight_decay=options.weight_decay
        ),
        ("momentum_buffer",),
    ),
    "adamw": OptimizerKind(
        # Fused: a fifth of the time, in one pass over the weights.
        lambda groups, options: AdamW(groups, weight_decay=options.weight_decay, fused=True),
        ("step", "exp_avg", "exp_avg_sq"),
    ),
}
"""Optimizers by name: SGD as used for DeepLab in Caffe, and AdamW."""


def make_optimizer(
    model: nn.Module, new_layers: Iterable[nn.Module], options: OptimizerOptions
) -> Optimizer:
    """Return an optimizer for ``model``, with a higher learning rate for ``new_layers``."""
    fast = {id(p): p for layer in new_layers for p in layer.parameters()}
    slow = [p for p in model.parameters() if id(p) not in fast and p.requires_grad]
    rate = options.learning_rate
    fast_rate = rate * options.new_layers_factor
    groups = [
        {"params": slow, "lr": rate, "initial_lr": rate},
        {"params": list(fast.values()), "lr": fast_rate, "initial_lr": fast_rate},
    ]
    return OPTIMIZERS[options.name].make(groups, options)


def _names(optimizer: Optimizer) -> tuple[str, ...]:
    return OPTIMIZERS[type(optimizer).__name__.lower()].state


def _zeros(key: str, parameter: Tensor) -> Tensor:
    """Return the state before the first step, on the parameter's device and in its format."""
    return parameter.new_zeros(()) if key == "step" else torch.zeros_like(parameter)


def training_state(model: nn.Module, optimizer: Optimizer) -> dict[str, Tensor]:
    """Return every tensor that the next step depends on, by name."""
    state = {
        f"{key}.{name}": optimizer.state[parameter][key]
        for name, parameter in model.named_parameters()
        for key in _names(optimizer)
        if optimizer.state.get(parameter, {}).get(key) is not None
    }
    return {f"model.{name}": value for name, value in model.state_dict().items()} | state


def optimizer_tensors(optimizer: Optimizer) -> list[Tensor]:
    """Return what the optimizer keeps of each parameter; 0 before the first step."""
    tensors = []
    for parameter in (p for group in optimizer.param_groups for p in group["params"]):
        state = optimizer.state[parameter]
        for key in _names(optimizer):
            tensors.append(state.setdefault(key, _zeros(key, parameter)))
    return tensors


def restore_training(model: nn.Module, optimizer: Optimizer, tensors: Mapping[str, Tensor]) -> None:
    """Restore the tensors of :func:`training_state`.

    Raises:
        RuntimeError: if they do not fit the model.
    """
    parts: dict[str, dict[str, Tensor]] = {"model": {}}
    for name, value in tensors.items():
        part, _, rest = name.partition(".")
        parts.setdefault(part, {})[rest] = value
    model.load_state_dict(parts["model"])
    for key in _names(optimizer):
        for name, parameter in model.named_parameters():
            if name in parts.get(key, {}):
                # The memory format of the parameter: the result of a step can depend on the format.
                optimizer.state[parameter][key] = _zeros(key, parameter).copy_(parts[key][name])
