"""Attribution: it adds up, it finds the one place that a model looks at, and hits are counted
against chance."""

import copy
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from corelib.data.video import read_video
from corelib.evaluation import encode
from corelib.i3d import SnippetEncoder
from corelib.recipe import RecipeError, named
from corelib.runs.attribution import (
    LAYER,
    exemplar_rows,
    heat_map,
    hit_rate,
    over_frames,
    score_film,
    scorer,
    seen_frames,
    snippet_attribution,
)
from corelib.runs.fit import fit


@pytest.fixture(scope="module")
def runs(small_dives, tmp_path_factory):
    """A CoRe run of two snippets and a baseline, trained until their features differ."""
    out = tmp_path_factory.mktemp("runs")
    changes = {
        "frames": 20,
        "snippet_length": 8,
        "snippet_starts": (0, 12),
        "epochs": 12,
        "validate_every": 12,
        "with_difficulty": True,
        "exemplars": 3,
    }
    return {
        system: fit(
            small_dives,
            named("smoke", system=system, **changes),
            out / system,
            device="cpu",
            progress=False,
        )
        for system in ("core", "mlp")
    }


@pytest.fixture(scope="module")
def asked(runs):
    """(run, a test row, the rows of its exemplars)."""
    run = runs["core"]
    query = int(run.table.rows("test")[2])
    return run, query, exemplar_rows(run, query)


def test_the_exemplars_are_those_that_voted(asked):
    run, query, rows = asked
    ids = run.table.samples["id"]
    voted = run.predictions.set_index("id").loc[ids[query], "exemplars"]
    assert ids[rows].tolist() == voted.split() and len(rows) == 3


def test_a_sample_without_exemplars_is_named(runs):
    run = runs["core"]
    with pytest.raises(ValueError, match=run.table.samples["id"][0]):
        exemplar_rows(run, 0)
    with pytest.raises(ValueError, match="test sample of a CoRe run"):
        exemplar_rows(runs["mlp"], int(run.table.rows("test")[0]))


def test_the_score_is_the_prediction_that_was_written_down(asked):
    run, query, rows = asked
    features = encode(run.model, run.source, np.array([query, query]), device=run.device)
    written = run.predictions.set_index("id")["predicted"][run.table.samples["id"][query]]
    assert scorer(run, query, rows)(features).tolist() == pytest.approx([written] * 2, rel=1e-5)


@pytest.mark.parametrize("system", ["core", "mlp"])
@pytest.mark.parametrize("explain", [snippet_attribution, heat_map])
def test_contributions_add_up_to_what_the_query_has_more_than_its_exemplars(
    asked, runs, system, explain
):
    _, query, rows = asked
    run = runs[system]
    found = explain(run, query, rows, steps=40)
    features = encode(run.model, run.source, np.append(rows, query), device=run.device)
    scores = scorer(run, query, rows)(features).detach().numpy()
    assert found.score == pytest.approx(scores[-1], rel=1e-5)
    assert found.reference == pytest.approx(scores[:-1].mean(), rel=1e-5)
    size = np.abs(found.parts).sum()
    assert size > 0 and abs(found.unexplained) < 0.03 * size
    assert found.unexplained == pytest.approx(found.score - found.reference - found.parts.sum())


def test_the_parts_have_a_place_for_every_snippet_and_cell(asked):
    run, query, rows = asked
    assert snippet_attribution(run, query, rows, steps=2).parts.shape == (2,)
    assert heat_map(run, query, rows, steps=2).parts.shape == (
        2,
        4,
        4,
        4,
    )  # 8 frames of 32 pixels behind mixed_3c
    assert heat_map(run, query, rows, layer="maxPool3d_2a_3x3", steps=2).parts.shape == (2, 4, 8, 8)
    with pytest.raises(ValueError, match="no layer 'mixed_9z'; it has conv3d_1a_7x7,.* mixed_5c"):
        heat_map(run, query, rows, layer="mixed_9z")


class Window(nn.Module):
    """Lets one part of a map through: frame 5, the lower left quarter."""

    def forward(self, x):
        mask = torch.zeros_like(x)
        mask[:, :, 5, 16:, :16] = 1
        return x * mask


class OneLook(nn.Module):
    """In I3D's place: two layers, of which the second sees frame 5's lower left quarter alone."""

    def __init__(self):
        super().__init__()
        self.out_features = 3
        self.mixed_3c, self.rest = nn.Identity(), Window()

    def forward(self, clip):
        return self.rest(self.mixed_3c(clip)).mean(dim=(2, 3, 4))


def test_a_model_that_looks_at_one_place_gets_that_place(asked):
    run, query, rows = asked
    run = replace(run, model=copy.deepcopy(run.model))
    run.model.encoder = SnippetEncoder(OneLook())
    run.model.predict = lambda query, exemplar, targets: (
        targets.double() + query.double().sum(dim=1)
    )
    found = heat_map(run, query, rows, layer=LAYER, steps=2)
    assert found.parts.shape == (2, 8, 32, 32)
    outside = found.parts.copy()
    outside[:, 5, 16:, :16] = 0
    assert np.abs(outside).max() == 0 and np.abs(found.parts).sum() > 0
    assert found.unexplained == pytest.approx(0, abs=1e-4)  # a linear model needs no steps
    inputs = [
        run.source.to_inputs(run.source[int(row)][None])[0].numpy() for row in (query, *rows)
    ]  # [S, 3, L, H, W]
    expected = (inputs[0] - np.mean(inputs[1:], axis=0)).sum(axis=1)[:, 5, 16:, :16]
    difficulty = run.table.samples["difficulty"][query]
    np.testing.assert_allclose(
        found.parts[:, 5, 16:, :16], expected * difficulty / (2 * 8 * 32 * 32), atol=1e-5
    )
    snippets = snippet_attribution(run, query, rows, steps=2)
    np.testing.assert_allclose(snippets.parts, found.parts.sum(axis=(1, 2, 3)), atol=1e-4)


def test_contributions_are_shared_out_among_the_frames_by_hand():
    recipe = named("smoke", frames=6, snippet_length=4, snippet_starts=(0, 2))
    assert over_frames([4.0, 8.0], recipe).tolist() == [1, 1, 3, 3, 2, 2]
    maps = np.arange(2 * 2 * 3 * 5).reshape(2, 2, 3, 5)
    spread = over_frames(maps, recipe)
    assert spread.shape == (6, 3, 5) and spread.sum() == maps.sum()
    np.testing.assert_array_equal(spread[2], maps[0, 1] / 2 + maps[1, 0] / 2)
    uneven = over_frames(np.ones((2, 3)), recipe)  # three steps for four frames: 0, 0, 1, 2
    assert uneven.tolist() == [0.5, 0.5, 1.5, 1.5, 1, 1]


def test_hits_by_hand():
    spans = np.zeros((3, 4), bool)
    spans[0, :2], spans[1, 1:3], spans[2, 3] = True, True, True
    curves = np.array([[9, 0, 0, 0], [0, 9, 0, 0], [0, 0, 9, 0]])  # inside; inside; outside
    found = hit_rate(curves, spans)
    assert found["hit"] == pytest.approx(2 / 3) and found["n"] == 3
    assert found["share"] == pytest.approx(5 / 12)
    assert found["others"] == pytest.approx(
        2 / 6
    )  # the second's top lies in the first's span, the third's in the second's
    assert hit_rate([[1, 1, 0, 1]], [[True, False, True, False]])["hit"] == pytest.approx(1 / 3)
    assert np.isnan(hit_rate([[1, 0]], [[True, False]])["others"])
    with pytest.raises(ValueError, match=r"\[1, 2\] and \[1, 3\]"):
        hit_rate([[1, 0]], [[True, False, True]])


def test_a_map_that_is_the_same_for_every_video_does_not_beat_those_of_others():
    rng = np.random.default_rng(0)
    spans = rng.random((50, 12)) < 0.3
    spans[:, 8] |= rng.random(50) < 0.9  # most things are seen at moment 8
    same = np.tile(np.arange(12) == 8, (50, 1))
    found = hit_rate(same, spans)
    assert found["hit"] > found["share"] + 0.3 and found["hit"] == pytest.approx(found["others"])


def test_seen_frames_are_the_crop_that_evaluation_takes(asked):
    run, query, _ = asked
    frames, numbers = seen_frames(run, query)
    assert frames.shape == (20, 32, 32, 3) and frames.dtype == np.uint8
    film = read_video(run.table.root / run.table.samples["media"][query])
    np.testing.assert_array_equal(
        frames, film[numbers]
    )  # the small dives are no larger than the crop


def test_a_film_is_scored_as_the_sample_it_is(asked):
    run, query, rows = asked
    film = read_video(run.table.root / run.table.samples["media"][query])
    written = run.predictions.set_index("id")["predicted"][run.table.samples["id"][query]]
    assert score_film(run, film, query, rows) == pytest.approx(written, rel=1e-5)
    assert score_film(run, 255 - film, query, rows) != pytest.approx(written, rel=1e-5)


def test_features_without_a_video_cannot_be_explained(asked):
    run, query, rows = asked
    run = replace(run, recipe=run.recipe.replace(encoder="projection"))
    with pytest.raises(RecipeError, match="no I3D of its own"):
        heat_map(run, query, rows)
