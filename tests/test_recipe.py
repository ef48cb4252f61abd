"""Recipes: named ones, changed knobs, errors that name the nearest, the way through JSON and
back."""

import dataclasses
import json

import pytest

from corelib.recipe import RANGES, RECIPES, Recipe, RecipeError, named, parse_exemplars
from corelib.runs.options import parse_knobs, parse_seeds


@pytest.mark.parametrize("name", RECIPES)
def test_every_named_recipe_survives_json(name):
    recipe = named(name, seed=3)
    assert Recipe.from_dict(json.loads(json.dumps(recipe.to_dict()))) == recipe


@pytest.mark.parametrize(
    ("call", "nearest"),
    [
        (lambda: named("laptob"), "nearest is 'laptop'"),
        (lambda: named("smoke", learning_rat=1), "nearest is 'learning_rate'"),
        (lambda: Recipe().replace(epoch=3), "nearest is 'epochs'"),
    ],
)
def test_unknown_names_point_to_the_nearest(call, nearest):
    with pytest.raises(RecipeError, match=nearest):
        call()


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("epochs", "many"),
        ("epochs", 2.5),
        ("flip", "maybe"),
        ("flip", 1),
        ("snippet_starts", 3),
        ("width", None),
        ("theta", "wide"),
        ("system", "svm"),
        ("precision", "fp8"),
        ("batch", 0),
        ("learning_rate", -1),
    ],
)
def test_wrong_values_name_the_knob(key, value):
    with pytest.raises(RecipeError, match=key):
        Recipe().replace(**{key: value})


@pytest.mark.parametrize(
    ("key", "text", "value"),
    [
        ("epochs", "7", 7),
        ("learning_rate", "1e-4", 1e-4),
        ("flip", "False", False),
        ("theta", "none", None),
        ("theta", "30", 30.0),
        ("resize", "[64, 80]", (64, 80)),
        ("snippet_starts", "[0, 8]", (0, 8)),
        ("weights", "a/file.pt", "a/file.pt"),
    ],
)
def test_text_of_a_command_line_becomes_the_knobs_type(key, text, value):
    found = getattr(Recipe().replace(**{key: text}), key)
    assert found == value and type(found) is type(value)


HUGE, NAN, INFINITE = 10**400, float("nan"), float("inf")


@pytest.mark.parametrize(
    ("key", "values"),
    [
        ("seed", [-1, 2**32, HUGE, True]),
        ("fold", [-1]),
        ("frames", [0, -3, 10**9, HUGE]),
        ("resize", [[0, 5], [64, -1], [64], [1, 2, 3], [], [64.5, 80], [10**6, 10**6]]),
        ("crop", [0, -1, 5000]),
        ("temporal_shift", [-4, 100_000, 32]),
        ("snippet_length", [0, 10**6]),
        (
            "snippet_starts",
            [[], [-5], [0, -1], [0.5], [10**9], [0] * 33, ["0"], [None], [True], [NAN]],
        ),
        ("width", [0, -1, 1e9, 1e-9, NAN, INFINITE, HUGE, False]),
        ("batchnorm_eps", [0, -1e-3, NAN, INFINITE]),
        ("projection", [0, 10**9]),
        ("stretches", [0, 10**9]),
        ("dropout", [2, -1, 1, NAN]),
        ("exemplars", [0, -1]),
        ("passes", [0, 10**9]),
        ("depth", [0, 1, 40, -2, 3.5, INFINITE, NAN]),
        ("tree_width", [0, 10**9]),
        ("theta", [0, -3, NAN, INFINITE]),
        ("tie_tolerance", [-1, NAN, INFINITE]),
        ("learning_rate", [0, -1e-3, NAN, INFINITE]),
        ("encoder_rate_factor", [-1, NAN, INFINITE]),
        ("weight_decay", [-1, NAN, INFINITE]),
        ("clip_gradient", [-1, NAN, INFINITE]),
        ("epochs", [0, 10**9, INFINITE]),
        ("batch", [0, 10**9]),
        ("accumulate", [0]),
        ("validation_fraction", [5, -1, 1, NAN]),
        ("validate_every", [0]),
    ],
)
def test_values_out_of_range_name_the_knob_and_what_is_allowed(key, values):
    for value in values:
        for given in (value, json.dumps(value)):
            with pytest.raises(RecipeError) as caught:
                Recipe().replace(**{key: given})
            said = str(caught.value)
            assert key in said and "must" in said and "\n" not in said and len(said) < 500, said


def test_every_knob_with_a_number_has_a_range_that_holds_its_default():
    kinds = {field.name: field.type for field in dataclasses.fields(Recipe)}
    assert list(RANGES) == [key for key, kind in kinds.items() if "int" in kind or "float" in kind]
    for key, ends in RANGES.items():
        for value in ends:
            text = (
                f"[{value}, {value}]"
                if key == "resize"
                else f"[{value}]"
                if key == "snippet_starts"
                else str(value)
            )
            other = {
                "frames": 10**4,
                "snippet_starts": (0,),
                "snippet_length": 1,
                "temporal_shift": 0,
                "crop": 1,
            }
            changed = Recipe().replace(
                **other
                | {key: text}
                | ({"snippet_starts": "[9999]"} if key == "snippet_starts" else {})
            )
            assert getattr(changed, key) is not None


def test_a_crop_larger_than_the_resized_frames_is_refused():
    with pytest.raises(
        RecipeError,
        match=(
            r"a crop of 100 pixels does not fit into frames resized to \[64, 120\]; change crop or"
            r" resize"
        ),
    ):
        Recipe().replace(crop=100, resize=(64, 120))


@pytest.mark.parametrize(
    ("asked", "meant"), [(None, None), ("all", "all"), (3, 3), ("3", 3), (1, 1), (" 7 ", 7)]
)
def test_exemplars_mean_one_thing_wherever_they_are_asked_for(asked, meant):
    assert parse_exemplars(asked) == meant


@pytest.mark.parametrize(
    "asked",
    [
        0,
        -1,
        "0",
        "-1",
        "",
        "none",
        "All",
        "2.5",
        2.5,
        "²",
        "nan",
        "inf",
        True,
        [3],
        "1e999",
        "9" * 5000,
    ],
)
def test_odd_exemplars_are_refused_in_a_line(asked):
    with pytest.raises(RecipeError, match="a number above 0 or 'all', not") as caught:
        parse_exemplars(asked)
    assert len(str(caught.value)) < 400


@pytest.mark.parametrize(
    "text", ["", "x", "3-1", "-1", "0-99999999999", "4294967296", "1,,2", "0-1000", "1.5"]
)
def test_odd_seeds_are_refused_in_a_line(text):
    with pytest.raises(RecipeError, match="--seeds takes"):
        parse_seeds(text)


def test_knobs_of_a_command_line():
    assert parse_knobs(["epochs=3", "name=a=b", "theta="]) == {
        "epochs": "3",
        "name": "a=b",
        "theta": "",
    }
    assert named("smoke", **parse_knobs(["name=mine"])).name == "mine"
    for odd in ("epochs", "=3", ""):
        with pytest.raises(RecipeError, match="--set takes key=value"):
            parse_knobs([odd])


def test_snippets_that_do_not_fit_are_refused():
    with pytest.raises(
        RecipeError, match="16 frames that starts at 17 does not fit into 32 frames"
    ):
        Recipe().replace(snippet_starts=(0, 17))


def test_the_digest_changes_with_every_knob_but_the_name():
    recipe = Recipe()
    assert recipe.replace(name="other").digest == recipe.digest
    digests = {
        recipe.digest,
        recipe.replace(seed=1).digest,
        recipe.replace(theta=5).digest,
        recipe.replace(flip=False).digest,
    }
    assert len(digests) == 4 and all(len(digest) == 8 for digest in digests)


def test_a_recipe_cannot_be_changed_in_place():
    with pytest.raises(dataclasses.FrozenInstanceError):
        Recipe().seed = 1


def test_the_papers_numbers():
    paper = named("paper")
    assert paper.snippet_starts == (0, 10, 20, 30, 40, 50, 60, 70, 80, 86) and paper.frames == 103
    assert (
        paper.theta,
        named("paper", with_difficulty=True).theta,
        named("paper", with_difficulty="true").theta,
    ) == (100, 30, 30)
    assert named("paper", with_difficulty=True, theta=12).theta == 12
    assert (paper.batchnorm_eps, paper.depth, paper.tree_width, paper.exemplars) == (
        1e-5,
        5,
        256,
        10,
    )
    assert (paper.decoding, paper.loss, paper.divide_accumulated) == (
        "most_probable",
        "leaf_sums",
        False,
    )
