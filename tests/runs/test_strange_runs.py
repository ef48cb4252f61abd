"""A run's folder from a stranger: its checkpoint, weights and recipe are read, and nothing in them
runs or leads astray."""

import io
import json
import shutil

import pytest
import safetensors.torch
import torch
from click.testing import CliRunner

from corelib.__main__ import main
from corelib.data.samples import DatasetError
from corelib.models import build_model
from corelib.recipe import named
from corelib.runs.checkpoints import load_checkpoint
from corelib.runs.fit import fit
from corelib.runs.records import RunError, describe, save_weights
from corelib.runs.run import Run, list_runs
from corelib.task import group_labels
from tests.payloads import payloads

RECIPE = named("smoke", epochs=1)


@pytest.fixture
def stranger(small_dives, tmp_path):
    """The folder of a run of the small dives as training leaves it; its weights are random."""
    folder = tmp_path / "run"
    folder.mkdir()
    model = build_model(RECIPE, small_dives.target(False), group_labels(small_dives, RECIPE))
    save_weights(model, folder / "best.safetensors")
    (folder / "recipe.json").write_text(json.dumps(describe(small_dives, RECIPE, folder)))
    return folder


def saved(content: object, *, old: bool = False) -> bytes:
    file = io.BytesIO()
    torch.save(content, file, _use_new_zipfile_serialization=not old)
    return file.getvalue()


def change(folder, **parts):
    """Other values in recipe.json: of the recipe (knobs) or of its dataset (name, path, sha256)."""
    described = json.loads((folder / "recipe.json").read_text())
    for key, value in parts.items():
        described["dataset" if key in ("name", "path", "sha256") else "recipe"][key] = value
    (folder / "recipe.json").write_text(json.dumps(described))


@pytest.mark.filterwarnings("ignore:unclosed file:ResourceWarning")  # what a payload left open
@pytest.mark.parametrize("old", [False, True])
@pytest.mark.parametrize("kind", payloads(None))
def test_a_checkpoint_that_runs_something_is_refused_and_nothing_runs(tmp_path, kind, old):
    marker = tmp_path / "marker"
    content = {
        "model": {},
        "optimizer": {},
        "schedule": {},
        "epoch": 0,
        "history": [],
        "seconds": payloads(marker)[kind],
    }
    (tmp_path / "last.pt").write_bytes(saved(content, old=old))
    torch.load(tmp_path / "last.pt", weights_only=False)
    assert marker.exists(), "the trap must work, or this test shows nothing"
    marker.unlink()
    with pytest.raises(
        RunError,
        match=(
            r"last\.pt: not a checkpoint to go on from \(it is damaged, or asks for more than"
            r" tensors\)"
        ),
    ) as error:
        load_checkpoint(tmp_path / "last.pt", torch.device("cpu"))
    assert not marker.exists() and len(str(error.value).splitlines()) == 1


def test_a_training_does_not_go_on_from_such_a_checkpoint(small_dives, stranger):
    marker = stranger / "marker"
    (stranger / "last.pt").write_bytes(saved({"model": payloads(marker)["os.system"]}))
    with pytest.raises(RunError, match="--restart"):
        fit(small_dives, RECIPE, stranger, device="cpu", progress=False)
    assert not marker.exists()


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"id,score\n1,2\n",
        saved({"a": torch.zeros(300)})[:500],
        saved([1]),
        saved({"model": {}}),
    ],
)
def test_a_checkpoint_that_is_none_is_told_in_one_line(tmp_path, content):
    (tmp_path / "last.pt").write_bytes(content)
    with pytest.raises(RunError, match="last.pt: not a checkpoint to go on from") as error:
        load_checkpoint(tmp_path / "last.pt", torch.device("cpu"))
    assert len(str(error.value).splitlines()) == 1 and "weights_only" not in str(error.value)


def test_a_sound_run_is_loaded_and_the_weights_that_its_recipe_began_with_are_not_opened(stranger):
    marker = stranger / "marker"
    trap = stranger / "weights.pth"
    trap.write_bytes(saved({"x": payloads(marker)["eval"]}))
    change(stranger, weights=str(trap))
    trap.chmod(0)
    assert Run.load(stranger, device="cpu").recipe.weights == str(trap)
    assert not marker.exists()


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "[]",
        "7",
        "null",
        "[" * 100_000,
        "{}",
        '{"recipe": {}}',
        '{"recipe": [], "dataset": {}}',
        '{"recipe": {}, "dataset": {"path": 7}}',
        "\udcff",
    ],
)
def test_a_recipe_json_that_is_none_is_told_in_one_line(stranger, text):
    (stranger / "recipe.json").write_bytes(text.encode("utf-8", "surrogateescape"))
    done = CliRunner().invoke(main, ["evaluate", str(stranger)])
    assert (
        done.exit_code == 2
        and done.output.startswith("error: ")
        and "recipe.json: not the recipe of a run" in done.output
    )
    assert len(done.output.strip().splitlines()) == 1


@pytest.mark.parametrize("text", ["", "[{", "7", "[7]", '{"a": 1}', "[" * 100_000, "\udcff"])
def test_metrics_and_validation_that_are_none_are_told_in_one_line(stranger, small_dives, text):
    content = text.encode("utf-8", "surrogateescape")
    (stranger / "metrics.json").write_bytes(content)
    with pytest.raises(RunError, match="metrics.json: not the metrics of a run.*delete it"):
        Run.load(stranger, device="cpu").metrics  # noqa: B018
    (stranger / "validation.csv").write_bytes(content)
    video = str(next((small_dives.folder / "videos").iterdir()))
    done = CliRunner().invoke(main, ["score", str(stranger), video])
    assert done.exit_code == 2 and "validation.csv: not the validation of a run" in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1


def test_a_folder_with_something_else_in_it_is_not_trained_into(small_dives, stranger):
    (stranger / "recipe.json").unlink()
    (stranger / "last.pt").touch()
    with pytest.raises(RunError, match="without the recipe.json"):
        fit(small_dives, RECIPE, stranger, device="cpu", progress=False)
    before = sorted(path.name for path in small_dives.folder.iterdir())
    with pytest.raises(RunError, match="prepared dataset; choose another --out"):
        fit(small_dives, RECIPE, small_dives.folder, device="cpu", progress=False)
    assert sorted(path.name for path in small_dives.folder.iterdir()) == before


@pytest.mark.parametrize("knob", ["frames", "width", "depth", "snippet_starts", "resize"])
def test_every_odd_knob_is_told(stranger, knob):
    for value in (None, "x", [], {}, [None]):
        change(stranger, **{knob: value})
        if knob == "resize" and value is None:
            continue
        with pytest.raises((RunError, DatasetError)):
            Run.load(stranger, device="cpu")


def test_the_dataset_that_a_recipe_names_is_one_with_the_checksum_that_it_names(
    small_dives, stranger, tmp_path
):
    shutil.copytree(small_dives.folder, tmp_path / "other")
    with (tmp_path / "other" / "samples.csv").open("a") as table:
        table.write("\n")
    for path, told in (
        (str(tmp_path / "other"), "has changed"),
        ("/etc", "no dataset.json"),
        ("../../../..", "no dataset.json"),
        ("a\0b", "recipe.json"),
    ):
        change(stranger, path=path)
        with pytest.raises((RunError, DatasetError), match=told):
            Run.load(stranger, device="cpu")


WEIGHTS = {
    "a header of exabytes": (2**62).to_bytes(8, "little") + b"{}",
    "nothing": b"",
    "text": b"id,score\n1,2\n",
    "other tensors": safetensors.torch.save({"a": torch.zeros(3)}),
    "a pickle": b"\x80\x04cos\nsystem\n.",
}


@pytest.mark.parametrize("kind", WEIGHTS)
def test_weights_that_are_none_are_told_in_one_line(stranger, kind):
    (stranger / "best.safetensors").write_bytes(WEIGHTS[kind])
    with pytest.raises(
        RunError,
        match="best.safetensors: not the weights of the model that recipe.json beside it describes",
    ) as error:
        Run.load(stranger, device="cpu")
    assert len(str(error.value).splitlines()) == 1


def test_a_list_of_runs_names_the_one_that_is_none(stranger):
    (stranger / "metrics.json").write_text("[]")
    assert list_runs(stranger.parent)["run"].tolist() == ["run"]
    (stranger / "recipe.json").write_text("{")
    with pytest.raises(RunError, match="run.recipe.json"):
        list_runs(stranger.parent)
