"""A run whose files are damaged, gone or unreadable: a line that says what helps, and never a
number from wrong weights."""

import errno
import io
import json
import os
import shutil

import numpy as np
import pytest
import safetensors.torch
import torch
from click.testing import CliRunner

from corelib.__main__ import main
from corelib.data.banks import FeatureSteps, write_bank
from corelib.data.samples import DatasetError, SampleTable, write_table
from corelib.machine.digests import DamagedError, pack_tensors, read_tensors, sign
from corelib.machine.errors import KitError
from corelib.recipe import named
from corelib.runs.checkpoints import load_checkpoint
from corelib.runs.fit import fit
from corelib.runs.records import RunError, load_weights_into, save_weights
from corelib.runs.run import Run, list_runs

RECIPE = named(
    "features", epochs=3, refit=False, validate_every=1, tree_width=4, projection=2, depth=3
)
CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def bank(small_dives, tmp_path_factory):
    """The small dives as a dataset of features of three numbers."""
    folder = tmp_path_factory.mktemp("bank") / "features"
    folder.mkdir()
    samples = small_dives.samples.assign(media=small_dives.samples["id"])
    features = np.random.default_rng(0).standard_normal((len(samples), 2, 3)).astype(np.float32)
    write_bank(folder / "features.safetensors", features, list(samples["id"]))
    write_table(folder, small_dives.info, samples)
    return SampleTable.load(folder)


@pytest.fixture(scope="module")
def whole(bank, tmp_path_factory):
    """A finished run of it."""
    return fit(
        bank, RECIPE, tmp_path_factory.mktemp("runs") / "run", device="cpu", progress=False
    ).folder


@pytest.fixture
def run(whole, tmp_path):
    """A copy that may be damaged."""
    return shutil.copytree(
        whole, tmp_path / "run"
    )  # as deep as the first: it names its dataset by a relative path


def again(bank, run, **options):
    """Training into a folder whose run had not been evaluated yet."""
    (run / "metrics.json").unlink(missing_ok=True)
    return fit(bank, RECIPE, run, device="cpu", progress=False, **options)


def flipped(content: bytes, rng) -> bytes:
    changed = bytearray(content)
    changed[rng.integers(len(changed))] ^= 1 << rng.integers(8)
    return bytes(changed)


def same(first, second) -> bool:
    if isinstance(first, torch.Tensor):
        return torch.equal(first, second) and first.dtype == second.dtype
    if isinstance(first, dict):
        return list(first) == list(second) and all(same(first[key], second[key]) for key in first)
    if isinstance(first, (list, tuple)):
        return len(first) == len(second) and all(map(same, first, second))
    return type(first) is type(second) and (first == second or first != first)


def test_a_flipped_bit_in_the_weights_is_refused_or_changes_nothing(
    run, rng=np.random.default_rng(1)
):
    path = run / "best.safetensors"
    content, right, refused = path.read_bytes(), read_tensors(path), 0
    for _ in range(200):
        path.write_bytes(flipped(content, rng))
        try:
            found = read_tensors(path)
        except (DamagedError, safetensors.SafetensorError):
            refused += 1
            continue
        assert same(dict(sorted(right.items())), dict(sorted(found.items())))
    assert refused > 150


def test_a_flipped_bit_in_a_checkpoint_is_refused_or_changes_nothing(
    run, rng=np.random.default_rng(2)
):
    path = run / "last.pt"
    content, right, refused = path.read_bytes(), load_checkpoint(path, CPU), 0
    for _ in range(200):
        path.write_bytes(flipped(content, rng))
        try:
            found = load_checkpoint(path, CPU)
        except RunError as error:
            assert "last.pt: not a checkpoint to go on from" in str(error) and "--restart" in str(
                error
            )
            refused += 1
            continue
        assert same(right, found)
    assert refused > 50  # most of a small zip file is names and padding


def test_a_flipped_bit_in_a_bank_of_features_is_refused(bank, tmp_path):
    folder = shutil.copytree(bank.folder, tmp_path / "bank")
    content = (folder / "features.safetensors").read_bytes()
    (folder / "features.safetensors").write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    with pytest.raises(
        DatasetError, match="features.safetensors: it has changed since it was written"
    ):
        FeatureSteps(SampleTable.load(folder))


def test_every_kind_of_tensor_is_kept_and_the_same_content_gives_the_same_bytes(tmp_path):
    kinds = (torch.float64, torch.float16, torch.bfloat16, torch.int64, torch.uint8, torch.bool)
    tensors = {str(kind): torch.ones(3, 2).to(kind) for kind in kinds} | {
        "single": torch.tensor(7),
        "none": torch.zeros(0, 4),
    }
    packed = pack_tensors(tensors, {"b": "one", "a": 'ü"'})
    assert packed == pack_tensors(dict(reversed(tensors.items())), {"a": 'ü"', "b": "one"})
    (tmp_path / "x.safetensors").write_bytes(packed)
    found = read_tensors(tmp_path / "x.safetensors")
    assert all(same(tensors[name], found[name]) for name in tensors) and len(found) == len(tensors)
    (tmp_path / "x.safetensors").write_bytes(packed.replace(b'"one"', b'"two"'))
    with pytest.raises(DamagedError):
        read_tensors(tmp_path / "x.safetensors")


def test_files_without_a_digest_are_read_as_before(bank, run):
    (run / "best.safetensors").write_bytes(
        safetensors.torch.save(safetensors.torch.load_file(run / "best.safetensors"))
    )
    torch.save(load_checkpoint(run / "last.pt", CPU), run / "last.pt")
    before = Run.load(run, device="cpu").metrics
    assert [row["spearman"] for row in again(bank, run).metrics] == [
        row["spearman"] for row in before
    ]


def write_checkpoint(path, **changes):
    content = load_checkpoint(path, CPU)
    torch.save(sign(content | changes), path)


def test_a_checkpoint_of_other_names_is_a_line(bank, run):
    path, saved = run / "last.pt", load_checkpoint(run / "last.pt", CPU)
    renamed = {
        ("x" if number == 0 else name): value
        for number, (name, value) in enumerate(saved["model"].items())
    }
    optimizer = saved["optimizer"]
    moments = {
        key: {"x" if name == "exp_avg" else name: value for name, value in state.items()}
        for key, state in optimizer["state"].items()
    }
    for changes in (
        {"model": renamed},
        {"schedule": {"x": 1}},
        {"optimizer": optimizer | {"state": moments}},
        {"optimizer": {}},
        {"model": 7},
        {"history": []},
        {"history": saved["history"][:1]},
        {"epoch": 7},
        {"epoch": "x"},
        {"history": [{"epoch": 0}] * 3},
    ):
        torch.save(sign(saved | changes), path)
        with pytest.raises(
            RunError, match="last.pt: not a checkpoint to go on from .*--restart"
        ) as error:
            again(bank, run)
        assert len(str(error.value).splitlines()) == 1


def test_what_the_system_refuses_is_no_reason_to_start_anew(bank, run, monkeypatch):
    opened = io.open

    def refuse(file, *arguments, **options):
        if str(file).endswith(name):
            raise PermissionError(errno.EACCES, "Permission denied", str(file))
        return opened(file, *arguments, **options)

    monkeypatch.setattr(io, "open", refuse)
    for name, act in (
        ("last.pt", lambda: again(bank, run)),
        ("best.safetensors", lambda: Run.load(run, device="cpu")),
        ("recipe.json", lambda: Run.load(run, device="cpu")),
    ):
        with pytest.raises(RunError, match=f"{name}: permission denied") as error:
            act()
        assert "--restart" not in str(error.value) and "Errno" not in str(error.value)


def test_what_is_advised_for_weights_that_are_gone_helps(bank, run):
    right = (run / "best.safetensors").read_bytes()
    (run / "best.safetensors").unlink()
    for act in (
        lambda: Run.load(run, device="cpu"),
        lambda: fit(bank, RECIPE, run, device="cpu", progress=False),
    ):
        with pytest.raises(
            RunError,
            match=(
                "no best.safetensors here, so it is no finished run; its weights are gone:"
                " .*--restart"
            ),
        ):
            act()
    fit(bank, RECIPE, run, device="cpu", progress=False, resume=False)
    assert (run / "best.safetensors").read_bytes() == right
    (run / "metrics.json").unlink()
    (run / "best.safetensors").unlink()
    with pytest.raises(RunError, match="go on with it by the same `train` command"):
        Run.load(run, device="cpu")


def test_weights_of_the_best_epoch_that_are_gone_are_told_when_a_training_goes_on(bank, run):
    history = [
        row | {"val_spearman": 1.0 - row["epoch"]}
        for row in load_checkpoint(run / "last.pt", CPU)["history"]
    ]
    write_checkpoint(run / "last.pt", history=history)  # the first was the best
    for damage in (
        lambda path: path.write_bytes(path.read_bytes()[:-1]),
        lambda path: path.unlink(),
    ):
        damage(run / "best.safetensors")
        with pytest.raises(RunError, match="best.safetensors: .*") as error:
            again(bank, run)
        assert len(str(error.value).splitlines()) == 1
    again(bank, run, resume=False)


DAMAGED = [
    b"",
    b"\xff\xfe",
    b"{",
    b"[]",
    b"a,b\n1,2,3\n",
    b"7",
    b"null",
    b"[{}]",
    b'[{"epoch": "x"}]',
    b"epoch,loss\nx,y\n",
    b"[" * 100_000,
]


@pytest.mark.parametrize("name", ["recipe.json", "metrics.json", "history.csv", "predictions.csv"])
def test_damaged_tables_are_a_line_that_says_what_helps(run, name):
    for content in DAMAGED:
        if (name, content) == ("metrics.json", b"[]"):
            continue  # of a run that was never tested
        (run / name).write_bytes(content)
        with pytest.raises(RunError, match=name) as error:
            loaded = Run.load(run, device="cpu")
            getattr(loaded, name.partition(".")[0])
        assert len(str(error.value).splitlines()) == 1 and (
            "delete" in str(error.value) or "train" in str(error.value)
        )


def test_deleting_metrics_json_brings_the_tables_back(bank, run):
    before = {name: (run / name).read_bytes() for name in ("history.csv", "predictions.csv")}
    for name in before:
        (run / name).write_bytes(b"")
    again(bank, run)
    assert {name: (run / name).read_bytes() for name in before} == before


def test_a_damaged_environment_stops_nothing(bank, run):
    (run / "environment.json").write_bytes(b"\xff")
    Run.load(run, device="cpu").evaluate()
    again(bank, run)
    assert json.loads((run / "environment.json").read_text())["recipe_digest"] == RECIPE.digest


def test_mutated_files_of_a_run_are_told_by_errors_of_the_kit(bank, whole, run):
    rng, files = (
        np.random.default_rng(3),
        (
            "recipe.json",
            "metrics.json",
            "history.csv",
            "predictions.csv",
            "best.safetensors",
            "last.pt",
        ),
    )
    for number in range(200):
        name = files[number % len(files)]
        content = bytearray((whole / name).read_bytes())
        for _ in range(rng.integers(1, 4)):
            place = rng.integers(len(content))
            kind = rng.integers(3)
            if kind == 0:
                content[place] = rng.integers(256)
            elif kind == 1:
                del content[place : place + rng.integers(1, 50)]
            else:
                content[place:place] = rng.bytes(rng.integers(1, 5))
        (run / name).write_bytes(bytes(content))
        for act in (
            lambda: _use(run),
            lambda: list_runs(run.parent),
            lambda: number % 18 >= 6 or _go_on(bank, run, name),
        ):
            try:
                act()
            except (KitError, OSError) as error:
                assert len(str(error).splitlines()) == 1, error
        for other in files:
            shutil.copyfile(whole / other, run / other)


def _use(run):
    loaded = Run.load(run, device="cpu")
    assert (
        isinstance(loaded.metrics, list)
        and len(loaded.history) >= 0
        and len(loaded.predictions_with_samples()) >= 0
    )


def _go_on(bank, run, name):
    if name in ("last.pt", "recipe.json"):
        again(bank, run)
    else:
        Run.load(run, device="cpu").evaluate()


def test_a_read_only_file_system_and_a_long_name_are_a_line(bank, run, monkeypatch, tmp_path):
    command = [
        "train",
        str(bank.folder),
        "--recipe",
        "features",
        *sum(
            (
                ["--set", f"{key}={value}"]
                for key, value in {
                    "epochs": 3,
                    "refit": "false",
                    "validate_every": 1,
                    "tree_width": 4,
                    "projection": 2,
                    "depth": 3,
                }.items()
            ),
            [],
        ),
    ]
    long = str(tmp_path / ("x" * 300))
    for arguments in ([*command, "--out", long], ["evaluate", long], ["score", long, __file__]):
        done = CliRunner().invoke(main, arguments)
        assert done.exit_code == 2 and done.stderr.splitlines()[-1].startswith("error: "), arguments
    (run / "metrics.json").unlink()

    def refuse(path, *arguments, **options):
        raise OSError(errno.EROFS, "Read-only file system", str(path))

    for names in (("replace", "rename"), ("unlink", "remove"), ("open", "mkdir")):
        with monkeypatch.context() as patch:
            for name in names:
                patch.setattr(os, name, refuse)
            done = CliRunner().invoke(main, [*command, "--out", str(run)])
        assert done.exit_code == 0 or done.stderr.splitlines()[-1].startswith("error: "), (
            done.output
        )
        assert not isinstance(done.exception, OSError)


def test_weights_of_another_model_are_refused(run, tmp_path):
    save_weights(torch.nn.Linear(2, 2), run / "best.safetensors")
    with pytest.raises(RunError, match="best.safetensors: not the weights of the model"):
        load_weights_into(Run.load(run, device="cpu").model, run / "best.safetensors")
