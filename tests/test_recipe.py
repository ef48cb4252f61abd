"""Recipes: named ones, changed knobs, errors that name the nearest, the way through JSON and back."""

import dataclasses
import json

import pytest

from corelib.recipe import RECIPES, Recipe, RecipeError, named


@pytest.mark.parametrize("name", RECIPES)
def test_every_named_recipe_survives_json(name):
    recipe = named(name, seed=3)
    assert Recipe.from_dict(json.loads(json.dumps(recipe.to_dict()))) == recipe


@pytest.mark.parametrize(("call", "nearest"), [
    (lambda: named("laptob"), "nearest is 'laptop'"),
    (lambda: named("smoke", learning_rat=1), "nearest is 'learning_rate'"),
    (lambda: Recipe().replace(epoch=3), "nearest is 'epochs'"),
])  # fmt: skip
def test_unknown_names_point_to_the_nearest(call, nearest):
    with pytest.raises(RecipeError, match=nearest):
        call()


@pytest.mark.parametrize(("key", "value"), [
    ("epochs", "many"), ("epochs", 2.5), ("flip", "maybe"), ("flip", 1), ("snippet_starts", 3), ("width", None),
    ("theta", "wide"), ("system", "svm"), ("precision", "fp8"), ("batch", 0), ("learning_rate", -1),
])  # fmt: skip
def test_wrong_values_name_the_knob(key, value):
    with pytest.raises(RecipeError, match=key):
        Recipe().replace(**{key: value})


@pytest.mark.parametrize(("key", "text", "value"), [
    ("epochs", "7", 7), ("learning_rate", "1e-4", 1e-4), ("flip", "False", False), ("theta", "none", None), ("theta", "30", 30.0),
    ("resize", "[64, 80]", (64, 80)), ("snippet_starts", "[0, 8]", (0, 8)), ("weights", "a/file.pt", "a/file.pt"),
])  # fmt: skip
def test_text_of_a_command_line_becomes_the_knobs_type(key, text, value):
    found = getattr(Recipe().replace(**{key: text}), key)
    assert found == value and type(found) is type(value)


def test_snippets_that_do_not_fit_are_refused():
    with pytest.raises(RecipeError, match="16 frames that starts at 17 does not fit into 32 frames"):
        Recipe().replace(snippet_starts=(0, 17))


def test_the_digest_changes_with_every_knob_but_the_name():
    recipe = Recipe()
    assert recipe.replace(name="other").digest == recipe.digest
    digests = {recipe.digest, recipe.replace(seed=1).digest, recipe.replace(theta=5).digest, recipe.replace(flip=False).digest}
    assert len(digests) == 4 and all(len(digest) == 8 for digest in digests)


def test_a_recipe_cannot_be_changed_in_place():
    with pytest.raises(dataclasses.FrozenInstanceError):
        Recipe().seed = 1


def test_the_papers_numbers():
    paper = named("paper")
    assert paper.snippet_starts == (0, 10, 20, 30, 40, 50, 60, 70, 80, 86) and paper.frames == 103
    assert (paper.theta, named("paper", with_difficulty=True).theta, named("paper", with_difficulty="true").theta) == (100, 30, 30)
    assert named("paper", with_difficulty=True, theta=12).theta == 12
    assert (paper.batchnorm_eps, paper.depth, paper.tree_width, paper.exemplars) == (1e-5, 5, 256, 10)
    assert (paper.decoding, paper.loss, paper.divide_accumulated) == ("most_probable", "leaf_sums", False)
