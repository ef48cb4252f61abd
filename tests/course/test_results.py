"""Results are recorded, merged and tabulated without mixing what differs."""

import json
import math

import numpy as np
import pytest

from corelib.course.results import merge_results, record_results, results_table, table_text


def row(**changes) -> dict:
    base = dict(
        dataset="dives",
        system="core",
        with_difficulty=True,
        recipe="laptop",
        seed=0,
        split="test",
        spearman=0.9,
        rl2_x100=0.5,
        score_range=[20.0, 100.0],
        n_train=300,
        n_test=150,
        epoch=9,
        selected_on="val",
        seconds=60.0,
        device="cpu",
    )
    return base | changes


def test_a_notebook_replaces_only_its_own_rows(tmp_path):
    record_results([row(system="mlp")], notebook="04_baseline", folder=tmp_path / "runs")
    record_results([row(seed=7)], notebook="08_evaluate", folder=tmp_path / "runs")
    record_results([row(seed=8), row(seed=9)], notebook="08_evaluate", folder=tmp_path / "runs")
    merged = merge_results(tmp_path / "runs")
    assert [(r["notebook"], r["seed"]) for r in merged] == [
        ("04_baseline", 0),
        ("08_evaluate", 8),
        ("08_evaluate", 9),
    ]
    assert json.loads((tmp_path / "runs" / "metrics.json").read_text()) == merged
    assert {path.name for path in (tmp_path / "runs").iterdir()} == {
        "metrics.json",
        "metrics-04_baseline.json",
        "metrics-08_evaluate.json",
    }


def test_numpy_values_and_missing_numbers_become_json(tmp_path):
    rows = [
        row(
            spearman=np.float32(0.5),
            n_test=np.int64(3),
            score_range=np.array([0.0, 30.0]),
            rl2_x100=math.nan,
        )
    ]
    path = record_results(rows, notebook="04_baseline", folder=tmp_path)
    (stored,) = json.loads(path.read_text())
    assert (stored["spearman"], stored["n_test"], stored["score_range"], stored["rl2_x100"]) == (
        0.5,
        3,
        [0, 30],
        None,
    )


def test_bad_rows_are_all_named_and_nothing_is_written(tmp_path):
    lacking = row()
    del lacking["seed"], lacking["split"]
    with pytest.raises(ValueError, match="row 0 lacks seed, split; row 2: system is 'CoRe'"):
        record_results(
            [lacking, row(), row(system="CoRe")], notebook="04_baseline", folder=tmp_path
        )
    assert list(tmp_path.iterdir()) == []


def test_mean_and_spread_over_seeds_by_hand():
    rows = [
        row(seed=s, spearman=rho, rl2_x100=r)
        for s, rho, r in [(0, 0.7, 1.0), (1, 0.8, 2.0), (2, 0.9, 3.0)]
    ]
    (line,) = results_table([*rows, row(system="mlp")]).query("system == 'core'").to_dict("records")
    assert line["seeds"] == 3
    # sample standard deviations: sqrt((.01 + 0 + .01) / 2) = .1, sqrt((1 + 0 + 1) / 2) = 1
    for key, expected in [
        ("spearman", 0.8),
        ("spearman_sd", 0.1),
        ("rl2_x100", 2.0),
        ("rl2_x100_sd", 1.0),
    ]:
        assert line[key] == pytest.approx(expected)


@pytest.mark.parametrize(
    "change",
    [
        {"dataset": "fisv"},
        {"system": "mlp"},
        {"with_difficulty": False},
        {"recipe": "paper"},
        {"split": "val"},
        {"selected_on": "test"},
        {"score_range": [0, 100]},
        {"exemplars": 10},
        {"n_test": 149},
    ],
)
def test_what_differs_is_never_averaged(change):
    table = results_table([row(), row(seed=1), row(seed=1, **change)])
    assert sorted(table["seeds"]) == [1, 2]


def test_a_seed_that_two_notebooks_report_counts_once_and_the_later_holds():
    table = results_table([row(spearman=0.5), row(seed=1, spearman=0.7), row(spearman=0.9)])
    assert list(table["seeds"]) == [2]
    assert table["spearman"][0] == pytest.approx(0.8)


def test_a_single_seed_has_no_spread_and_an_undefined_value_is_blank():
    text = table_text([row(), row(system="mlp", spearman=None)])
    assert list(text["Spearman"]) == ["0.900", ""]
    assert list(text["score range"]) == ["20 to 100"] * 2


def test_systems_are_told_in_words():
    rows = [row(exemplars=10), row(exemplars=1), row(exemplars="all")]
    rows += [row(system="mlp", exemplars=0), row(system="mlp", split="val")]
    assert list(table_text(rows)["system"]) == [
        "CoRe (w/ DD), 10 exemplars",
        "CoRe (w/ DD), 1 exemplar",
        "CoRe (w/ DD), all exemplars",
        *["I3D+MLP (w/ DD)"] * 2,
    ]


def test_no_rows_give_an_empty_table():
    assert results_table([]).empty
    assert table_text([]).empty
