"""Which processor computes, and in which precision."""

from __future__ import annotations

import os

import torch

from corelib.machine.errors import KitError

CHOICES = "write auto, cpu, cuda or cuda:N"


class DeviceError(KitError, RuntimeError):
    """There is no such device; the message names those that there are."""


def pick_device(name: str | torch.device = "auto") -> torch.device:
    """ "auto": the GPU where there is one (of several processes each its own), else the CPU.

    Raises DeviceError for a name that torch does not know, and for a GPU that is not there.
    """
    if str(name) == "auto":
        name = f"cuda:{os.environ.get('LOCAL_RANK', 0)}" if torch.cuda.is_available() else "cpu"
    try:
        device = torch.device(name)
    except RuntimeError:
        raise DeviceError(f"{name!r} is no device; {CHOICES}") from None
    if device.type not in ("cpu", "cuda"):
        raise DeviceError(f"{name!r} is no device that the kit can use; {CHOICES}")
    if device.type == "cuda" and not torch.cuda.is_available():
        advice = "write auto or cpu, and ask `python -m corelib doctor` why"
        raise DeviceError(f"{name} was asked for, and torch finds no GPU here; {advice}")
    if device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count():
        last = torch.cuda.device_count() - 1
        there = f"this machine's GPUs are cuda:0 to cuda:{last}"
        raise DeviceError(f"{name} was asked for, and {there}")
    return device


def pick_precision(precision: str, device: torch.device) -> str:
    """ "auto": bf16 where the processor multiplies it in hardware, else fp32.

    That is a GPU from Ampere on, or a CPU with AMX or AVX512_BF16.
    """
    if precision != "auto":
        return precision
    if device.type == "cuda":
        return "bf16" if torch.cuda.get_device_capability(device) >= (8, 0) else "fp32"
    fast = torch.cpu._is_amx_tile_supported() or torch.cpu._is_avx512_bf16_supported()
    return "bf16" if device.type == "cpu" and fast else "fp32"


def weights_type(precision: str) -> torch.dtype:
    """Of a model that is used and no longer trained: bfloat16 for bf16, else float32."""
    return torch.bfloat16 if precision == "bf16" else torch.float32


def autocast(device: torch.device, precision: str) -> torch.autocast:
    """The mixed-precision context of a training: bf16 autocast, or none for fp32."""
    return torch.autocast(device.type, dtype=torch.bfloat16, enabled=precision == "bf16")
