"""Two processes on the CPU (gloo, started by torchrun) against one: gradients, loss curve,
resuming, who writes."""

import json
import os
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
import torch

from corelib.recipe import named
from corelib.runs import loop
from corelib.runs.fit import fit
from data_scripts.dives.dataset import make_dives

# The command line under torchrun, and then one step of its processes.
PROGRAM = """
import runpy
import sys
from contextlib import suppress

import torch
from corelib.machine import distributed
from tests.machine.test_distributed import one_step

with suppress(SystemExit):
    runpy.run_module("corelib", run_name="__main__", alter_sys=True)
assert distributed.world() == 2
found = one_step()
if distributed.rank() == 0:
    torch.save(found, "step.pt")
"""
RECIPE = {"batchnorm": "frozen", "dropout": 0.2, "epochs": 3, "seed": 1}


def one_step() -> dict:
    """Loss, gradients and running statistics of one batch of five videos, in float64 with free
    batch statistics."""
    from corelib.machine import distributed
    from corelib.models import build_model
    from corelib.training import TrainingStep

    recipe = named("smoke", precision="fp32")
    targets = np.array([50.0, 62.5, 70.0, 71.5, 80.0])
    model = build_model(recipe, targets, np.zeros(5)).double()
    model.tree.float()  # the loss takes features in single precision
    step = distributed.join(TrainingStep(model, recipe, torch.device("cpu"))).train()
    videos = torch.randn(
        5, 1, 3, 16, 32, 32, generator=torch.Generator().manual_seed(1), dtype=torch.float64
    )
    pairs = torch.tensor([(a, b) for a in range(5) for b in range(5) if a != b])
    loss = step(videos[distributed.share(5)], torch.tensor(targets, dtype=torch.float32), pairs)
    loss.backward()
    return {
        "loss": loss.detach(),
        "gradients": {name: p.grad for name, p in model.named_parameters()},
        "statistics": {name: b.clone() for name, b in model.named_buffers() if "running" in name},
    }


def torchrun(folder, program, *arguments, processes=2):
    """Run a program under torchrun in a folder; returns what it printed."""
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node"]
    command += [str(processes), program, *map(str, arguments)]
    environment = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": os.pathsep.join(sys.path)}
    how = {"cwd": folder, "env": environment, "capture_output": True, "text": True}
    done = subprocess.run(command, timeout=600, **how)
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout


@pytest.fixture(scope="module")
def dives(tmp_path_factory):
    folder = tmp_path_factory.mktemp("dives") / "dives"
    return make_dives(folder, train=12, val=4, test=4, frames=16, size=32, workers=1)


@pytest.fixture(scope="module")
def two(dives, tmp_path_factory):
    """Two processes have gone on with a training that was interrupted after an epoch: (its folder,
    what they printed). Beside it lies step.pt, what they found in `one_step`: a start of torchrun
    takes longer than either."""
    folder, original, epochs = tmp_path_factory.mktemp("two"), loop.train_epoch, []

    def cut(*args, **given):
        if len(epochs) == 1:
            raise KeyboardInterrupt
        epochs.append(1)
        return original(*args, **given)

    with pytest.MonkeyPatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(loop, "train_epoch", cut)
        fit(dives, named("smoke", **RECIPE), folder / "run", device="cpu", progress=False)
    (folder / "program.py").write_text(PROGRAM)
    command = ["train", dives.folder, "--recipe", "smoke", "--out", folder / "run", "--json"]
    command += [word for knob in RECIPE.items() for word in ("--set", "=".join(map(str, knob)))]
    return folder / "run", torchrun(folder, "program.py", *command, "--device", "cpu")


def test_two_processes_have_the_gradients_and_statistics_of_one(two):
    found, one = torch.load(two[0].with_name("step.pt"), weights_only=True), one_step()
    assert found["loss"].item() == pytest.approx(one["loss"].item(), rel=1e-6)
    size = torch.cat([g.flatten().double() for g in one["gradients"].values()]).norm()
    assert size > 0
    apart = torch.cat(
        [(g - found["gradients"][name]).flatten().double() for name, g in one["gradients"].items()]
    ).norm()
    assert apart < 1e-5 * size
    for name, value in one["statistics"].items():
        torch.testing.assert_close(found["statistics"][name], value, rtol=1e-6, atol=1e-9)


def test_torchrun_trains_like_one_process_and_goes_on_where_one_was_interrupted(
    dives, two, tmp_path
):
    # Statistics are frozen: free ones grow float32's rounding, whoever computes them, until curves
    # part.
    recipe = named("smoke", **RECIPE)
    whole = fit(dives, recipe, tmp_path / "whole", device="cpu", progress=False)
    folder, said = two
    (document,) = [
        json.loads(line) for line in said.splitlines() if line.startswith("{")
    ]  # one process speaks
    history = pd.read_csv(folder / "history.csv")
    np.testing.assert_allclose(history["loss"], whole.history["loss"], rtol=1e-4)
    assert len(history) == 3
    assert document["metrics"][0]["epoch"] == whole.metrics[0]["epoch"]
    predicted = pd.read_csv(folder / "predictions.csv")["predicted"]
    np.testing.assert_allclose(predicted, whole.predictions["predicted"], rtol=1e-3)
