"""Training: a plain PyTorch loop with checkpoints; a run is found again by its recipe and data."""

from __future__ import annotations

import json
import math
import time
from contextlib import nullcontext
from pathlib import Path

import numpy as np
import torch
from tqdm.auto import tqdm

from corelib.data.samples import SampleTable
from corelib.evaluation import (
    Evaluation,
    PredictionError,
    autocast,
    evaluate,
    group_labels,
    open_inputs,
    pick_precision,
)
from corelib.machine import distributed
from corelib.machine.files import json_text, only_one, remove_unfinished, write_atomically
from corelib.machine.messages import warn_once
from corelib.models import build_model, freeze_batchnorm, seed_dropout
from corelib.pairs import PairBatch, epoch_batches
from corelib.recipe import Recipe
from corelib.runs.checkpoints import best_epoch, follow_checkpoint, restore, save_epoch
from corelib.runs.run import (
    Run,
    RunError,
    check_same,
    describe,
    environment,
    load_weights_into,
    pick_device,
    read_description,
)
from corelib.runs.soundness import (
    TrainingError,
    advice,
    check_losses,
    check_training,
    not_finite,
    teaches,
    too_few,
)

VALIDATION = (
    "val_spearman",
    "val_rl2_x100",
    "val_residual_90",
)  # nine in ten validation errors are smaller than the last


def training_rows(table: SampleTable, recipe: Recipe) -> tuple[np.ndarray, np.ndarray]:
    """(rows to fit, rows to choose the epoch on). The latter are the dataset's val rows or, where
    it has none, a part of the training split drawn by the seed: of few rows fewer, down to none, so
    that what is left can be learnt from. A recipe that refits fits both and leaves none. Test rows
    are in neither. Raises DatasetError for fewer than two training rows."""
    train, val = table.rows("train"), table.rows("val")
    if len(train) < 2:
        raise too_few(table, recipe)
    if len(val) == 0:
        order = np.random.default_rng([recipe.seed, 1]).permutation(train)
        targets = table.target(recipe.with_difficulty, recipe.target_unit)
        groups = group_labels(table, recipe)
        held = min(max(2, round(recipe.validation_fraction * len(train))), len(train) - 2)
        if held < 2:  # one sample has no order to choose an epoch by
            held = 0
        while held and not teaches(recipe, targets, groups, order[held:]):
            held -= 1
        val, train = np.sort(order[:held]), np.sort(order[held:])
    return (np.union1d(train, val), val[:0]) if recipe.refit else (train, val)


def training_doubts(table: SampleTable, recipe: Recipe) -> list[str]:
    """What is doubtful about training on a dataset by a recipe, in plain sentences. Raises as
    soundness.check_training."""
    targets, groups = (
        table.target(recipe.with_difficulty, recipe.target_unit),
        group_labels(table, recipe),
    )
    val = training_rows(table, recipe.replace(refit=False))[
        1
    ]  # of a refit, what its choice looks at
    return check_training(
        table, recipe, targets, groups, train=training_rows(table, recipe)[0], val=val
    )


def plan_epoch(recipe: Recipe, rows: np.ndarray, groups: np.ndarray, epoch: int) -> list[PairBatch]:
    """The batches of one epoch; its chance depends on the recipe's seed and the epoch alone.

    An epoch of few rows goes through them until it has had its share of recipe.least_steps."""
    rng = np.random.default_rng([recipe.seed, 2, epoch])
    pairing = recipe.pairing if recipe.system == "core" else "single"
    passes = recipe.passes if pairing == "batch" else 1
    least = math.ceil(recipe.least_steps / recipe.epochs) * recipe.accumulate
    batches: list[PairBatch] = []
    while passes > 0 or 0 < len(batches) < least:
        batches += epoch_batches(rows, groups, batch=recipe.batch, pairing=pairing, rng=rng)
        passes -= 1
    return batches


def make_optimizer(model, recipe: Recipe, steps: int):
    """(optimizer, schedule) over `steps` optimizer steps; the encoder has a rate of its own."""
    encoder = list(model.encoder.parameters())
    known = {id(parameter) for parameter in encoder}
    head = [parameter for parameter in model.parameters() if id(parameter) not in known]
    rates = [recipe.learning_rate * recipe.encoder_rate_factor, recipe.learning_rate]
    parts = [{"params": p, "lr": rate} for p, rate in zip((encoder, head), rates, strict=True)]
    kind = torch.optim.AdamW if recipe.optimizer == "adamw" else torch.optim.Adam
    optimizer = kind(parts, weight_decay=recipe.weight_decay, fused=True)  # all tensors in one go
    if recipe.schedule == "onecycle":
        return optimizer, torch.optim.lr_scheduler.OneCycleLR(
            optimizer, max_lr=rates, total_steps=steps, pct_start=0.2
        )
    return optimizer, torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: 1.0)


class TrainingStep(torch.nn.Module):
    """A batch of inputs -> its loss. Of several processes each encodes its share and compares all.

    inputs [own, ...] the videos of this process, targets [V] and pairs [P, 2] of the whole batch
    """

    def __init__(self, model, recipe: Recipe, device: torch.device):
        super().__init__()
        self.model, self.device, self.precision = (
            model,
            device,
            pick_precision(recipe.precision, device),
        )
        self.encode = torch.compile(model.encode) if recipe.compile else model.encode

    def forward(self, inputs, targets, pairs):
        with autocast(self.device, self.precision):
            features = self.encode(inputs)
        return self.model.loss(distributed.gather(features.float(), len(targets)), targets, pairs)


def train_epoch(
    step_of,
    source,
    plan: list[PairBatch],
    targets,
    recipe,
    optimizer,
    schedule,
    *,
    epoch,
    device,
    ids=None,
    workers=0,
    bar=None,
) -> float:
    """One pass over the planned batches; returns the mean loss.

    step_of  the TrainingStep; targets float64 [N] and ids [N] (for messages) of the whole table
    Raises TrainingError on a loss or gradient that is not finite, before it reaches the weights,
    and on such weights.
    """
    step_of.train()
    if recipe.batchnorm == "frozen":
        freeze_batchnorm(step_of)
    shares = [
        distributed.share(len(batch.rows)) for batch in plan
    ]  # all of it, where one process trains alone
    # a share may be empty: one video is read all the same, and left out again
    to_read = [
        batch.rows[own] if own.stop > own.start else batch.rows[:1]
        for batch, own in zip(plan, shares, strict=True)
    ]
    raws = source.batches(to_read, workers=workers, device=device)
    losses = []
    for step, (batch, own, raw) in enumerate(zip(plan, shares, raws, strict=True)):
        own_seed = int(np.random.default_rng([recipe.seed, 3, epoch, step]).integers(2**62))
        generator = torch.Generator().manual_seed(
            own_seed
        )  # of augmentation alone, whatever the number of workers
        inputs = source.to_inputs(raw, generator, own.start)[: own.stop - own.start]
        wanted = torch.as_tensor(targets[batch.rows], dtype=torch.float32, device=device)
        own_seed = int(np.random.default_rng([recipe.seed, 4, epoch, step]).integers(2**62))
        seed_dropout(step_of, own_seed)
        loss = step_of(inputs, wanted, torch.as_tensor(batch.pairs, device=device))
        if not torch.isfinite(loss):
            raise not_finite(
                f"the loss became {loss.item()}", epoch, step, schedule, batch.rows, ids
            )
        parts = min(
            recipe.accumulate, len(plan) - step // recipe.accumulate * recipe.accumulate
        )  # in this update
        (loss / parts if recipe.divide_accumulated else loss).backward()
        if (step + 1) % recipe.accumulate == 0 or step + 1 == len(plan):
            norm = torch.nn.utils.clip_grad_norm_(
                step_of.parameters(), recipe.clip_gradient or math.inf
            )  # by inf: not at all
            if not torch.isfinite(norm):
                rows = np.concatenate(
                    [
                        batch.rows
                        for batch in plan[step // recipe.accumulate * recipe.accumulate : step + 1]
                    ]
                )
                raise not_finite(
                    f"the gradient's norm became {norm.item()}", epoch, step, schedule, rows, ids
                )
            optimizer.step()
            schedule.step()
            optimizer.zero_grad(set_to_none=True)
        losses.append(loss.item())
        if bar is not None:
            bar.update()
    if not all(torch.isfinite(value).all() for value in step_of.state_dict().values()):
        raise not_finite("the weights are no longer finite", epoch, step, schedule, batch.rows, ids)
    return float(np.mean(losses))


def fit(
    table: SampleTable,
    recipe: Recipe,
    out: str | Path,
    *,
    device="auto",
    workers=0,
    resume=True,
    progress=True,
    notebook="",
    tensorboard=False,
) -> Run:
    """Train a system by a recipe into a run folder, choose its epoch on the validation part,
    evaluate it.

    A finished run of the same recipe and data is loaded; an interrupted one is resumed (or started
    anew with resume=False). A recipe that refits first makes a run without refitting in out/choice,
    then trains anew on all of its rows and keeps the epoch that was chosen there. Under torchrun
    several processes train together, in a folder that all of them see.
    tensorboard  write the history to out/tensorboard too, to be watched while it grows
    Raises RunError when the folder holds a run of something else, BusyError when another process
    trains into it, DatasetError or NoPairError for data that cannot be learnt from, TrainingError
    when numbers go wrong; what is doubtful is warned of and stands in metrics.json.
    """
    distributed.start(str(device))
    out, device, table = Path(out), pick_device(device), table.of_fold(recipe.fold)
    if _is_finished(out, table, recipe) and resume:
        return Run.load(out, table=table)
    with only_one(out, "trains into") if distributed.rank() == 0 else nullcontext():
        distributed.wait()  # so that all processes see one state of the folder
        return _fit(
            table,
            recipe,
            out,
            device,
            workers=workers,
            resume=resume,
            progress=progress,
            notebook=notebook,
            tensorboard=tensorboard,
        )


def _is_finished(out: Path, table: SampleTable, recipe: Recipe) -> bool:
    """Whether a folder holds this run, finished. Raises RunError when it holds something else."""
    if (out / "recipe.json").is_file():
        before, _ = read_description(out)
        check_same(before, {"recipe": recipe.to_dict(), "dataset": describe(table, out)}, out)
    elif (out / "last.pt").is_file():
        raise RunError(
            f"{out} holds a checkpoint without the recipe.json that says what of; choose another"
            " --out or delete it"
        )
    if (out / "dataset.json").is_file():
        raise RunError(f"{out} is the folder of a prepared dataset; choose another --out")
    return all((out / name).is_file() for name in ("recipe.json", "metrics.json"))


def _fit(
    table: SampleTable,
    recipe: Recipe,
    out: Path,
    device: torch.device,
    *,
    workers,
    resume,
    progress,
    notebook,
    tensorboard,
) -> Run:
    if _is_finished(out, table, recipe) and resume:
        return Run.load(out, table=table)
    progress = progress and distributed.rank() == 0
    doubts = training_doubts(table, recipe)
    warn_once(doubts if distributed.rank() == 0 else [])
    with distributed.one_first():
        source = open_inputs(table, recipe, progress=progress)
    train, val = training_rows(table, recipe)
    targets, groups = (
        table.target(recipe.with_difficulty, recipe.target_unit),
        group_labels(table, recipe),
    )
    model = build_model(recipe, targets[train], groups[train], in_features=source.in_features).to(
        device
    )
    planned = [len(plan_epoch(recipe, train, groups, epoch)) for epoch in range(recipe.epochs)]
    optimizer, schedule = make_optimizer(
        model, recipe, sum(math.ceil(n / recipe.accumulate) for n in planned)
    )
    if distributed.rank() == 0:
        out.mkdir(
            parents=True, exist_ok=True
        )  # only now: what cannot begin leaves no folder behind
        remove_unfinished(out)
        for name in (
            ()
            if resume
            else ("metrics.json", "predictions.csv", "last.pt", "history.csv", "best.safetensors")
        ):
            (out / name).unlink(
                missing_ok=True
            )  # metrics.json first, since it says that a run is finished
        described = {"recipe": recipe.to_dict(), "dataset": describe(table, out)}
        write_atomically(out / "recipe.json", json.dumps(described, indent=2) + "\n")
        write_atomically(
            out / "environment.json",
            json.dumps(environment(device, table, recipe), indent=2) + "\n",
        )
    distributed.wait()
    if not (out / "recipe.json").is_file():
        raise TrainingError(
            f"{out}: process {distributed.rank()} does not see the folder that process 0 writes to;"
            " put it on a file system that all machines share"
        )
    choice = None
    if recipe.refit and len(training_rows(table, recipe.replace(refit=False))[1]):
        show = {
            "workers": workers,
            "resume": resume,
            "progress": progress,
            "notebook": notebook,
            "tensorboard": tensorboard,
        }
        choice = _fit(table, recipe.replace(refit=False), out / "choice", device, **show)
    step_of = distributed.join(TrainingStep(model, recipe, device))

    first, history, seconds = 0, [], float(choice.history["seconds"].iloc[-1]) if choice else 0.0
    if resume and (out / "last.pt").is_file():
        history, seconds = restore(out / "last.pt", device, model, optimizer, schedule)
        first = len(history)
        if distributed.rank() == 0:
            follow_checkpoint(out, model, history)
    show = {"disable": not progress or None, "desc": out.name, "unit": "step"}
    with tqdm(total=sum(planned), initial=sum(planned[:first]), **show) as bar:
        for epoch in range(first, recipe.epochs):
            started = time.perf_counter()
            plan = plan_epoch(recipe, train, groups, epoch)
            row = {
                "epoch": epoch,
                "loss": train_epoch(
                    step_of,
                    source,
                    plan,
                    targets,
                    recipe,
                    optimizer,
                    schedule,
                    epoch=epoch,
                    device=device,
                    ids=table.samples["id"],
                    workers=workers,
                    bar=bar,
                ),
            }
            row |= dict.fromkeys(VALIDATION, float("nan")) | {"lr": schedule.get_last_lr()[-1]}
            row |= {"encoded": sum(len(batch.rows) for batch in plan)}
            last = epoch + 1 == recipe.epochs
            if choice:  # what this epoch was worth when some rows were held back
                row |= choice.history.loc[epoch, list(VALIDATION)].to_dict()
            elif len(val) and (last or (epoch + 1) % recipe.validate_every == 0):
                try:
                    judged = evaluate(
                        model,
                        source,
                        table,
                        recipe,
                        queries=val,
                        pool=train,
                        device=device,
                        workers=workers,
                        intervals=False,
                        warn=False,
                    )
                except PredictionError as error:
                    raise TrainingError(f"after epoch {epoch} {error}{advice(epoch)}") from None
                residual = (
                    (judged.predictions["predicted"] - judged.predictions["true"])
                    .abs()
                    .quantile(0.9)
                )
                row |= dict(
                    zip(
                        VALIDATION,
                        (judged.summary["spearman"], judged.summary["rl2_x100"], float(residual)),
                        strict=True,
                    )
                )
                bar.set_postfix(loss=f"{row['loss']:.3f}", val_rho=f"{row['val_spearman']:.3f}")
            seconds += time.perf_counter() - started
            row["seconds"] = seconds
            history.append(row)
            if distributed.rank() == 0:
                if tensorboard:
                    _show_epoch(out / "tensorboard", row)
                save_epoch(out, model, optimizer, schedule, history, seconds)
    distributed.wait()  # the weights of the chosen epoch are written
    return _finish(out, table, recipe, model, source, history, device, workers, notebook, doubts)


def _show_epoch(folder: Path, row: dict) -> None:
    """A row of the history for TensorBoard: tensorboard --logdir runs."""
    from torch.utils.tensorboard import SummaryWriter  # here, since it takes a second to import

    with SummaryWriter(folder, purge_step=row["epoch"]) as writer:
        for name, value in row.items():
            if name != "epoch" and math.isfinite(value):
                writer.add_scalar(name, value, row["epoch"])


def _finish(out, table, recipe, model, source, history, device, workers, notebook, doubts) -> Run:
    """Evaluate the last and the chosen epoch on the test split, write predictions.csv and
    metrics.json."""
    show = {"device": device, "workers": workers}
    last = (
        evaluate(model, source, table, recipe, **test_rows(table), **show)
        if len(table.rows("test"))
        else None
    )
    load_weights_into(model, out / "best.safetensors")
    chosen, final, residual = (
        best_epoch(history)["epoch"],
        history[-1]["epoch"],
        best_epoch(history)["val_residual_90"],
    )
    best = (
        evaluate(model, source, table, recipe, **test_rows(table), **show)
        if last and chosen != final
        else last
    )
    held = training_rows(table, recipe.replace(refit=False))[1]
    found = check_losses([row["loss"] for row in history])
    if len(held) and not any(math.isfinite(row["val_spearman"]) for row in history):
        found.append(
            "the validation part gave no rank correlation in any epoch, "
            "so none was chosen by it: the last is kept"
        )
    warn_once(found if distributed.rank() == 0 else [])
    doubts = [*doubts, *found]
    rows = []
    for judged, epoch, chosen_on in ((best, chosen, "val"), (last, final, "last")):
        if judged:
            row = metrics_row(
                table, recipe, judged, split="test", device=device, notebook=notebook, doubts=doubts
            )
            rows.append(
                row
                | {
                    "epoch": epoch,
                    "selected_on": chosen_on,
                    "seconds": history[-1]["seconds"],
                    "residual_90": residual,
                }
            )
    if distributed.rank() == 0:
        if best:
            write_atomically(
                out / "predictions.csv", best.predictions.to_csv(index=False, lineterminator="\n")
            )
        write_atomically(out / "metrics.json", json_text(rows, indent=2) + "\n")
    distributed.wait()
    return Run(out, recipe, table, model.eval(), source, device)


def test_rows(table: SampleTable) -> dict:
    """Queries: the test split. Pool: the training split, the part that chose the epoch included."""
    return {"queries": table.rows("test"), "pool": table.rows("train")}


def metrics_row(
    table: SampleTable,
    recipe: Recipe,
    judged: Evaluation,
    *,
    split: str,
    device,
    notebook: str,
    doubts=(),
) -> dict:
    """One row of metrics.json, as DESIGN's "A run" names its columns.

    doubts  sentences about the training (training_doubts), which go before those about the
            evaluation
    """
    return {
        "dataset": table.name,
        "system": recipe.system,
        "with_difficulty": recipe.with_difficulty,
        "recipe": recipe.name,
        "seed": recipe.seed,
        "fold": recipe.fold,
        "split": split,
        "n_train": len(training_rows(table, recipe)[0]),
        "device": str(device),
        "notebook": notebook,
        "dataset_sha256": table.sha256,
        "table_sha256": table.table_sha256,
        "exemplars": recipe.exemplars if recipe.system == "core" else 0,
        **judged.summary,
        "warnings": list(dict.fromkeys([*doubts, *judged.summary["warnings"]])),
    }


def run_folder(table: SampleTable, recipe: Recipe, runs: str | Path) -> Path:
    """Where under `runs` the run of this recipe on this data lies; its name changes with any knob
    and with the data."""
    difficulty, fold = (
        "-dd" if recipe.with_difficulty else "",
        ("" if recipe.fold is None else f"-fold{recipe.fold}"),
    )
    name = f"{table.name}{fold}-{recipe.system}{difficulty}-{recipe.name}-seed{recipe.seed}-{recipe.digest}-{table.sha256[:6]}"
    return Path(runs) / name


def find_or_train(table: SampleTable, recipe: Recipe, runs: str | Path, **options) -> Run:
    """The run of this recipe on this data under `runs`: loaded if there, resumed if interrupted,
    made if not."""
    return fit(table, recipe, run_folder(table, recipe, runs), **options)
