"""Learning-rate schedules, as factors of the initial rate."""

from __future__ import annotations

from collections.abc import Callable

Schedule = Callable[[int], float]
"""Function from the number of steps to the factor of the learning rate."""


def step_decay(*, steps_per_epoch: int, every_epochs: int, factor: float) -> Schedule:
    """Multiply by ``factor`` every ``every_epochs`` epochs (classifier: 0.1 every 6)."""
    return lambda step: factor ** (step // (steps_per_epoch * every_epochs))


def poly_decay(*, total_steps: int, power: float) -> Schedule:
    """``(1 - step / total)^power`` (DeepLab's poly policy)."""
    return lambda step: (1 - min(step, total_steps) / total_steps) ** power
