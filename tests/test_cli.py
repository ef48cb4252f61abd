"""The command line: train, evaluate, score; one JSON document; one-line errors with exit code 2."""

import json

import pytest
import torch
from click.testing import CliRunner

from corelib.__main__ import main
from corelib.data.dive_dataset import make_dives


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    folder = tmp_path_factory.mktemp("cli")
    make_dives(folder / "dives", train=12, val=4, test=5, frames=16, size=36, seed=0, workers=1)
    out = folder / "run"
    arguments = ["train", str(folder / "dives"), "--recipe", "smoke", "--with-difficulty", "--out", str(out)]
    result = CliRunner().invoke(main, [*arguments, "--set", "epochs=1", "--json"])
    assert result.exit_code == 0, result.output
    return folder, out, json.loads(result.stdout)


def test_train_prints_one_document_and_writes_the_run(trained):
    _, out, document = trained
    assert [row["selected_on"] for row in document["metrics"]] == ["val", "last"]
    names = {"recipe.json", "history.csv", "last.pt", "best.safetensors", "predictions.csv", "metrics.json", "environment.json"}
    assert names <= {file.name for file in out.iterdir()}


def test_a_run_is_evaluated_from_its_folder_to_the_last_digit(trained):
    _, out, document = trained
    result = CliRunner().invoke(main, ["evaluate", str(out), "--json"])
    again = json.loads(result.stdout)
    first = document["metrics"][0]
    assert (again["spearman"], again["rl2_x100"]) == (first["spearman"], first["rl2_x100"])


def test_score_names_the_exemplars(trained):
    folder, out, _ = trained
    video = str(folder / "dives" / "videos" / "dive-00001.mp4")
    result = CliRunner().invoke(main, ["score", str(out), video, "--difficulty", "3.2", "--exemplars", "3", "--json"])
    scored = json.loads(result.stdout)[0]
    assert len(scored["exemplars"]) == 3
    assert scored["score"] == pytest.approx(sum(vote["predicted"] for vote in scored["exemplars"]) / 3)
    assert scored["interval_90"][0] <= scored["score"] <= scored["interval_90"][1]


def test_score_asks_for_the_difficulty(trained):
    folder, out, _ = trained
    result = CliRunner().invoke(main, ["score", str(out), str(folder / "dives" / "videos" / "dive-00001.mp4")])
    assert result.exit_code == 2 and "--difficulty" in result.stderr


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["train", "nowhere"], "no dataset.json"),
        (["train", "DIVES", "--set", "epoch=3"], "'epochs'"),
        (["train", "DIVES", "--recipe", "labtop"], "'laptop'"),
        (["train", "DIVES", "--recipe", "smoke", "--set", "pair_by=id", "--out", "NEW"], "pair by something coarser"),
        (["train", "DIVES", "--recipe", "smoke", "--out", "RUN"], "another recipe"),
        (["train", "DIVES", "--recipe", "smoke", "--device", "cuda", "--out", "NEW"], "torch finds no GPU here; write auto or cpu"),
        (["evaluate", "RUN", "--device", "cuda:1"], "torch finds no GPU here; write auto or cpu"),
        (["sweep", "DIVES", "--recipe", "smoke", "--device", "cuda", "--out", "NEW"], "torch finds no GPU here; write auto or cpu"),
        (["train", "DIVES", "--recipe", "smoke", "--device", "gpu", "--out", "NEW"], "'gpu' is no device; write auto, cpu, cuda"),
        (["evaluate", "nowhere"], "no run"),
        (["evaluate", "RUN", "--exemplars", "none"], "above 0"),
    ],
)
def test_wrong_input_is_one_line_and_exit_code_2(trained, tmp_path, monkeypatch, arguments, said):
    folder, out, _ = trained
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    places = {"DIVES": str(folder / "dives"), "RUN": str(out), "NEW": str(tmp_path / "run")}
    result = CliRunner().invoke(main, [places.get(word, word) for word in arguments])
    assert result.exit_code == 2
    assert said in result.stderr and result.stderr.startswith("error: ")
    assert not (tmp_path / "run").exists()  # nothing was begun
