"""Going on where a stopped training was."""

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

from aepsl.config.sections import Slice
from aepsl.console import log
from aepsl.machine import numerics
from aepsl.stopping import Stopped, StopRequest
from aepsl.stores.atomic import digest_of
from aepsl.stores.work import WorkFolder, holding
from aepsl.training.engine import Progress, restore_training, training_state
from aepsl.training.team import Team

SHARE = 0.05
"""Of a training's time, that may be spent on saving."""


def work_folder(
    folder: Path | None,
    config: Slice,
    machine: Any,
    inputs: Sequence[Path],
    facts: Any,
    *,
    team: Team | None = None,
) -> AbstractContextManager[WorkFolder | None]:
    """Hold the folder in which a training keeps what it needs to go on; None keeps nothing.

    A checkpoint is only taken up by a training with the same configuration, input (by content), and
    kind of machine, and the same ``facts``. Of a ``team`` only who leads it holds the folder.
    """
    if folder is None:
        return nullcontext(None)
    digests = [digest_of(path) for path in inputs if path.is_file()]
    about = [config.canonical(), machine.threads, digests, facts]
    about += numerics(machine.device.type)
    if machine.processes > 1:
        about.append(machine.processes)
    key = hashlib.sha256(json.dumps(about, sort_keys=True).encode()).hexdigest()
    if team is None or team.leads:
        return holding(folder, key=key)
    return nullcontext(WorkFolder(folder, key=key))


class Checkpoints:
    """Saves a training now and then, and when the process is asked to stop."""

    def __init__(
        self,
        work: WorkFolder | None,
        request: StopRequest,
        model: nn.Module,
        optimizer: torch.optim.SGD,
        *,
        what: str,
        leads: bool = True,
    ) -> None:
        self.model, self.optimizer = model, optimizer
        self._work, self._request, self._what = work, request, what
        self._leads = leads
        self._saved = time.monotonic()
        self._cost = 0.0

    def take_up(self) -> Progress:
        """Put back what an earlier process left, and return how far it was."""
        left = self._work.load() if self._work else None
        if left is None:
            return Progress()
        restore_training(self.model, self.optimizer, left[0])
        progress = Progress(**left[1])
        where = f"epoch {progress.epoch + 1} after step {progress.step}"
        log.info("%s goes on in %s", self._what, where)
        return progress

    def after_step(self, progress: Progress) -> None:
        """Save, if so much was done since that saving costs a small share of it.

        Raises:
            Stopped: after saving, if the process was asked to stop.
        """
        if not self._leads:
            return  # who leads saves, and ends the others
        now, stop = time.monotonic(), self._request.number
        if self._work and (stop or (now - self._saved) * SHARE >= self._cost):
            self._work.save(training_state(self.model, self.optimizer), asdict(progress))
            self._saved = time.monotonic()
            self._cost = self._saved - now
        if stop:
            where = f"in epoch {progress.epoch + 1} after step {progress.step}"
            raise Stopped(stop, f"{self._what}: stopped {where}")
