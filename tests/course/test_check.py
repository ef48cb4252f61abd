"""The reproducibility check: references made of five seeds, ranges, verdicts, and what cannot be
compared."""

import json

import numpy as np
import pytest
from click.testing import CliRunner

from corelib.__main__ import main
from corelib.course.check import (
    CourseResults,
    NotComparable,
    compare,
    comparison_text,
    make_reference,
    range_of,
    read_reference,
    write_reference,
)
from corelib.course.execute import notebooks_folder
from corelib.course.parameters import CourseError
from corelib.metrics import DEFINITION


def row(seed, rho, *, dataset="dives", **changes):
    return {
        "dataset": dataset,
        "system": "core",
        "with_difficulty": True,
        "recipe": "smoke",
        "exemplars": 10,
        "split": "test",
        "selected_on": "val",
        "seed": seed,
        "spearman": rho,
        "rl2_x100": 2 - rho,
        "table_sha256": "a" * 64,
    } | changes


def course(folder, rows, *, profile="smoke", definition=DEFINITION):
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "metrics.json").write_text(json.dumps(rows))
    (folder / "environment.json").write_text(
        json.dumps({"profile": profile, "metrics": definition, "torch": "2.x", "device": "cpu"})
    )
    return folder


FIVE = [row(seed, rho) for seed, rho in enumerate((0.90, 0.91, 0.92, 0.93, 0.94))]


def check(*arguments):
    done = CliRunner().invoke(main, ["course", "check", *map(str, arguments)])
    return done.exit_code, done.output


@pytest.fixture
def reference(tmp_path):
    path = tmp_path / "references" / "smoke.json"
    assert check("--update", course(tmp_path / "five", FIVE), "--against", path)[0] == 0
    return path


def test_a_range_is_the_prediction_interval_of_one_more_value():
    low, high = range_of([1, 2, 3, 4, 5])
    assert (low, high) == pytest.approx(
        (3 - 4.604 * 2.5**0.5 * 1.2**0.5 - 1e-3, 3 + 4.604 * 2.5**0.5 * 1.2**0.5 + 1e-3), abs=2e-3
    )
    rng = np.random.default_rng(0)
    draws = rng.normal(size=(4000, 6))
    inside = [low <= draw[5] <= high for draw in draws for low, high in [range_of(draw[:5])]]
    assert np.mean(inside) == pytest.approx(0.99, abs=0.006)


def test_a_reference_holds_mean_spread_seeds_and_where_it_was_made(reference):
    (entry,) = read_reference(reference)["experiments"]
    assert entry["seeds"] == [0, 1, 2, 3, 4] and entry["spearman"]["mean"] == pytest.approx(0.92)
    assert entry["spearman"]["sd"] == pytest.approx(np.std([0.90, 0.91, 0.92, 0.93, 0.94], ddof=1))
    assert read_reference(reference)["made_on"] == {
        "metrics": DEFINITION,
        "torch": "2.x",
        "device": "cpu",
    }


def test_a_run_within_the_ranges_passes_and_one_outside_fails_by_name(reference, tmp_path):
    code, said = check(course(tmp_path / "good", [row(7, 0.925)]), "--against", reference)
    assert code == 0 and "0.9250" in said and "0.9200 +- 0.0158" in said and "outside" not in said
    code, said = check(course(tmp_path / "bad", [row(7, 0.70)]), "--against", reference)
    assert code == 1 and said.count("outside") >= 2 and "dives core w/ DD" in said


def test_what_cannot_be_compared_says_which_and_ends_with_3(reference, tmp_path):
    cases = {
        "profile laptop": course(tmp_path / "profile", FIVE[:1], profile="laptop"),
        "definition 999": course(tmp_path / "definition", FIVE[:1], definition=999),
        "bbbbbbbbbbbb": course(tmp_path / "data", [row(0, 0.92, table_sha256="b" * 64)]),
        "did not finish": course(tmp_path / "part", [row(0, 0.9, system="mlp")]),
    }
    for word, folder in cases.items():
        code, said = check(folder, "--against", reference)
        assert code == 3 and word in said, (word, said)


def test_an_undefined_metric_is_outside(reference, tmp_path):
    code, said = check(
        course(tmp_path / "nan", [row(7, 0.92, spearman=None)]), "--against", reference
    )
    assert code == 1 and "outside" in said


def test_a_dataset_that_was_not_at_hand_is_said_and_no_failure(tmp_path):
    rows = FIVE + [row(seed, 0.6 + seed / 100, dataset="fisv-tes") for seed in range(5)]
    found = make_reference([CourseResults.load(course(tmp_path / "five", rows))])
    table = compare(CourseResults.load(course(tmp_path / "run", [row(7, 0.92)])), found)
    assert set(table["verdict"]) == {"ok", "not measured"} and "fisv-tes" in comparison_text(table)
    with pytest.raises(NotComparable, match="did not finish"):
        compare(CourseResults.load(course(tmp_path / "none", [])), found)


def test_a_reference_needs_five_seeds_of_one_profile_and_one_dataset(tmp_path):
    few = CourseResults.load(course(tmp_path / "few", FIVE[:4]))
    with pytest.raises(CourseError, match="4 seed"):
        make_reference([few])
    rest = CourseResults.load(course(tmp_path / "rest", FIVE[4:]))
    assert len(make_reference([few, rest])["experiments"]) == 1  # seeds may come from several runs
    for wrong, word in (
        (course(tmp_path / "a", FIVE[4:], profile="laptop"), "one profile"),
        (course(tmp_path / "b", [FIVE[4] | {"table_sha256": "b"}]), "different data"),
        (course(tmp_path / "c", [FIVE[4] | {"spearman": None}]), "not defined"),
        (course(tmp_path / "d", FIVE[4:], definition=0), "another definition"),
    ):
        with pytest.raises(CourseError, match=word):
            make_reference([few, CourseResults.load(wrong)])
    code, said = check("--update", few.folder, "--against", tmp_path / "r.json")
    assert code == 2 and "4 seed" in said and not (tmp_path / "r.json").exists()


def test_an_update_keeps_what_it_has_no_row_of_with_where_that_was_made(reference, tmp_path):
    rows = [row(seed, 0.6 + seed / 100, dataset="fisv-tes") for seed in range(5)]
    for made in ("once", "again"):
        again = course(tmp_path / made, rows)
        assert check("--update", again, "--against", reference)[0] == 0
        dives, skating = read_reference(reference)["experiments"]
        assert dives["dataset"] == "dives" and dives["spearman"]["mean"] == pytest.approx(0.92)
        assert dives["made_on"] == {"metrics": DEFINITION, "torch": "2.x", "device": "cpu"}
        assert skating["dataset"] == "fisv-tes" and "made_on" not in skating
    assert check(course(tmp_path / "run", [row(7, 0.92)]), "--against", reference)[0] == 0


def test_files_that_are_not_there_or_not_references_end_with_2(tmp_path):
    run = course(tmp_path / "run", FIVE)
    (tmp_path / "no.json").write_text("{}")
    for arguments, word in (
        ((tmp_path / "nowhere",), "course run"),
        ((run, "--against", tmp_path / "x.json"), "--update"),
        ((run, "--against", tmp_path / "no.json"), "no reference of"),
    ):
        code, said = check(*arguments)
        assert code == 2 and word in said, said
    with pytest.raises(CourseError):
        read_reference(tmp_path / "no.json")
    write_reference(
        tmp_path / "new" / "r.json",
        {"profile": "smoke", "metrics": 1, "made_on": {}, "experiments": []},
    )
    assert read_reference(tmp_path / "new" / "r.json")["experiments"] == []


@pytest.mark.parametrize("text", ["", "[{", "7", "[7]", '[{"seed": 0}]'])
def test_results_that_are_none_are_told_in_one_line(reference, tmp_path, text):
    folder = course(tmp_path / "run", FIVE[:1])
    (folder / "metrics.json").write_text(text)
    code, said = check(folder, "--against", reference)
    assert (
        code == 2
        and "are not those of a course run" in said
        and len(said.strip().splitlines()) == 1
    )


def test_every_reference_that_is_shipped_is_of_five_seeds_of_a_profile_and_of_this_definition():
    shipped = sorted((notebooks_folder() / "references").glob("*.json"))
    assert [path.stem for path in shipped] == ["laptop"]
    for path in shipped:
        reference = read_reference(path)
        assert reference["profile"] == path.stem and reference["metrics"] == DEFINITION
        assert all(
            len(entry["seeds"]) >= 5 and entry["table_sha256"] for entry in reference["experiments"]
        )
        systems = {
            (entry["dataset"], entry["system"], entry["with_difficulty"])
            for entry in reference["experiments"]
        }
        assert {
            ("dives", system, known) for system in ("core", "mlp") for known in (False, True)
        } <= systems
