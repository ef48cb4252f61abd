"""Several processes, one training: each that torchrun starts encodes its share of every batch.

What one process would compute, several do: the features of all shares are gathered, so that every
pair of the batch is compared; batch statistics are those of the whole batch; every process then
holds the same loss. All of them walk through the same steps, and the first one (rank 0) alone
writes files and prints. Without torchrun there is one process, and nothing here does anything.
"""

from __future__ import annotations

import atexit
import os
from contextlib import contextmanager

import torch
import torch.distributed as dist
from torch import Tensor, nn


def start(device: str = "auto") -> None:
    """Join the processes that torchrun started (it sets WORLD_SIZE), once."""
    if int(os.environ.get("WORLD_SIZE", "1")) > 1 and not dist.is_initialized():
        on_gpu = torch.cuda.is_available() if device == "auto" else device.startswith("cuda")
        if on_gpu:
            torch.cuda.set_device(int(os.environ["LOCAL_RANK"]))
        dist.init_process_group("nccl" if on_gpu else "gloo")
        atexit.register(dist.destroy_process_group)


def world() -> int:
    """How many processes train together."""
    return dist.get_world_size() if dist.is_initialized() else 1


def rank() -> int:
    """This process's number; 0 writes."""
    return dist.get_rank() if dist.is_initialized() else 0


def wait() -> None:
    """Until every process has come here."""
    if world() > 1:
        dist.barrier()


@contextmanager
def one_first():
    """Rank 0 goes through the block first, so that the others find the files that it made there."""
    if rank() > 0:
        wait()
    yield
    if rank() == 0:
        wait()


def share(n: int) -> slice:
    """The part of n videos that this process encodes; parts differ by one, and may be empty."""
    return slice(*(n * (rank() + side) // world() for side in (0, 1)))


def gather(own: Tensor, n: int) -> Tensor:
    """Every process's share [own, D] -> all [n, D]; with `join`, the gradient of one process."""
    return own if world() == 1 else _Gather.apply(own, n)


class _Gather(torch.autograd.Function):
    @staticmethod
    def forward(ctx, own: Tensor, n: int) -> Tensor:
        ctx.n, size = n, -(-n // world())
        padded = own.new_zeros(size, *own.shape[1:])
        padded[: len(own)] = own
        parts = [torch.empty_like(padded) for _ in range(world())]
        dist.all_gather(parts, padded)
        counts = [n * (r + 1) // world() - n * r // world() for r in range(world())]
        return torch.cat([part[:count] for part, count in zip(parts, counts, strict=True)])

    @staticmethod
    def backward(ctx, gradient: Tensor):
        # Each process has the whole loss, so its part of the gradient is complete.
        # DistributedDataParallel takes the mean over processes: right for the head, which all of
        # them have computed alike; the encoder's parts must add up.
        return gradient[share(ctx.n)] * world(), None


class _Sum(torch.autograd.Function):
    """The sum over all processes, and so its gradient: every process's features depend on it."""

    @staticmethod
    def forward(ctx, x: Tensor) -> Tensor:
        total = x.clone()
        dist.all_reduce(total)
        return total

    @staticmethod
    def backward(ctx, gradient: Tensor) -> Tensor:
        return _Sum.forward(ctx, gradient)


class SharedBatchNorm3d(nn.BatchNorm3d):
    """BatchNorm3d whose statistics in training are of all processes' shares, on a CPU too."""

    def forward(self, x: Tensor) -> Tensor:
        if not self.training:
            return super().forward(x)
        axes, C, wide_shape = (0, 2, 3, 4), x.shape[1], (1, -1, 1, 1, 1)
        wide = x if x.dtype == torch.float64 else x.float()
        # Around the stored mean, the same everywhere: squares around zero would lose digits.
        centred = wide - self.running_mean.view(wide_shape)
        count = torch.full((1,), float(x.numel() // C), dtype=wide.dtype, device=x.device)
        totals = _Sum.apply(torch.cat([centred.sum(axes), centred.square().sum(axes), count]))
        n = totals[-1]
        shift, square = totals[:C] / n, totals[C : 2 * C] / n
        variance = square - shift.square()
        with torch.no_grad():
            unbiased = variance * n / (n - 1)
            self.num_batches_tracked += 1
            self.running_var.lerp_(unbiased.to(self.running_var.dtype), self.momentum)
            self.running_mean.add_(shift.to(self.running_mean.dtype), alpha=self.momentum)
        scale = self.weight * torch.rsqrt(variance + self.eps)
        shift, scale, bias = (numbers.view(wide_shape) for numbers in (shift, scale, self.bias))
        return ((centred - shift) * scale + bias).to(x.dtype)


def join(step: nn.Module) -> nn.Module:
    """DistributedDataParallel with shared batch statistics: its gradients are the whole batch's.

    One process's module is handed back as it is.
    """
    if world() == 1:
        return step
    for module in step.modules():
        if type(module) is nn.BatchNorm3d:
            module.__class__ = SharedBatchNorm3d
    return nn.parallel.DistributedDataParallel(step, broadcast_buffers=False)
