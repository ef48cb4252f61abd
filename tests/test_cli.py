"""The command line: train, evaluate, score; one JSON document; one-line errors with exit code 2."""

import errno
import json
import os

import pytest
import torch
from click.testing import CliRunner

from corelib.__main__ import main
from corelib.data.samples import SampleTable
from data_scripts.dives.dataset import make_dives
from data_scripts.prepared.derived import derive_dataset
from tests.contract import RUN_FILES


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    folder = tmp_path_factory.mktemp("cli")
    make_dives(folder / "dives", train=12, val=4, test=5, frames=16, size=36, seed=0, workers=1)
    out = folder / "run"
    arguments = [
        "train",
        str(folder / "dives"),
        "--recipe",
        "smoke",
        "--with-difficulty",
        "--out",
        str(out),
    ]
    result = CliRunner().invoke(main, [*arguments, "--set", "epochs=1", "--json"])
    assert result.exit_code == 0, result.output
    return folder, out, json.loads(result.stdout)


def test_train_prints_one_document_and_writes_the_run(trained):
    _, out, document = trained
    assert [row["selected_on"] for row in document["metrics"]] == ["val", "last"]
    assert RUN_FILES <= {file.name for file in out.iterdir()}


def test_a_run_is_evaluated_from_its_folder_to_the_last_digit(trained):
    _, out, document = trained
    result = CliRunner().invoke(main, ["evaluate", str(out), "--json"])
    again = json.loads(result.stdout)
    first = document["metrics"][0]
    assert (again["spearman"], again["rl2_x100"]) == (first["spearman"], first["rl2_x100"])


def test_score_names_the_exemplars(trained):
    folder, out, _ = trained
    video = str(folder / "dives" / "videos" / "dive-00001.mp4")
    result = CliRunner().invoke(
        main, ["score", str(out), video, "--difficulty", "3.2", "--exemplars", "3", "--json"]
    )
    scored = json.loads(result.stdout)[0]
    assert len(scored["exemplars"]) == 3
    assert scored["score"] == pytest.approx(
        sum(vote["predicted"] for vote in scored["exemplars"]) / 3
    )
    assert scored["interval_90"][0] <= scored["score"] <= scored["interval_90"][1]


def test_train_says_which_split_and_how_its_epoch_was_chosen(trained):
    folder, out, _ = trained
    knobs = ["--recipe", "smoke", "--with-difficulty", "--set", "epochs=1"]
    command = ["train", str(folder / "dives"), *knobs, "--out", str(out)]
    said = CliRunner().invoke(main, command).stdout.splitlines()
    assert said[1].startswith("test split, epoch 0 (chosen on validation): Spearman ")
    assert said[2].startswith("test split, epoch 0 (last): Spearman ")
    assert "too few exemplars: 5 (taken: nearest difficulty)" in said[1] and "{" not in said[1]


def test_exemplars_mean_the_same_in_evaluate_and_in_score(trained):
    folder, out, _ = trained
    video = str(folder / "dives" / "videos" / "dive-00001.mp4")
    for asked, of_evaluate in ((None, 10), ("3", 3), ("all", "all")):
        option = ["--exemplars", asked] if asked else []
        judged = CliRunner().invoke(main, ["evaluate", str(out), "--json", *option])
        assert json.loads(judged.stdout)["exemplars"] == of_evaluate
        scored = json.loads(
            CliRunner()
            .invoke(main, ["score", str(out), video, "--difficulty", "3.2", "--json", *option])
            .stdout
        )
        assert asked == "all" or len(scored[0]["exemplars"]) == of_evaluate
    samples = SampleTable.load(folder / "dives").samples.set_index("id")
    named_all = {vote["id"] for vote in scored[0]["exemplars"]}
    assert {samples["difficulty"][name] for name in named_all} == {
        3.2
    }  # the whole of its group, and nobody else
    assert len(named_all) == ((samples["split"] == "train") & (samples["difficulty"] == 3.2)).sum()


def test_a_runs_figures_are_written_as_files_and_their_titles_printed(trained, tmp_path):
    _, out, _ = trained
    done = CliRunner().invoke(main, ["figures", str(out), "--format", "svg"])
    assert done.exit_code == 0, done.output
    names = ["training", "predictions", "errors", "intervals"]
    printed = [line.partition(": ") for line in done.stdout.splitlines()]
    assert [place for place, _, _ in printed] == [
        str(out / "figures" / f"{n}.{{svg}}") for n in names
    ]
    assert printed[1][2].startswith("Median absolute error")
    assert sorted(file.name for file in (out / "figures").iterdir()) == sorted(
        f"{name}.svg" for name in names
    )
    assert CliRunner().invoke(main, ["evaluate", str(out)]).exit_code == 0  # it is a run as before
    refused = CliRunner().invoke(main, ["figures", str(out), "--format", "pdf,gif"])
    assert refused.exit_code == 2 and "takes pdf, svg, png, not 'gif'" in refused.output


def test_a_read_only_file_system_is_a_line(trained, monkeypatch, tmp_path):
    folder, _, _ = trained

    def refuse(path, *arguments, **options):
        raise OSError(errno.EROFS, "Read-only file system", str(path))

    monkeypatch.setattr(os, "mkdir", refuse)
    result = CliRunner().invoke(
        main,
        [
            "train",
            str(folder / "dives"),
            "--recipe",
            "smoke",
            "--out",
            str(tmp_path / "runs" / "one"),
        ],
    )
    assert result.exit_code == 2 and result.stdout == ""
    *warned, last = result.stderr.splitlines()
    assert (
        last
        == f"error: {tmp_path / 'runs' / 'one'}: the file system is read-only; name a folder that"
        " can be written (--out)"
    )
    assert all(line.startswith("warning: ") for line in warned)


def test_score_asks_for_the_difficulty(trained):
    folder, out, _ = trained
    result = CliRunner().invoke(
        main, ["score", str(out), str(folder / "dives" / "videos" / "dive-00001.mp4")]
    )
    assert result.exit_code == 2 and "--difficulty" in result.stderr


def strict(text):
    return json.loads(text, parse_constant=lambda name: pytest.fail(f"{name} is no JSON"))


def test_what_is_doubtful_is_a_line_each_and_an_entry_of_the_document(trained, tmp_path):
    folder, _, _ = trained
    table = SampleTable.load(folder / "dives")
    samples = table.samples.assign(
        split=["train"] * 12 + ["val"] + ["train"] * 3 + ["test"] + ["train"] * 4
    )
    derive_dataset(
        table, samples, tmp_path / "few", change="one sample to validate on and one to test on"
    )
    arguments = [
        "train",
        str(tmp_path / "few"),
        "--recipe",
        "smoke",
        "--system",
        "mlp",
        "--set",
        "epochs=1",
        "--out",
        str(tmp_path / "run"),
    ]
    first = CliRunner().invoke(main, arguments)
    assert first.exit_code == 0, first.output
    lines = [line for line in first.stderr.splitlines() if line.startswith("warning: ")]
    assert len(lines) == len(set(lines)) and any(
        "the validation part is a single sample" in line for line in lines
    )
    assert (
        any("needs two samples or more and got 1" in line for line in lines)
        and "Spearman nan" in first.stdout
    )
    again = CliRunner().invoke(
        main, [*arguments, "--json"]
    )  # it is loaded now, and says so all the same
    row, judged = (
        strict(again.stdout)["metrics"][0],
        CliRunner().invoke(main, ["evaluate", str(tmp_path / "run"), "--json"]),
    )
    assert (
        row["spearman"] is None
        and [f"warning: {sentence}" for sentence in row["warnings"]] == again.stderr.splitlines()
    )
    assert (
        set(strict(judged.stdout)["warnings"]) <= set(row["warnings"])
        and "warning: the validation part is" in judged.stderr
    )


def test_a_dataset_whose_test_split_was_learnt_from_is_said(trained, tmp_path):
    folder, out, _ = trained
    table = SampleTable.load(folder / "dives")
    samples = table.samples.assign(split=["test"] * 3 + ["train"] * 18)
    derive_dataset(table, samples, tmp_path / "turned", change="another split")
    result = CliRunner().invoke(
        main, ["evaluate", str(out), "--dataset", str(tmp_path / "turned"), "--json"]
    )
    assert result.exit_code == 0, result.output
    assert strict(result.stdout)["warnings"][0].startswith(
        "leak between this run's training and the test split: 3 pair(s)"
    )
    assert result.stderr.startswith("warning: leak") or "\nwarning: leak" in result.stderr


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["train", "nowhere"], "no dataset.json"),
        (["train", "DIVES", "--set", "epoch=3"], "'epochs'"),
        (["train", "DIVES", "--recipe", "labtop"], "'laptop'"),
        (
            ["train", "DIVES", "--recipe", "smoke", "--set", "pair_by=id", "--out", "NEW"],
            "pair by something coarser",
        ),
        (["train", "DIVES", "--recipe", "smoke", "--out", "RUN"], "another recipe"),
        (
            ["train", "DIVES", "--recipe", "smoke", "--device", "cuda", "--out", "NEW"],
            "torch finds no GPU here; write auto or cpu",
        ),
        (["evaluate", "RUN", "--device", "cuda:1"], "torch finds no GPU here; write auto or cpu"),
        (
            ["sweep", "DIVES", "--recipe", "smoke", "--device", "cuda", "--out", "NEW"],
            "torch finds no GPU here; write auto or cpu",
        ),
        (
            ["train", "DIVES", "--recipe", "smoke", "--device", "gpu", "--out", "NEW"],
            "'gpu' is no device; write auto, cpu, cuda",
        ),
        (["evaluate", "nowhere"], "no run"),
        (["evaluate", "RUN", "--split", "tset"], "'tset'; it has test, train, val"),
        (
            ["train", "DIVES", "--recipe", "smoke", "--device", "meta", "--out", "NEW"],
            "'meta' is no device that the kit can use; write auto, cpu, cuda",
        ),
        (
            ["train", "DIVES", "--recipe", "smoke", "--device", "", "--out", "NEW"],
            "'' is no device; write auto",
        ),
        (
            ["sweep", "DIVES", "--recipe", "smoke", "--slurm", "foo=1", "--out", "sweep"],
            "'foo' need to be prefixed",
        ),
        (
            ["sweep", "DIVES", "--recipe", "smoke", "--out", "SWEEP"],
            "jobs.json: not the list of jobs",
        ),
        (["train", "DIVES", "--workers", "-1"], "-1 is not in the range 0<=x<=256"),
        (
            ["train", "DIVES", "--recipe", "smoke", "--out", "x" * 300],
            "the name is too long for this file system; choose a shorter one (--out)",
        ),
        (
            ["train", "DIVES", "--recipe", "smoke", "--set", f"name={'x' * 300}"],
            "the name is too long",
        ),
        (["train", "x" * 300], "the name is too long"),
        (
            ["train", "DIVES", "--recipe", "smoke", "--out", "FILE"],
            "FILE: something of that name is there already; name another place (--out)",
        ),
        (["train", "DIVES", "--recipe", "smoke", "--out", "FILE/run"], "FILE"),
        (
            ["train", "DIVES", "--recipe", "smoke", "--out", ""],
            "Invalid value for '--out': an empty name",
        ),
        (["train", ""], "an empty name"),
        (["score", "RUN", "x" * 300, "--difficulty", "3"], "the name is too long"),
        (["evaluate", "RUN", "--exemplars", "none", "--json"], "above 0"),
        (["score", "RUN", "video.mp4", "--exemplars", "0", "--json"], "above 0"),
    ],
)
def test_wrong_input_is_one_line_and_exit_code_2(trained, tmp_path, monkeypatch, arguments, said):
    folder, out, _ = trained
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "FILE").touch()
    (tmp_path / "SWEEP").mkdir()
    (tmp_path / "SWEEP" / "jobs.json").write_text("[7]")
    places = {"DIVES": str(folder / "dives"), "RUN": str(out), "NEW": str(tmp_path / "run")}
    result = CliRunner().invoke(main, [places.get(word, word) for word in arguments])
    assert result.exit_code == 2 and result.stdout == "" and len(result.stderr.splitlines()) == 1
    assert said in result.stderr and result.stderr.startswith("error: ")
    assert not (tmp_path / "run").exists()  # nothing was begun
