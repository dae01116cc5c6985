"""Training in several processes (PyTorch's DistributedDataParallel), as torchrun starts them.

torchrun sets RANK, WORLD_SIZE, LOCAL_RANK, MASTER_ADDR and MASTER_PORT. Without them, training runs
in a single process, and the functions of this module change nothing.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import timedelta

import torch
from torch import Tensor, distributed, nn
from torch.distributed import Store  # type: ignore[attr-defined]
from torch.distributed.rendezvous import rendezvous
from torch.nn.parallel import DistributedDataParallel

MAIN_TRAINS = "aepsl/main_trains"
"""Key in torchrun's store: "yes" once rank 0 starts to train, "no" if it ends without training."""


def rank() -> int:
    """Return the rank of this process among the processes of all nodes."""
    return int(os.environ.get("RANK", "0"))


def world_size() -> int:
    """Return the number of processes on all nodes."""
    return int(os.environ.get("WORLD_SIZE", "1"))


def is_main() -> bool:
    """Return whether this is rank 0, the process that writes files."""
    return rank() == 0


def connect() -> Store:
    """Return the store that the processes share before they form a process group."""
    return next(rendezvous("env://", timeout=timedelta(minutes=1)))[0]


@contextmanager
def process_group(device: torch.device) -> Iterator[torch.device]:
    """Form the process group for the block; yield the device of this process.

    After an error the group is not destroyed, since that could wait for a process that has died.
    """
    if world_size() == 1:
        yield device
        return
    backend = "gloo"
    if device.type == "cuda":
        backend, device = "nccl", torch.device("cuda", int(os.environ["LOCAL_RANK"]))
        torch.cuda.set_device(device)
    if is_main():
        connect().set(MAIN_TRAINS, "yes")
    distributed.init_process_group(backend)
    yield device
    distributed.destroy_process_group()


def wrap(model: nn.Module, device: torch.device) -> nn.Module:
    """Return ``model`` with the weights of rank 0 and gradients averaged over the processes.

    On GPUs, batch normalisation uses the statistics of all processes. SyncBatchNorm does not run on
    a CPU: there each process normalises by its local batch, and the running statistics are those of
    rank 0.
    """
    if world_size() == 1:
        return model
    devices = None
    if device.type == "cuda":
        devices = [device]
        model = nn.SyncBatchNorm.convert_sync_batchnorm(model)  # type: ignore[no-untyped-call]
    # No parameter is unused, but this option keeps the order in which gradients are summed.
    # Without it the order changes after the first step, also after the first one of a resumed run.
    return DistributedDataParallel(model, device_ids=devices, find_unused_parameters=True)


def local_batch(batch: Sequence[int]) -> list[int]:
    """Return the local batch: the part of ``batch`` for this process.

    Local batches have equal size: if a batch is not divisible, its first images are repeated, as in
    torch's DistributedSampler.
    """
    count = -(-len(batch) // world_size())
    first = rank() * count
    return [batch[number % len(batch)] for number in range(first, first + count)]


@torch.no_grad()
def reduce_mean(losses: Mapping[str, Tensor]) -> Mapping[str, Tensor]:
    """Return the mean of each value over the processes."""
    if world_size() == 1:
        return losses
    values = torch.stack([value.detach().float() for value in losses.values()])
    distributed.all_reduce(values)
    return dict(zip(losses, values / world_size(), strict=True))


def reduce_max(number: int, device: torch.device) -> int:
    """Return the maximum of ``number`` over the processes."""
    if world_size() == 1:
        return number
    value = torch.tensor(number, device=device)
    distributed.all_reduce(value, distributed.ReduceOp.MAX)
    return int(value)


def broadcast(*tensors: Tensor) -> None:
    """Copy the values of ``tensors`` from rank 0 to every process."""
    if world_size() > 1:
        for tensor in tensors:  # AdamW counts its steps on the CPU, which NCCL does not reach
            there = tensor.cuda() if distributed.get_backend() == "nccl" else tensor
            distributed.broadcast(there, src=0)
            tensor.copy_(there)
