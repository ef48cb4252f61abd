"""Kernel ridge regression: what it solves, that it is a vote, that order counts, and its runs."""

import numpy as np
import pytest
import torch

from corelib.data.banks import write_bank
from corelib.data.samples import SampleTable, write_table
from corelib.kernel import KernelCoordinates, KernelRidge, OrderedStretches
from corelib.recipe import RecipeError, named
from corelib.runs.fit import fit
from corelib.runs.run import Run


def solved(n=40, stretches=2, alpha=0.01):
    """A kernel that has learnt from random steps [n, 6, 8], and these."""
    generator = torch.Generator().manual_seed(0)
    steps = torch.randn(n, 6, 8, generator=generator)
    targets = steps[:, :3].mean(dim=(1, 2)) - steps[:, 3:].mean(dim=(1, 2))  # order decides
    model = KernelRidge(OrderedStretches(8, stretches), gamma=0.25, alpha=alpha)
    model.encoder.learn(steps)
    model.solve(model.encode(steps), targets.double())
    return model, steps, targets.double()


def test_it_is_the_solution_of_the_ridge_in_the_kernels_space():
    model, steps, targets = solved()
    rows = model.encode(steps).double()
    squared = ((rows[:, None] - rows[None]) ** 2).sum(-1)
    apart = squared[~torch.eye(len(rows), dtype=bool)].mean()
    kernel = torch.exp(-0.25 * squared / apart)
    by_hand = torch.linalg.inv(kernel + 0.01 * torch.eye(len(rows))) @ (targets - targets.mean())
    expected = targets.mean() + kernel @ by_hand
    torch.testing.assert_close(model.predict(model.encode(steps)), expected, rtol=0, atol=1e-6)
    assert expected.std() < targets.std()  # a ridge is cautious


def test_it_is_a_vote_whose_weights_add_up_to_one_and_some_are_negative():
    model, steps, targets = solved()
    query = model.encode(torch.randn(5, 6, 8, generator=torch.Generator().manual_seed(1)))
    weights = model.weights(query)
    torch.testing.assert_close(weights.sum(dim=1), torch.ones(5, dtype=torch.float64))
    torch.testing.assert_close(weights @ targets, model.predict(query))
    assert (weights < 0).any()


def test_a_heavy_ridge_says_the_mean_and_none_says_what_it_was_told():
    heavy, steps, targets = solved(alpha=1e9)
    mean = targets.mean().expand(40)
    torch.testing.assert_close(heavy.predict(heavy.encode(steps)), mean, rtol=0, atol=1e-6)
    light, steps, targets = solved(alpha=1e-12)
    torch.testing.assert_close(light.predict(light.encode(steps)), targets, rtol=0, atol=1e-4)


def test_stretches_keep_the_order_and_one_stretch_does_not():
    for stretches, same in ((2, False), (1, True)):
        model, steps, _ = solved(stretches=stretches)
        turned = model.encode(steps.flip(1))
        assert torch.allclose(model.encode(steps), turned, atol=1e-5) == same


def test_directions_are_halfway_to_equal_variance_before_steps_get_length_one():
    encoder = OrderedStretches(4, 1)
    steps = torch.randn(500, 4, 4) * torch.tensor([8.0, 4.0, 2.0, 0.0]) + 3
    encoder.learn(steps)
    turned = ((steps - encoder.mean) @ encoder.axes).flatten(0, 1)
    deviation, before = turned.std(dim=0).sort()[0], torch.tensor([0.0, 2.0, 4.0, 8.0])
    torch.testing.assert_close(deviation, before.sqrt(), rtol=0.1, atol=1e-3)
    torch.testing.assert_close(encoder(steps).norm(dim=1), torch.ones(500))


@pytest.fixture(scope="module")
def features(small_dives, tmp_path_factory):
    """The small dives with features of 6 steps, whose first number tells the score a little."""
    folder, samples = tmp_path_factory.mktemp("features"), small_dives.samples
    bank = np.random.default_rng(0).normal(size=(len(samples), 6, 8)).astype(np.float32)
    bank[:, :, 0] += samples["score"].to_numpy()[:, None] / 10
    write_bank(folder / "features.safetensors", bank, samples["id"].tolist())
    write_table(folder, small_dives.info | {"name": "bank"}, samples.assign(media=samples["id"]))
    return SampleTable.load(folder)


@pytest.mark.parametrize("with_difficulty", [False, True])
def test_a_run_holds_its_rows_and_says_the_same_when_it_is_loaded(
    features, with_difficulty, tmp_path
):
    recipe = named("features", system="kernel", stretches=2, with_difficulty=with_difficulty)
    run = fit(features, recipe, tmp_path / "run", device="cpu", progress=False)
    assert not any((tmp_path / "run" / name).exists() for name in ("history.csv", "last.pt"))
    loaded = Run.load(tmp_path / "run", device="cpu")
    again = loaded.evaluate().predictions
    np.testing.assert_allclose(again["predicted"], run.predictions["predicted"], rtol=1e-12)
    assert len(loaded.model.likeness.rows) == len(
        features.rows("train")
    )  # refitted on the held-back ones
    held = features.samples["id"].iloc[run.task.held]
    assert list(run.validation["id"]) == list(held) and run.metrics[0]["spearman"] > 0.5
    choice, train = Run.load(tmp_path / "run" / "choice", device="cpu"), features.rows("train")
    learnt = [len(one.model.likeness.rows) for one in (loaded, choice)]  # refitted on all of them
    assert learnt == [len(train), len(train) - len(held)]
    assert fit(features, recipe, tmp_path / "run", device="cpu").metrics == run.metrics


def test_coordinates_keep_the_kernels_distances_and_few_samples_have_few():
    model, steps, _ = solved()
    encoder = KernelCoordinates(8, 5, stretches=2, gamma=0.25, coordinates=60)
    encoder.learn(steps)
    found = encoder.coordinates(steps)  # [40, 60], of which 39 can differ
    kernel = model.likeness(model.encode(steps))
    squared = kernel.diag()[:, None] + kernel.diag() - 2 * kernel
    torch.testing.assert_close(torch.cdist(found, found) ** 2, squared, rtol=1e-6, atol=1e-9)
    assert (found[:, 39:] == 0).all() and (found.var(dim=0).diff()[:38] <= 1e-12).all()
    torch.testing.assert_close(found.mean(dim=0), torch.zeros(60, dtype=torch.float64))
    assert encoder(steps).shape == (40, 5) and (encoder(steps) >= 0).all()


@pytest.mark.parametrize("system", ["core", "mlp"])
def test_both_systems_learn_from_likeness_and_are_loaded_with_their_rows(
    features, system, tmp_path
):
    recipe = named("likeness", system=system, stretches=2, epochs=6)
    run = fit(features, recipe, tmp_path / "run", device="cpu", progress=False)
    again = Run.load(tmp_path / "run", device="cpu").evaluate().predictions
    np.testing.assert_allclose(again["predicted"], run.predictions["predicted"], rtol=1e-6)
    assert len(run.model.encoder.likeness.rows) == len(features.rows("train"))


def test_on_videos_it_says_which_recipe_it_needs():
    with pytest.raises(RecipeError, match="take recipe features or frozen"):
        named("laptop", system="kernel")
