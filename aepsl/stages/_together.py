"""A training in several processes of this machine: this one leads, the others help."""

from __future__ import annotations

import logging
import multiprocessing
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from importlib import import_module
from pathlib import Path
from typing import Any

import torch

from aepsl.console import log
from aepsl.errors import AepslError
from aepsl.stages._training import Machine
from aepsl.stopping import ignore_signals
from aepsl.training.team import Team, meet, part_ways


def _own(machine: Machine, rank: int) -> Machine:
    """Return the machine as one process of a team has it."""
    if machine.device.type != "cuda":
        return machine
    torch.cuda.set_device(rank)
    return replace(machine, device=torch.device("cuda", rank))


def _train(module: str, place: Path, team: Team, machine: Machine, options: dict[str, Any]) -> None:
    machine = _own(machine, team.rank)
    meet(team, device=machine.device, place=place)
    import_module(module).run(**options, machine=machine, team=team)
    part_ways()


def _help(module: str, place: Path, team: Team, machine: Machine, options: dict[str, Any]) -> None:
    """Be one of the processes that do not lead: silent, and ended by the one that does."""
    ignore_signals()
    log.setLevel(logging.ERROR)
    _train(module, place, team, machine, options)


@contextmanager
def _helpers(module: str, place: Path, machine: Machine, options: dict[str, Any]) -> Iterator[None]:
    context = multiprocessing.get_context("spawn")
    size = machine.processes
    processes = [
        context.Process(
            target=_help, args=(module, place, Team(rank, size), machine, options), daemon=True
        )
        for rank in range(1, size)
    ]
    for process in processes:
        process.start()
    try:
        yield
        for process in processes:
            process.join()
    finally:
        for process in processes:
            process.kill()


def run(module: str, *, machine: Machine, **options: Any) -> None:
    """Run a stage that trains, with as many processes as ``machine`` says.

    Raises:
        AepslError: if there are fewer GPUs than processes, or one of them is lost.
    """
    if machine.processes == 1:
        import_module(module).run(**options, machine=machine)
        return
    if machine.device.type == "cuda" and torch.cuda.device_count() < machine.processes:
        what = f"{machine.processes} GPUs asked for, {torch.cuda.device_count()} seen"
        raise AepslError.of("runtime.training_gpus", what, "set it to what a node has")
    team = Team(0, machine.processes)
    with tempfile.TemporaryDirectory(prefix="aepsl-team-") as folder:
        place = Path(folder, "meet")
        with _helpers(module, place, machine, options):
            try:
                _train(module, place, team, machine, options)
            except RuntimeError as error:
                if "peer" not in str(error) and "imed out" not in str(error):
                    raise
                what = f"another process of the training was lost ({error})"
                hint = "its message is above, if it had one; the same command goes on"
                raise AepslError.of("training", what, hint) from None
