"""Checkpoints of the released CoRe program as runs: equal to the released forward pass, strict
about what does not fit, and honest about what they say of themselves."""

import json
import re

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from torch.nn import functional as F

from corelib.__main__ import main
from corelib.data.video import read_video
from corelib.data.weights import WeightsError
from corelib.i3d import I3D
from corelib.recipe import RecipeError
from corelib.runs.imported import import_core
from corelib.runs.records import RunError
from corelib.runs.run import Run, list_runs
from tests.payloads import payloads

# Whole videos of 16 frames at 32 pixels: at these sizes both ports of I3D pad alike.
SMALL = {"frames": "16", "snippet_starts": "[0]", "temporal_shift": "0", "resize": "none"}
SMALL |= {"crop": "32", "exemplars": "3"}
SETTINGS = [word for key, value in SMALL.items() for word in ("--set", f"{key}={value}")]
NARROW = {"width": 1 / 16, "depth": 3, "tree_width": 8}


def released_names(*, width=1.0, depth=5, tree_width=256):
    """{part: {name: shape}} of a checkpoint; those of base_model are hassony2's."""
    i3d = I3D(width=width, num_classes=400)
    base = {f"backbone.{name}": list(part.shape) for name, part in i3d.state_dict().items()}
    w, levels = tree_width, range(depth - 1)
    tree = {"first_layer.0.weight": [w, 2 * i3d.out_features + 1], "first_layer.0.bias": [w]}
    for level in levels:
        tree[f"feature_layers.{level}.0.weight"] = [2**level * 2 * w, w, 1]
        tree[f"feature_layers.{level}.0.bias"] = [2**level * 2 * w]
    for level in levels:
        tree[f"clf_layers.{level}.weight"] = [2**level * 2, w, 1]
        tree[f"clf_layers.{level}.bias"] = [2**level * 2]
    tree |= {"reg_layer.weight": [2 ** (depth - 1), w, 1], "reg_layer.bias": [2 ** (depth - 1)]}
    return {"base_model": base, "regressor": tree}


def random_tensor(name, shape, draw):
    if name.endswith("num_batches_tracked"):
        return torch.tensor(7)
    if name.endswith("running_var"):  # so small that epsilon is felt
        return torch.empty(shape).uniform_(0.002, 0.3, generator=draw)
    if name.endswith("batch3d.weight"):
        return torch.empty(shape).uniform_(0.2, 0.5, generator=draw)
    if len(shape) == 1:
        return torch.empty(shape).normal_(0, 0.1, generator=draw)
    weight = torch.empty(shape).normal_(0, (1.5 / np.prod(shape[1:])) ** 0.5, generator=draw)
    # a tree whose rows add up to nothing reads the pattern of its inputs, and takes several paths
    return weight - weight.mean(dim=1, keepdim=True) if "_layers." in name else weight


def checkpoint(names, *, module=False, seed=0, **changes):
    """What the released program saves, with random weights."""
    draw = torch.Generator().manual_seed(seed)
    front = "module." if module else ""
    parts = {
        part: {front + name: random_tensor(name, shape, draw) for name, shape in inside.items()}
        for part, inside in names.items()
    }
    # so that the exemplar's score, and both videos, decide on the leaf
    first, shift = (
        parts["regressor"][f"{front}first_layer.0.{kind}"] for kind in ("weight", "bias")
    )
    first.normal_(0, 0.002, generator=draw)[:, -1] *= 5000
    shift.copy_(-0.6 * first[:, -1])
    optimizer = {"state": {0: {"step": 3, "exp_avg": torch.zeros(2)}}, "param_groups": [{"lr": 1}]}
    said = {"epoch": 42, "epoch_best": 42, "rho_best": np.float64(0.9512)}
    said |= {"L2_min": np.float64(21.5), "RL2_min": np.float64(0.0026)}
    return parts | {"optimizer": optimizer} | said | changes


def imported(file, dataset, out, *options):
    """The command, as a user gives it."""
    arguments = ["import-core", str(file), "--dataset", str(dataset), "--out", str(out)]
    return CliRunner().invoke(main, [*arguments, "--device", "cpu", *SETTINGS, *options])


@pytest.fixture
def narrow(tmp_path):
    """narrow(**changes) -> the file of a checkpoint of a sixteenth of the width."""

    def save(**changes):
        torch.save(checkpoint(released_names(**NARROW)) | changes, tmp_path / "best.pth")
        return tmp_path / "best.pth"

    return save


# The released forward pass, written from its description


def unit(x, state, name, stride=1):
    """Convolution padded as TensorFlow's SAME for sizes that the stride divides, epsilon 1e-5."""
    weight = state[f"{name}.conv3d.weight"]
    total = max(weight.shape[-1] - stride, 0)
    x = F.conv3d(F.pad(x, (total // 2, total - total // 2) * 3), weight, stride=stride)
    norm = [state[f"{name}.batch3d.{part}"] for part in ("running_mean", "running_var")]
    gain = [state[f"{name}.batch3d.{part}"] for part in ("weight", "bias")]
    return F.relu(F.batch_norm(x, *norm, *gain, training=False, eps=1e-5))


def pool(x, kernel, stride):
    totals = [max(k - s, 0) for k, s in zip(kernel, stride, strict=True)]
    sides = [side for total in reversed(totals) for side in (total // 2, total - total // 2)]
    return F.max_pool3d(F.pad(x, sides), kernel, stride)


def mixed(x, state, name):
    branches = [unit(x, state, f"{name}.branch_0")]
    for branch in ("branch_1", "branch_2"):
        first = unit(x, state, f"{name}.{branch}.0")
        branches.append(unit(first, state, f"{name}.{branch}.1"))
    pooled = pool(x, (3, 3, 3), (1, 1, 1))
    return torch.cat([*branches, unit(pooled, state, f"{name}.branch_3.1")], dim=1)


def released_feature(clip, base):
    """clip [1, 3, 16, 32, 32] -> [1, D], the mean over the whole of a small map."""
    state = {name.removeprefix("backbone."): tensor for name, tensor in base.items()}
    x = pool(unit(clip, state, "conv3d_1a_7x7", 2), (1, 3, 3), (1, 2, 2))
    x = unit(unit(x, state, "conv3d_2b_1x1"), state, "conv3d_2c_3x3")
    x = pool(x, (1, 3, 3), (1, 2, 2))
    x = pool(mixed(mixed(x, state, "mixed_3b"), state, "mixed_3c"), (3, 3, 3), (2, 2, 2))
    for block in "bcdef":
        x = mixed(x, state, f"mixed_4{block}")
    x = pool(x, (2, 2, 2), (2, 2, 2))
    return mixed(mixed(x, state, "mixed_5b"), state, "mixed_5c").mean(dim=(2, 3, 4))


def released_tree(pair, tree, depth):
    """pair [1, 2D + 1] -> log-probabilities [K] and positions [K], by grouped convolutions."""
    x = F.relu(F.linear(pair, tree["first_layer.0.weight"], tree["first_layer.0.bias"]))[..., None]
    path = torch.zeros(1)
    for level in range(depth - 1):
        split = {"weight": tree[f"clf_layers.{level}.weight"]}
        split["bias"] = tree[f"clf_layers.{level}.bias"]
        branch = F.conv1d(x, **split, groups=2**level).view(2**level, 2).log_softmax(dim=1)
        path = (path[:, None] + branch).flatten()
        grow = {"weight": tree[f"feature_layers.{level}.0.weight"]}
        grow["bias"] = tree[f"feature_layers.{level}.0.bias"]
        x = F.relu(F.conv1d(x, **grow, groups=2**level))
    leaves = {"weight": tree["reg_layer.weight"], "bias": tree["reg_layer.bias"]}
    return path, F.conv1d(x, **leaves, groups=len(path)).flatten()


def released_edges(table, depth, with_difficulty):
    """Left and right edges of the leaves, from all pairs of the training split."""
    train = table.samples[table.samples["split"] == "train"]
    if with_difficulty:
        train = train.assign(score=train["score"] / train["difficulty"])
    parts = [part for _, part in train.groupby("difficulty")] if with_difficulty else [train]
    scores = [part["score"].tolist() for part in parts]
    apart = sorted(abs(a - b) for s in scores for i, a in enumerate(s) for b in s[i + 1 :])
    half = 2 ** (depth - 1) // 2
    edges = [apart[int((len(apart) - 1) * r / half)] for r in range(half)]
    edges = [0.0, *edges[1:], 30.0 if with_difficulty else 100.0]
    positive = list(zip(edges[:-1], edges[1:], strict=True))
    return [(-right, -left) for left, right in reversed(positive)] + positive


@torch.no_grad()
def released_predictions(table, content, exemplars_of, with_difficulty):
    """{id: score}: the mean over the exemplars of exemplar + difference, times the difficulty."""
    base, tree = ({re.sub("^module.", "", k): v for k, v in content[part].items()}
                  for part in ("base_model", "regressor"))  # fmt: skip
    depth = 1 + sum(name.startswith("clf_layers") for name in tree) // 2
    leaves, theta = released_edges(table, depth, with_difficulty), 30 if with_difficulty else 100
    samples, features = table.samples.set_index("id"), {}
    mean, deviation = torch.tensor([[0.485, 0.456, 0.406], [0.229, 0.224, 0.225]])

    def feature(sample):
        if sample not in features:
            frames = read_video(table.root / samples["media"][sample])[-16:]
            clip = (torch.from_numpy(frames.copy()) / 255 - mean) / deviation
            features[sample] = released_feature(clip.permute(3, 0, 1, 2)[None], base)
        return features[sample]

    predicted, chosen = {}, set()
    for query, exemplars in exemplars_of.items():
        votes = []
        for exemplar in exemplars:
            factor = samples["difficulty"][exemplar] if with_difficulty else 1
            known = samples["score"][exemplar] / factor
            scaled = torch.tensor([[known / theta]], dtype=torch.float32)
            pair = torch.cat([feature(exemplar), feature(query), scaled], dim=1)
            log_probs, positions = released_tree(pair, tree, depth)
            leaf = int(log_probs.argmax())
            left, right = leaves[leaf]
            wide = right - left if right > left else 1
            votes.append(known + left + wide * float(positions[leaf]))
            chosen.add(leaf)
        factor = samples["difficulty"][query] if with_difficulty else 1
        predicted[query] = factor * sum(votes) / len(votes)
    return predicted, chosen


def check_predictions(table, file, run, with_difficulty):
    rows = Run.load(run, device="cpu").predictions
    exemplars = dict(zip(rows["id"], rows["exemplars"].str.split(), strict=True))
    content = torch.load(file, weights_only=False)
    expected, leaves = released_predictions(table, content, exemplars, with_difficulty)
    assert len(rows) == 8 and all(1 <= len(names) <= 3 for names in exemplars.values())
    assert len(leaves) > 1 and np.ptp(rows["predicted"]) > 0.01, "or any tree would agree"
    np.testing.assert_allclose(rows["predicted"], [expected[i] for i in rows["id"]], rtol=2e-4)


@pytest.mark.parametrize(("with_difficulty", "module"), [(True, True), (False, False)])
def test_a_released_checkpoint_predicts_what_the_released_forward_pass_does(
    aqa_data, small_dives, tmp_path, with_difficulty, module
):
    listed = (aqa_data / "core_checkpoint" / "released_core.keys.txt").read_text().splitlines()
    rows = [re.fullmatch(r"(\w+) (\S+) \[(.*)\] (\w+)", line).groups() for line in listed]
    names = {"base_model": {}, "regressor": {}}
    for part, name, shape, _ in rows:
        names[part][name] = [int(n) for n in shape.split(",") if n]
    content = checkpoint(names, module=module)
    types = [str(tensor.dtype) for part in names for tensor in content[part].values()]
    assert types == [f"torch.{kind}" for *_, kind in rows] and len(rows) == 344 + 20
    assert names == released_names(), "the names that the other tests are made of"
    torch.save(content, file := tmp_path / "best.pth")
    options = ["--with-difficulty"] if with_difficulty else []
    done = imported(file, small_dives.folder, tmp_path / "run", *options)
    assert done.exit_code == 0, done.output
    check_predictions(small_dives, file, tmp_path / "run", with_difficulty)


@pytest.mark.parametrize(("with_difficulty", "module"), [(True, False), (False, True)])
def test_depth_and_widths_are_read_off_the_shapes(small_dives, tmp_path, with_difficulty, module):
    file = tmp_path / "best.pth"
    torch.save(checkpoint(released_names(**NARROW), module=module), file)
    made = import_core(
        file, small_dives, tmp_path / "run", with_difficulty=with_difficulty, knobs=SMALL
    )
    read = made.recipe
    assert (read.depth, read.tree_width, read.width) == (3, 8, 1 / 16)
    assert (read.theta, read.batchnorm_eps) == (30.0 if with_difficulty else 100.0, 1e-5)
    check_predictions(small_dives, file, tmp_path / "run", with_difficulty)


def test_the_folder_is_a_run_that_says_where_its_weights_are_from(narrow, small_dives, tmp_path):
    out = tmp_path / "runs" / "released"
    done = imported(narrow(), small_dives.folder, out, "--with-difficulty")
    assert done.exit_code == 0, done.output
    assert "rho_best 0.9512" in done.stdout
    assert "(said by the checkpoint, chosen on the test set)" in done.stdout
    chosen = "the weights of best.pth (epoch 42) were chosen on the test set"
    assert f"warning: {chosen}" in done.stderr
    row = json.loads((out / "metrics.json").read_text())[0]
    assert (row["epoch"], row["selected_on"], row["recipe"]) == (42, "test", "paper-released")
    assert row["spearman"] != 0.9512 and chosen in " ".join(row["warnings"])
    run = Run.load(out, device="cpu")
    assert run.origin["said"]["rho_best"] == 0.9512 and run.origin["said"]["RL2_min"] == 0.0026
    assert list_runs(out.parent)["spearman"].tolist() == [pytest.approx(row["spearman"])]

    again = CliRunner().invoke(main, ["evaluate", str(out), "--device", "cpu", "--json"])
    assert again.exit_code == 0 and chosen in again.stderr
    assert json.loads(again.stdout)["spearman"] == row["spearman"]
    video = str(small_dives.root / small_dives.samples["media"][0])
    scored = CliRunner().invoke(main, ["score", str(out), video, "--difficulty", "3.2"])
    assert scored.exit_code == 0 and "no validation errors, so no interval" in scored.stdout
    assert scored.stdout.count("against dive-") == 3 and "nan" not in scored.stdout


def test_the_last_epoch_of_a_training_is_no_choice(narrow, small_dives, tmp_path):
    file = narrow(epoch=199, L2_min=float("inf"), RL2_min="unknown", optimizer=None)
    done = imported(file, small_dives.folder, tmp_path / "run", "--json")
    document = json.loads(done.stdout)
    assert document["metrics"][0]["selected_on"] == "last" and "were chosen" not in done.stderr
    assert document["origin"]["said"] == {
        "epoch": 199, "epoch_best": 42, "rho_best": 0.9512, "L2_min": None, "RL2_min": None,
    }  # fmt: skip


def test_evaluation_may_wait_and_the_command_may_be_repeated(narrow, small_dives, tmp_path):
    file, out = narrow(), tmp_path / "run"
    done = imported(file, small_dives.folder, out, "--no-evaluate")
    assert done.exit_code == 0 and "measured here" not in done.stdout
    assert Run.load(out, device="cpu").metrics == [] and not (out / "predictions.csv").exists()
    assert "measured here" in imported(file, small_dives.folder, out).stdout
    kept = (out / "metrics.json").read_bytes()
    assert imported(file, small_dives.folder, out, "--no-evaluate").exit_code == 0
    assert (out / "metrics.json").read_bytes() == kept


# What does not fit


def refused(file, table, out, **options):
    with pytest.raises((WeightsError, RecipeError, RunError)) as error:
        import_core(file, table, out, **{"knobs": SMALL, "device": "cpu"} | options)
    return str(error.value)


def test_every_tensor_that_does_not_fit_is_listed(small_dives, tmp_path):
    content, file = checkpoint(released_names(**NARROW)), tmp_path / "best.pth"
    del content["regressor"]["clf_layers.0.bias"]
    content["base_model"]["backbone.mixed_9z.conv3d.weight"] = torch.zeros(2, 3)
    content["regressor"]["reg_layer.weight"] = torch.zeros(4, 9, 1)
    content["base_model"]["backbone.conv3d_2b_1x1.batch3d.bias"][1] = torch.nan
    torch.save(content, file)
    lines = refused(file, small_dives, tmp_path / "run").splitlines()
    assert not (tmp_path / "run").exists()
    assert lines == [
        f"{file}: 4 tensors do not fit this CoRe:",
        "  missing: regressor.clf_layers.0.bias [2]",
        "  unknown: base_model.backbone.mixed_9z.conv3d.weight [2, 3]",
        "  base_model.backbone.conv3d_2b_1x1.batch3d.bias: 1 of 4 values are not finite; get other"
        " weights",
        "  regressor.reg_layer.weight: the model has [4, 8, 1], the file [4, 9, 1]",
    ]


def test_a_file_that_is_no_such_checkpoint_is_told_in_one_line(small_dives, tmp_path):
    whole, file, out = checkpoint(released_names(**NARROW)), tmp_path / "best.pth", tmp_path / "run"
    assert "no such file" in refused(file, small_dives, out)
    for content in (
        b"",
        [1, 2],
        {},
        whole["base_model"],
        {key: value for key, value in whole.items() if key != "regressor"},
        {key: value for key, value in whole.items() if key != "epoch"},
        whole | {"regressor": torch.zeros(2)},
        whole | {"epoch_best": float("nan")},
    ):
        file.write_bytes(content) if isinstance(content, bytes) else torch.save(content, file)
        told = refused(file, small_dives, out)
        assert "not a checkpoint of the released CoRe" in told and len(told.splitlines()) == 1
    both = whole["regressor"] | {"module.reg_layer.bias": torch.zeros(4)}
    torch.save(whole | {"regressor": both}, file)
    assert "reg_layer.bias is there with and without `module.`" in refused(file, small_dives, out)
    deep = whole["regressor"] | {"clf_layers.77.weight": torch.zeros(2, 8, 1)}
    torch.save(whole | {"regressor": deep}, file)
    assert "depth must lie between 2 and 10, not 79" in refused(file, small_dives, out)


@pytest.mark.parametrize("kind", payloads(None))
def test_a_checkpoint_that_runs_something_is_refused_and_nothing_runs(
    narrow, small_dives, tmp_path, kind
):
    marker = tmp_path / "marker"
    file = narrow(rho_best=payloads(marker)[kind])
    torch.load(file, weights_only=False)
    assert marker.exists(), "the trap must work, or this test shows nothing"
    marker.unlink()
    done = imported(file, small_dives.folder, tmp_path / "run")
    assert done.exit_code == 2 and len(done.stderr.splitlines()) == 1
    assert "asks for more than tensors" in done.stderr
    assert not marker.exists() and not (tmp_path / "run").exists()


def test_knobs_that_contradict_the_checkpoint_are_refused(narrow, small_dives, tmp_path):
    file, out = narrow(), tmp_path / "run"
    for knob, told in (
        ("depth", "depth=3"),
        ("system", "system='core'"),
        ("width", "width=0.0625"),
    ):
        value = {"depth": "5", "system": "mlp", "width": "1"}[knob]
        message = refused(file, small_dives, out, knobs=SMALL | {knob: value})
        assert message == f"the checkpoint itself tells {told}; leave --set {knob} out"
    assert import_core(file, small_dives, out, knobs=SMALL | {"depth": "3"}).recipe.depth == 3


def test_a_folder_that_holds_something_else_is_left_alone(narrow, small_dives, tmp_path):
    file, out = narrow(), tmp_path / "run"
    dataset = tmp_path / "dataset"
    dataset.mkdir()
    (dataset / "dataset.json").touch()
    assert f"{dataset} holds dataset.json" in refused(file, small_dives, dataset)
    import_core(file, small_dives, out, knobs=SMALL, device="cpu")
    kept = {path.name: path.read_bytes() for path in out.iterdir()}
    assert "different: with_difficulty, theta" in refused(
        file, small_dives, out, with_difficulty=True
    )
    other = narrow(epoch=3)
    assert "holds the run of another checkpoint" in refused(other, small_dives, out)
    (out / "last.pt").touch()
    assert "holds last.pt" in refused(file, small_dives, out)
    (out / "last.pt").unlink()
    assert kept == {path.name: path.read_bytes() for path in out.iterdir()}


@pytest.mark.parametrize("content", ["", "{}", "[1]", '{"said": {"epoch": null}}', '{"said": 3}'])
def test_a_damaged_statement_is_told_in_one_line(narrow, small_dives, tmp_path, content):
    out = tmp_path / "run"
    import_core(narrow(), small_dives, out, knobs=SMALL, device="cpu", evaluate=False)
    (out / "imported.json").write_text(content)
    done = CliRunner().invoke(main, ["evaluate", str(out), "--device", "cpu"])
    assert done.exit_code == 2 and len(done.stderr.splitlines()) == 1
    assert "imported.json: not a statement where weights are from" in done.stderr
