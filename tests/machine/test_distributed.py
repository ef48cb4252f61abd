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

from corelib import training
from corelib.recipe import named
from corelib.training import fit
from data_scripts.dives.dataset import make_dives

STEP = """
import sys
import torch
from corelib.machine import distributed
from tests.machine.test_distributed import one_step

distributed.start("cpu")
found = one_step()
if distributed.rank() == 0:
    torch.save(found, sys.argv[1])
"""


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


def torchrun(*arguments, processes=2):
    """Run a program under torchrun; returns what it printed."""
    command = [
        sys.executable,
        "-m",
        "torch.distributed.run",
        "--standalone",
        "--nproc-per-node",
        str(processes),
        *map(str, arguments),
    ]
    environment = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=600)
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout


@pytest.fixture(scope="module")
def dives(tmp_path_factory):
    folder = tmp_path_factory.mktemp("dives") / "dives"
    return make_dives(folder, train=24, val=6, test=8, frames=16, size=32, workers=1)


def test_two_processes_have_the_gradients_and_statistics_of_one(tmp_path):
    (tmp_path / "step.py").write_text(STEP)
    torchrun(tmp_path / "step.py", tmp_path / "two.pt")
    two, one = torch.load(tmp_path / "two.pt", weights_only=True), one_step()
    assert two["loss"].item() == pytest.approx(one["loss"].item(), rel=1e-6)
    size = torch.cat([g.flatten().double() for g in one["gradients"].values()]).norm()
    assert size > 0
    apart = torch.cat(
        [(g - two["gradients"][name]).flatten().double() for name, g in one["gradients"].items()]
    ).norm()
    assert apart < 1e-5 * size
    for name, value in one["statistics"].items():
        torch.testing.assert_close(two["statistics"][name], value, rtol=1e-6, atol=1e-9)


def test_torchrun_trains_like_one_process_and_goes_on_where_one_was_interrupted(
    dives, tmp_path, monkeypatch
):
    # Statistics are frozen: free ones grow float32's rounding, whoever computes them, until curves
    # part.
    recipe = named("smoke", batchnorm="frozen", dropout=0.2, epochs=3, seed=1)
    options = {"device": "cpu", "progress": False}
    whole = fit(dives, recipe, tmp_path / "whole", **options)

    original, epochs = training.train_epoch, []

    def cut(*args, **given):
        if len(epochs) == 1:
            raise KeyboardInterrupt
        epochs.append(1)
        return original(*args, **given)

    monkeypatch.setattr(training, "train_epoch", cut)
    with pytest.raises(KeyboardInterrupt):
        fit(dives, recipe, tmp_path / "two", **options)
    monkeypatch.undo()
    common = [
        "--recipe",
        "smoke",
        "--set",
        "batchnorm=frozen",
        "--set",
        "dropout=0.2",
        "--set",
        "epochs=3",
        "--seed",
        "1",
        "--device",
        "cpu",
        "--json",
    ]
    said = torchrun("-m", "corelib", "train", dives.folder, "--out", tmp_path / "two", *common)
    (document,) = [
        json.loads(line) for line in said.splitlines() if line.startswith("{")
    ]  # one process speaks
    history = pd.read_csv(tmp_path / "two" / "history.csv")
    np.testing.assert_allclose(history["loss"], whole.history["loss"], rtol=1e-4)
    assert len(history) == 3
    assert document["metrics"][0]["epoch"] == whole.metrics[0]["epoch"]
    predicted = pd.read_csv(tmp_path / "two" / "predictions.csv")["predicted"]
    np.testing.assert_allclose(predicted, whole.predictions["predicted"], rtol=1e-3)
