"""Training: a plain PyTorch loop over planned batches. It touches no file (runs.fit does)."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from corelib.machine import distributed
from corelib.machine.devices import autocast, pick_precision
from corelib.machine.errors import KitError
from corelib.models import freeze_batchnorm, seed_dropout
from corelib.pairs import PairBatch, epoch_batches
from corelib.recipe import Recipe
from corelib.task import Task

# Updates between two looks at the numbers, each of which waits until a GPU has computed them.
LOOK_EVERY = {"cpu": 1, "cuda": 50}


class TrainingError(KitError, RuntimeError):
    """A training cannot go on; the message says what to do."""


def plan_epoch(recipe: Recipe, rows: np.ndarray, groups: np.ndarray, epoch: int) -> list[PairBatch]:
    """The batches of one epoch; its chance depends on the recipe's seed and the epoch alone.

    rows [n] to learn from; groups [N] of the whole table. Few rows are gone through until the
    epoch has had its share of recipe.least_steps.
    """
    rng = np.random.default_rng([recipe.seed, 2, epoch])
    pairing = recipe.pairing if recipe.system == "core" else "single"
    passes = recipe.passes if pairing == "batch" else 1
    least = math.ceil(recipe.least_steps / recipe.epochs) * recipe.accumulate
    batches: list[PairBatch] = []
    while passes > 0 or 0 < len(batches) < least:
        batches += epoch_batches(rows, groups, batch=recipe.batch, pairing=pairing, rng=rng)
        passes -= 1
    return batches


class Optimization(NamedTuple):
    """What moves the weights, and how fast."""

    optimizer: torch.optim.Optimizer
    schedule: torch.optim.lr_scheduler.LRScheduler


def make_optimizer(model: nn.Module, recipe: Recipe, steps: int) -> Optimization:
    """Adam over `steps` optimizer steps; the encoder has a learning rate of its own."""
    encoder = list(model.encoder.parameters())
    known = {id(parameter) for parameter in encoder}
    head = [parameter for parameter in model.parameters() if id(parameter) not in known]
    rates = [recipe.learning_rate * recipe.encoder_rate_factor, recipe.learning_rate]
    parts = [{"params": p, "lr": r} for p, r in zip((encoder, head), rates, strict=True)]
    kind = torch.optim.AdamW if recipe.optimizer == "adamw" else torch.optim.Adam
    optimizer = kind(parts, weight_decay=recipe.weight_decay, fused=True)  # all tensors in one go
    schedules = torch.optim.lr_scheduler
    if recipe.schedule == "constant":
        return Optimization(optimizer, schedules.LambdaLR(optimizer, lambda step: 1.0))
    rise = 0.4 if steps == 5 else 0.2  # PyTorch divides by rise * steps - 1
    cycle = schedules.OneCycleLR(optimizer, max_lr=rates, total_steps=steps, pct_start=rise)
    return Optimization(optimizer, cycle)


class TrainingStep(nn.Module):
    """A batch of inputs -> its loss. Of several processes each encodes its share, compares all.

    inputs [own, ...] the videos of this process; targets [V] and pairs [P, 2] of the whole batch
    """

    def __init__(self, model: nn.Module, recipe: Recipe, device: torch.device):
        super().__init__()
        self.model, self.device = model, device
        self.precision = pick_precision(recipe.precision, device)
        self.encode = torch.compile(model.encode) if recipe.compile else model.encode

    def forward(self, inputs: Tensor, targets: Tensor, pairs: Tensor) -> Tensor:
        with autocast(self.device, self.precision):
            own = self.encode(inputs)  # [own, D]
        features = distributed.gather(own.float(), len(targets))  # [V, D]
        return self.model.loss(features, targets, pairs)


def train_epoch(
    step_of: nn.Module,
    source,
    task: Task,
    plan: list[PairBatch],
    optimization: Optimization,
    *,
    epoch: int,
    workers: int = 0,
    bar=None,
) -> float:
    """One pass over the planned batches; returns the mean loss.

    step_of  the TrainingStep; source: the model inputs (data.loading.Inputs)
    Raises TrainingError on a loss or gradient that is not finite, before it reaches the weights,
    and on such weights.
    """
    recipe, device = task.recipe, next(step_of.parameters()).device
    step_of.train()
    if recipe.batchnorm == "frozen":
        freeze_batchnorm(step_of)
    shares = [distributed.share(len(batch.rows)) for batch in plan]  # all of it, in one process
    losses, waiting = [], []  # batches whose gradients wait for an update
    seen: list[_Seen] = []  # since numbers were last looked at
    look_every = LOOK_EVERY[device.type]
    raws = source.batches(_to_read(plan, shares), workers=workers, device=device)
    for step, (batch, own, raw) in enumerate(zip(plan, shares, raws, strict=True)):
        # each seed is that of its step, whatever the number of workers
        draws = torch.Generator().manual_seed(_seed(recipe, 3, epoch, step))  # of augmentation
        inputs = source.to_inputs(raw, draws, own.start)[: own.stop - own.start]  # [own, ...]
        seed_dropout(step_of, _seed(recipe, 4, epoch, step))
        targets = torch.as_tensor(task.targets[batch.rows], dtype=torch.float32, device=device)
        loss = step_of(inputs, targets, torch.as_tensor(batch.pairs, device=device))
        losses.append(loss.detach())
        waiting.append(batch)
        first = step + 1 - len(waiting)
        parts = min(recipe.accumulate, len(plan) - first)  # batches in this update
        (loss / parts if recipe.divide_accumulated else loss).backward()
        if len(waiting) == parts:
            limit = recipe.clip_gradient or math.inf  # by inf: not at all
            norm = nn.utils.clip_grad_norm_(step_of.parameters(), limit)
            numbers = torch.stack([*losses[first : step + 1], norm.detach()])
            seen.append(_Seen(first, waiting, numbers))
            if len(seen) >= look_every or step + 1 == len(plan):
                _look(seen, epoch, task, optimization)
                seen = []
            if look_every > 1:  # not seen yet: the fused optimizer then leaves the weights alone
                optimization.optimizer.found_inf = (~torch.isfinite(numbers).all()).float()
            optimization.optimizer.step()
            optimization.schedule.step()
            optimization.optimizer.zero_grad(set_to_none=True)
            waiting = []
        if bar is not None:
            bar.update()
    if not all(torch.isfinite(value).all() for value in step_of.state_dict().values()):
        became = f"the weights are no longer finite at epoch {epoch}, step {step}"
        raise _not_finite(became, task, optimization, [batch])
    return float(torch.stack(losses).double().mean())


class _Seen(NamedTuple):
    """An update whose numbers lie on the device still."""

    step: int  # of its first batch
    batches: list[PairBatch]
    numbers: Tensor  # each batch's loss, and the norm of the gradient


def _look(seen: list[_Seen], epoch: int, task: Task, optimization: Optimization) -> None:
    """Raise TrainingError for the first loss or gradient that is not finite."""
    for step, batches, numbers in seen:
        *losses, norm = numbers.tolist()
        for number, loss in enumerate(losses):
            if not math.isfinite(loss):
                became = f"the loss became {loss} at epoch {epoch}, step {step + number}"
                raise _not_finite(became, task, optimization, [batches[number]])
        if not math.isfinite(norm):
            at = f"at epoch {epoch}, step {step + len(batches) - 1}"
            became = f"the gradient's norm became {norm} {at}"
            raise _not_finite(became, task, optimization, batches)


def _to_read(plan: list[PairBatch], shares: list[slice]) -> list[np.ndarray]:
    """The rows that this process reads. An empty share reads one video, which is left out again."""
    pairs = zip(plan, shares, strict=True)
    return [batch.rows[own] if own.stop > own.start else batch.rows[:1] for batch, own in pairs]


def _seed(recipe: Recipe, purpose: int, epoch: int, step: int) -> int:
    return int(np.random.default_rng([recipe.seed, purpose, epoch, step]).integers(2**62))


def _not_finite(
    what: str, task: Task, optimization: Optimization, batches: list[PairBatch]
) -> TrainingError:
    """The error of numbers that went wrong: at which learning rates, in which samples."""
    names = sorted(set(map(str, task.ids[np.concatenate([batch.rows for batch in batches])])))
    rates = ", ".join(f"{rate:.2g}" for rate in optimization.schedule.get_last_lr())
    where = f"in a batch of the samples {', '.join(names)}"
    return TrainingError(f"{what} (learning rates {rates}), {where}")
