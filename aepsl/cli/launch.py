"""Data-parallel training: torchrun starts the same command in several processes.

How ``runtime.training_gpus`` gets here: :mod:`aepsl.workflow.resources` passes it to a training's
command as ``--training-gpus``. :func:`in_processes` wraps that command, reserves the GPUs and calls
:func:`torchrun`, which starts the command again in that many processes, one per GPU if there are
GPUs. In each, :func:`take_part` runs the training, and :mod:`aepsl.training.distributed` connects
the processes.

Rank 0 does everything that a single process does: log, locks, cache, checksums, checkpoint, model.
The other ranks only train, and only if rank 0 trains.
"""

from __future__ import annotations

import functools
import inspect
import logging
import os
import signal
import socket
import sys
from collections.abc import Callable
from contextlib import suppress
from datetime import timedelta
from typing import Any

from aepsl.cli.gpus import reserve_gpus
from aepsl.console import log
from aepsl.errors import AepslError
from aepsl.host import usable_gpus
from aepsl.signals import Stopped, ignore_signals


def torchrun(processes: int, *, threads: int) -> None:
    """Run this command in ``processes`` processes on this machine; exit with their status.

    Raises:
        AepslError: if a process is killed by a signal.
    """
    from torch.distributed import run
    from torch.distributed.elastic.multiprocessing.api import SignalException
    from torch.distributed.elastic.multiprocessing.errors import ChildFailedError

    logging.disable(logging.ERROR)  # the processes report errors themselves
    os.environ |= {
        "OMP_NUM_THREADS": str(threads),
        "GLOO_SOCKET_IFNAME": next(name for _, name in socket.if_nameindex() if name[:2] == "lo"),
        "TORCH_CPP_LOG_LEVEL": "ERROR",
    }
    options = ["--standalone", "--local-addr", "localhost", "--nproc-per-node", str(processes)]
    # The -- keeps torchrun from reading our options as abbreviations of its own.
    arguments = run.parse_args([*options, "-m", "--", "aepsl", *sys.argv[1:]])  # type: ignore[no-untyped-call]
    try:
        run.run(arguments)  # type: ignore[no-untyped-call]
    except SignalException as stopped:
        sys.exit(128 + stopped.sigval)
    except ChildFailedError as error:
        rank, first = next(iter(error.failures.items()))
        if first.exitcode > 0:
            sys.exit(first.exitcode)
        what = f"process {rank} was ended by {signal.Signals(-first.exitcode).name}"
        hint = "after SIGKILL it probably ran out of memory; run the same command to resume"
        raise AepslError.of("training", what, hint) from None


def take_part(command: Callable[[], None], train: Callable[[], None]) -> None:
    """Run ``command`` on rank 0, and ``train`` on the other ranks if rank 0 trains.

    Raises:
        AepslError: if another process has died.
    """
    from torch.distributed import DistError

    from aepsl.training.distributed import MAIN_TRAINS, connect, is_main

    try:
        store = connect()
        if is_main():
            try:
                command()
            finally:
                with suppress(DistError):  # torchrun has ended
                    store.compare_set(MAIN_TRAINS, "", "no")
            return
        log.setLevel(logging.ERROR)
        store.set_timeout(timedelta(days=365))  # rank 0 may wait for a lock
        if store.get(MAIN_TRAINS) == b"yes":
            train()
    except Stopped as stopped:
        if is_main():
            raise
        sys.exit(128 + stopped.number)
    except RuntimeError as error:
        if not isinstance(error, DistError) and "gloo" not in str(error):
            raise
        what = f"another process ended ({str(error).partition('. This is')[0]})"
        hint = "its message is above, if it printed one; run the same command to resume"
        raise AepslError.of("training", what, hint) from None
    finally:
        ignore_signals()  # torchrun signals all processes when the first has ended


def in_processes(command: Callable[..., None]) -> Callable[..., None]:
    """Wrap a training ``command`` to run in ``training_gpus`` processes, one of its options.

    Raises:
        AepslError: if there are too few GPUs, or torchrun started another number of processes.
    """
    stage = inspect.unwrap(command)  # without log, locks, cache and checksums
    names = inspect.signature(stage).parameters

    @functools.wraps(command)
    def run(**options: Any) -> None:
        processes, device = options["training_gpus"], options["device"]
        started = int(os.environ.get("WORLD_SIZE", "1"))
        here = int(os.environ.get("LOCAL_WORLD_SIZE", processes))
        gpus = len(usable_gpus()) if device in ("auto", "cuda") else 0
        if gpus and here > gpus:
            what = f"{here} GPUs requested, {gpus} found"
            raise AepslError.of(
                "runtime.training_gpus", what, "set it to the number of GPUs of a node"
            )
        if "RANK" in os.environ and started != processes:
            what = f"is {processes}, but torchrun started {started} processes"
            raise AepslError.of("--training-gpus", what, "set it to the number of all processes")
        if processes == 1:
            command(**options)
        elif "RANK" in os.environ:
            own = {name: options[name] for name in names}
            take_part(functools.partial(command, **options), functools.partial(stage, **own))
        else:
            with reserve_gpus(device, processes):
                torchrun(processes, threads=options["threads"])

    return run
