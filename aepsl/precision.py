"""The number format of a network's convolutions: float32 or bfloat16."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext

import torch

from aepsl.host import cpu


def bfloat16_pays(device: torch.device) -> bool:
    """Return whether ``device`` multiplies bfloat16 faster than float32.

    GPUs do since Ampere. Of CPUs it depends on the unit and on who made it; VGG-16 forward and
    backward with bfloat16 takes, of the time with float32 (benchmarks/precision.py): a third with
    AMX, half with AMD's AVX512_BF16, 1.7 times as long with Intel's, five times without one.
    """
    if device.type == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    maker, units = cpu()
    return "amx_bf16" in units or (maker == "AuthenticAMD" and "avx512_bf16" in units)


def mixed_precision(
    precision: str, device: torch.device
) -> AbstractContextManager[torch.autocast | None]:
    """Return the context of a forward pass: ``float32``, ``bfloat16``, or ``auto``.

    Weights and their updates stay float32; only factors and products are rounded. ``auto`` is
    bfloat16 where it pays.
    """
    if precision == "bfloat16" or (precision == "auto" and bfloat16_pays(device)):
        return torch.autocast(device.type, torch.bfloat16)
    return nullcontext()
