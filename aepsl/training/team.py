"""Several processes that train one model, each on its part of every batch: as one would.

PyTorch's DDP averages the gradients. What it leaves to each process is shared here: dropout is
drawn for the whole batch, batch normalisation sees all of it, and a part counts by its images.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, distributed, nn
from torch.distributed.nn.functional import all_reduce
from torch.nn.parallel import DistributedDataParallel

PATIENCE = timedelta(minutes=10)
"""Until a process that does not answer is given up."""


@dataclass
class Team:
    """One of the processes, and its part of the batch that is worked on."""

    rank: int = 0
    """The first one has the files; what it knows, the others know."""
    size: int = 1
    total: int = 0
    """Images in the whole batch."""

    @property
    def leads(self) -> bool:
        """Whether this is the process that saves and tells."""
        return self.rank == 0

    @property
    def part(self) -> range:
        """The images of the batch that are this process's: contiguous, maybe none."""
        first, end = (self.total * number // self.size for number in (self.rank, self.rank + 1))
        return range(first, end)

    def share(self, batch: Sequence[int]) -> list[int]:
        """Return this process's part of a batch; if it is empty, an image that counts nothing."""
        part = Team(self.rank, self.size, len(batch)).part
        return [batch[number] for number in part] or [batch[0]]

    def join(self, model: nn.Module, device: torch.device) -> nn.Module:
        """Return ``model`` as the processes train it together; ``model`` itself if there is one.

        Layers that look at a whole batch are replaced in place; names and tensors stay.
        """
        if self.size == 1:
            return model
        for name, layer in list(model.named_modules()):
            if type(layer) in SHARED:
                parent, _, own = name.rpartition(".")
                setattr(model.get_submodule(parent), own, SHARED[type(layer)].of(layer, self))
        return DistributedDataParallel(
            model, device_ids=[device.index] if device.type == "cuda" else None
        )

    def weigh(self, loss: Tensor) -> Tensor:
        """Return the loss of the part so that the mean over processes is that of the batch."""
        return loss if self.size == 1 else loss * (len(self.part) * self.size / self.total)

    @torch.no_grad()
    def mean(self, losses: Mapping[str, Tensor]) -> Mapping[str, Tensor]:
        """Return the means over the batch from the means over its parts."""
        if self.size == 1:
            return losses
        sums = torch.stack([value.detach().float() for value in losses.values()]) * len(self.part)
        distributed.all_reduce(sums)
        return dict(zip(losses, sums / self.total, strict=True))


def _sum(part: Tensor) -> Tensor:
    """Return the sum over the processes; gradients flow back to all of them."""
    return all_reduce(part)  # type: ignore[no-untyped-call]


class SharedDropout(nn.Module):
    """Dropout of a part of a batch, drawn for the whole of it."""

    def __init__(self, p: float, team: Team) -> None:
        super().__init__()
        self.p, self.team = p, team

    @classmethod
    def of(cls, layer: nn.Dropout, team: Team) -> SharedDropout:
        """Return what replaces ``layer``."""
        return cls(layer.p, team)

    def forward(self, features: Tensor) -> Tensor:
        """Return (n, ...) features, some of them 0, the others larger."""
        if not self.training or self.p == 0:
            return features
        kept = 1 - self.p
        last = features.is_contiguous(memory_format=torch.channels_last)
        form = torch.channels_last if last and features.dim() == 4 else torch.contiguous_format
        whole = torch.empty(
            (max(self.team.total, 1), *features.shape[1:]),
            dtype=features.dtype,
            device=features.device,
            memory_format=form,
        )
        noise = whole.bernoulli_(kept).div_(kept)
        part = self.team.part
        rows = noise[part.start : part.stop] if part else noise[:1]
        return features * rows


class SharedBatchNorm(nn.BatchNorm2d):
    """Batch normalisation by the statistics of the whole batch."""

    team: Team

    @classmethod
    def of(cls, layer: nn.BatchNorm2d, team: Team) -> SharedBatchNorm:
        """Return what replaces ``layer``; it has the same tensors."""
        layer.__class__ = cls
        layer.team = team  # type: ignore[assignment]
        return layer  # type: ignore[return-value]

    def forward(self, features: Tensor) -> Tensor:
        """Return (n, c, h, w) features, each channel of mean 0 and variance 1 over the batch."""
        if not self.training:
            return super().forward(features)
        assert self.running_mean is not None
        assert self.running_var is not None
        exact = features.float()
        own = exact[: len(self.team.part)]
        count = self.team.total * features.shape[2] * features.shape[3]
        mean = _sum(own.sum(dim=(0, 2, 3))) / count
        centred = exact - mean[:, None, None]
        squares = centred[: len(self.team.part)].square().sum(dim=(0, 2, 3))
        variance = _sum(squares) / count
        with torch.no_grad():
            momentum = 0.1 if self.momentum is None else self.momentum
            self.running_mean.lerp_(mean.detach(), momentum)
            self.running_var.lerp_(variance.detach() * count / max(count - 1, 1), momentum)
            if self.num_batches_tracked is not None:
                self.num_batches_tracked += 1
        scaled = centred * (variance + self.eps).rsqrt()[:, None, None]
        result = scaled * self.weight[:, None, None] + self.bias[:, None, None]
        return result.to(features.dtype)


SHARED: dict[type[nn.Module], Any] = {nn.Dropout: SharedDropout, nn.BatchNorm2d: SharedBatchNorm}
"""What replaces the layers that look at a whole batch."""


def meet(team: Team, *, device: torch.device, place: Path) -> None:
    """Wait until all processes of the team are there.

    Args:
        team: this process.
        device: GPUs talk through NCCL, processes on a CPU through gloo.
        place: a file that is not there yet, on this machine, the same for all.
    """
    os.environ.setdefault("GLOO_SOCKET_IFNAME", "lo")
    distributed.init_process_group(
        "nccl" if device.type == "cuda" else "gloo",
        store=distributed.FileStore(str(place), team.size),  # type: ignore[attr-defined]
        rank=team.rank,
        world_size=team.size,
        timeout=PATIENCE,
    )


def part_ways() -> None:
    """End what :func:`meet` began."""
    distributed.destroy_process_group()
