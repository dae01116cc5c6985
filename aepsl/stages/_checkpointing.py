"""Save and resume trainings."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from torch import nn

from aepsl.config.sections import StageSettings
from aepsl.console import log
from aepsl.device import Compute
from aepsl.host import numerical_environment
from aepsl.signals import Stopped
from aepsl.stores.atomic import digest_of
from aepsl.stores.checkpoint import CheckpointFolder, locked
from aepsl.training.distributed import broadcast, is_main, world_size
from aepsl.training.engine import Progress
from aepsl.training.optimizers import optimizer_tensors, restore_training, training_state

MAX_SAVE_FRACTION = 0.01
"""Largest fraction of the training time that is spent on saving checkpoints."""


def checkpoint_folder(
    folder: Path | None,
    config: StageSettings,
    compute: Compute,
    inputs: Sequence[Path],
    facts: Any,
) -> AbstractContextManager[CheckpointFolder | None]:
    """Lock the checkpoint folder of a training; None disables checkpoints.

    A training resumes from a checkpoint only if configuration, content of the inputs, device type,
    number of processes and ``facts`` are the same. Only rank 0 locks the folder.
    """
    if folder is None or not is_main():
        return nullcontext(None)
    digests = [digest_of(path) for path in inputs if path.is_file()]
    about = [config.canonical(), compute.threads, digests, facts]
    about += numerical_environment(compute.device.type)
    if world_size() > 1:
        about.append(world_size())
    key = hashlib.sha256(json.dumps(about, sort_keys=True).encode()).hexdigest()
    return locked(folder, key=key)


class Checkpoints:
    """Saves checkpoints at intervals and when a signal requests a stop."""

    def __init__(
        self,
        work: CheckpointFolder | None,
        model: nn.Module,
        optimizer: torch.optim.Optimizer,
        *,
        what: str,
    ) -> None:
        self.model, self.optimizer = model, optimizer
        self._work, self._what = work, what
        self._saved = time.monotonic()
        self._cost = 0.0

    def restore(self, device: torch.device) -> Progress:
        """Restore the checkpoint of an earlier process, if any, and return its progress.

        Rank 0 reads the checkpoint. It sends the optimizer's state and progress to the other ranks
        here, and the weights when the model is wrapped.
        """
        progress = self._load()
        position = torch.tensor([progress.epoch, progress.step], device=device)
        broadcast(position)
        progress.epoch, progress.step = position.tolist()
        if world_size() > 1:
            broadcast(*optimizer_tensors(self.optimizer))
        return progress

    def _load(self) -> Progress:
        left = self._work.load() if self._work else None
        if left is None:
            return Progress()
        restore_training(self.model, self.optimizer, left[0])
        progress = Progress(**left[1])
        where = f"epoch {progress.epoch + 1} after step {progress.step}"
        log.info("%s resumes in %s", self._what, where)
        return progress

    def save_if_due(self, progress: Progress, *, stop: int) -> None:
        """Save a checkpoint on a stop request, or if one is due.

        One is due if saving it takes at most :data:`MAX_SAVE_FRACTION` of the time since the last.

        Args:
            progress: progress of the training.
            stop: signal that requested a stop, the same on every rank; 0 for none.

        Raises:
            Stopped: after saving, if a stop was requested.
        """
        now = time.monotonic()
        if self._work and (stop or (now - self._saved) * MAX_SAVE_FRACTION >= self._cost):
            progress.read_losses()
            self._work.save(training_state(self.model, self.optimizer), asdict(progress))
            self._saved = time.monotonic()
            self._cost = self._saved - now
        if stop:
            where = f"in epoch {progress.epoch + 1} after step {progress.step}"
            raise Stopped(stop, f"{self._what}: stopped {where}")
