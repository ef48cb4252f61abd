"""The two systems; the recipe `paper` against a reference of the released program's arithmetic,
written here."""

import copy

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from corelib.evaluation import lean_encoder
from corelib.features import StepProjection
from corelib.models import Dropout, build_model, freeze_batchnorm, seed_dropout
from corelib.recipe import Recipe, named

TARGETS = np.array([50.0, 62.5, 70.0, 71.5, 80.0, 80.0, 93.5, 20.0])
GROUPS = np.zeros(8)
PAPER = named("paper", width=1 / 16, tree_width=8, crop=32)


def smoke(**changes):
    return build_model(named("smoke", **changes), TARGETS, GROUPS)


def randomised(model, seed=0):
    """The model with statistics of batch normalisation that are not the identity, in evaluation
    mode."""
    generator = torch.Generator().manual_seed(seed)
    for module in model.modules():
        if isinstance(module, torch.nn.BatchNorm3d):
            module.running_mean.copy_(torch.randn(module.num_features, generator=generator) * 0.1)
            module.running_var.copy_(
                torch.rand(module.num_features, generator=generator) * 0.5 + 0.05
            )
    return model.eval()


# A reference of the released program, from its description: plain functions over the weights by
# name.


def reference_features(w, snippets):
    """[B, S, 3, 16, H, W] -> [B, D]: Inception-v1 with constant SAME padding and epsilon 1e-5,
    snippets averaged.

    The padding ignores the input's size: kernel - stride in all, the smaller half in front.
    """

    def padded(x, kernel, stride):
        amounts = []
        for k, s in reversed(list(zip(kernel, stride, strict=True))):
            total = max(k - s, 0)
            amounts += [total // 2, total - total // 2]
        return F.pad(x, amounts)

    def unit(x, name, kernel=1, stride=1):
        x = F.conv3d(
            padded(x, (kernel,) * 3, (stride,) * 3), w[f"{name}.conv3d.weight"], stride=stride
        )
        mean, variance, scale, bias = (
            w[f"{name}.batch3d.{part}"].view(1, -1, 1, 1, 1)
            for part in ("running_mean", "running_var", "weight", "bias")
        )
        return ((x - mean) / torch.sqrt(variance + 1e-5) * scale + bias).clamp(min=0)

    def pool(x, kernel, stride):
        return F.max_pool3d(padded(x, kernel, stride), kernel, stride)

    def mixed(x, name):
        return torch.cat(
            [
                unit(x, f"{name}.branch_0"),
                unit(unit(x, f"{name}.branch_1.0"), f"{name}.branch_1.1", 3),
                unit(unit(x, f"{name}.branch_2.0"), f"{name}.branch_2.1", 3),
                unit(pool(x, (3, 3, 3), (1, 1, 1)), f"{name}.branch_3.1"),
            ],
            1,
        )

    def one(x):
        x = pool(unit(x, "conv3d_1a_7x7", 7, 2), (1, 3, 3), (1, 2, 2))
        x = pool(unit(unit(x, "conv3d_2b_1x1"), "conv3d_2c_3x3", 3), (1, 3, 3), (1, 2, 2))
        x = pool(mixed(mixed(x, "mixed_3b"), "mixed_3c"), (3, 3, 3), (2, 2, 2))
        for letter in "bcdef":
            x = mixed(x, f"mixed_4{letter}")
        x = mixed(mixed(pool(x, (2, 2, 2), (2, 2, 2)), "mixed_5b"), "mixed_5c")
        return F.avg_pool3d(x, x.shape[2:]).flatten(1)

    return torch.stack([one(snippets[:, s]) for s in range(snippets.shape[1])]).mean(0)


def reference_tree(w, depth, width, x):
    """[P, 2D + 1] -> leaf log-probabilities and positions [P, K], node by node."""
    nodes, path = (
        [(x @ w["first.weight"].T + w["first.bias"]).clamp(min=0)],
        [torch.zeros(len(x), dtype=x.dtype)],
    )
    for level in range(depth - 1):
        next_nodes, next_path = [], []
        for node, (hidden, log_prob) in enumerate(zip(nodes, path, strict=True)):
            two = F.log_softmax(
                hidden @ w[f"splits.{level}.weight"][node].T + w[f"splits.{level}.bias"][node], 1
            )
            for child in (0, 1):
                own = slice(child * width, (child + 1) * width)
                weight, bias = (
                    w[f"children_features.{level}.{part}"][node, own] for part in ("weight", "bias")
                )
                next_nodes.append((hidden @ weight.T + bias).clamp(min=0))
                next_path.append(log_prob + two[:, child])
        nodes, path = next_nodes, next_path
    positions = [
        hidden @ w["position.weight"][k, 0] + w["position.bias"][k, 0]
        for k, hidden in enumerate(nodes)
    ]
    return torch.stack(path, 1), torch.stack(positions, 1)


def reference_intervals(targets, depth, theta):
    d = sorted(abs(a - b) for i, a in enumerate(targets) for b in targets[:i])
    R = 2 ** (depth - 2)
    edges = [0.0] + [d[int((len(d) - 1) * r / R)] for r in range(1, R)] + [theta]
    positive = list(zip(edges[:-1], edges[1:], strict=True))
    return [(-b, -a) for a, b in reversed(positive)] + positive


def reference_label(intervals, delta):
    for leaf, (left, right) in enumerate(intervals):
        if (left <= delta < right) if delta >= 0 else (left < delta <= right):
            return leaf, (delta - left) / ((right - left) or 1.0), True
    return 0, 0.0, False


def reference_relate(w, recipe, exemplar, query, exemplar_score, theta):
    tree = {
        name.removeprefix("tree."): value for name, value in w.items() if name.startswith("tree.")
    }
    return reference_tree(
        tree,
        recipe.depth,
        recipe.tree_width,
        torch.cat([exemplar, query, exemplar_score[:, None] / theta], 1),
    )


def reference_loss(w, recipe, intervals, features, scores, theta):
    """Videos 0..n-1 are queries, n..2n-1 their exemplars; both orders are learned."""
    n, total = len(features) // 2, 0.0
    for exemplar, query in ((range(n, 2 * n), range(n)), (range(n), range(n, 2 * n))):
        exemplar, query = list(exemplar), list(query)
        log_probs, positions = reference_relate(
            w, recipe, features[exemplar], features[query], scores[exemplar], theta
        )
        labels = [
            reference_label(intervals, float(scores[q] - scores[e]))
            for e, q in zip(exemplar, query, strict=True)
        ]
        total = total - sum(log_probs[p, leaf] for p, (leaf, _, _) in enumerate(labels)) / n
        for leaf in sorted({leaf for leaf, _, fits in labels if fits}):
            own = [
                (positions[p, leaf] - where) ** 2
                for p, (k, where, fits) in enumerate(labels)
                if k == leaf and fits
            ]
            total = total + sum(own) / len(own)
    return total


@pytest.fixture(scope="module")
def paper():
    model = randomised(build_model(PAPER, TARGETS, GROUPS).double())
    snippets = torch.randn(
        4, 2, 3, 16, 32, 32, generator=torch.Generator().manual_seed(5), dtype=torch.float64
    )
    weights = dict(model.named_parameters()) | dict(model.named_buffers())
    encoder = {name.removeprefix("encoder.i3d."): value for name, value in weights.items()}
    return model, snippets, weights, encoder


def test_features_of_the_paper(paper):
    model, snippets, _, encoder = paper
    with torch.no_grad():
        found, expected = model.encode(snippets), reference_features(encoder, snippets)
    assert found.std() > 1e-6
    torch.testing.assert_close(found, expected, rtol=1e-9, atol=1e-12)


def test_intervals_and_theta_of_the_paper(paper):
    intervals = reference_intervals(TARGETS.tolist(), 5, 100.0)
    assert (
        list(zip(paper[0].groups.left.tolist(), paper[0].groups.right.tolist(), strict=True))
        == intervals
    )
    assert paper[0].theta.item() == 100
    executed = build_model(
        PAPER.replace(theta=named("paper", with_difficulty=True).theta), TARGETS / 3, GROUPS
    )
    assert executed.theta.item() == 30 and executed.groups.edges[-1].item() == 30


def test_loss_and_gradients_of_the_paper(paper):
    model, snippets, weights, encoder = paper
    scores = torch.tensor([70.0, 80.0, 62.5, 80.0])  # one pair without a difference
    pairs = torch.tensor([[2, 0], [3, 1], [0, 2], [1, 3]])  # (exemplar, query), both orders
    found = model.loss(model.encode(snippets), scores, pairs)
    # The library takes the tree's output in single precision, the reference in double.
    expected = reference_loss(
        weights,
        PAPER,
        reference_intervals(TARGETS.tolist(), 5, 100.0),
        reference_features(encoder, snippets),
        scores.double(),
        100.0,
    )
    assert found.item() == pytest.approx(expected.item(), rel=1e-5)
    learned = dict(model.named_parameters())
    gradients = [
        torch.autograd.grad(loss, learned.values(), allow_unused=True) for loss in (found, expected)
    ]
    largest = max(float(g.abs().max()) for g in gradients[1] if g is not None)
    assert largest > 0
    for name, ours, theirs in zip(learned, *gradients, strict=True):
        ours, theirs = (torch.zeros_like(learned[name]) if g is None else g for g in (ours, theirs))
        torch.testing.assert_close(ours, theirs, rtol=1e-3, atol=1e-5 * largest, msg=name)


def test_predictions_of_the_paper(paper):
    model, snippets, weights, encoder = paper
    with torch.no_grad():
        features = reference_features(encoder, snippets)
        known = torch.tensor([70.0, 80.0, 62.5], dtype=torch.float64)
        query, exemplar = features[3:].expand(3, -1), features[:3]
        log_probs, positions = reference_relate(weights, PAPER, exemplar, query, known, 100.0)
        intervals = reference_intervals(TARGETS.tolist(), 5, 100.0)
        expected = []
        for p in range(3):
            left, right = intervals[int(log_probs[p].argmax())]
            expected.append(
                float(known[p])
                + left
                + ((right - left) or 1.0) * float(positions[p, log_probs[p].argmax()])
            )
        found = model.predict(query, exemplar, known)
    np.testing.assert_allclose(found, expected, rtol=1e-6)
    assert float(found.mean()) == pytest.approx(sum(expected) / 3, rel=1e-6)  # the vote


# Both systems


def test_the_pair_input_is_exemplar_query_scaled_score():
    model = smoke(theta=100.0)
    joined = model.pair_input(
        torch.full((1, 64), 2.0), torch.full((1, 64), 1.0), torch.tensor([50.0])
    )
    assert joined.tolist() == [[1.0] * 64 + [2.0] * 64 + [0.5]]


def test_theta_is_the_deviation_of_the_training_targets_by_default():
    assert smoke().theta.item() == pytest.approx(TARGETS.std())


@pytest.mark.parametrize("system", ["core", "mlp"])
def test_initial_weights_depend_on_the_seed_alone(system):
    first = smoke(system=system, seed=3).state_dict()
    torch.manual_seed(99)
    again, other = (
        smoke(system=system, seed=3).state_dict(),
        smoke(system=system, seed=4).state_dict(),
    )
    assert all(torch.equal(first[name], again[name]) for name in first)
    assert any(not torch.equal(first[name], other[name]) for name in first)


def test_building_a_model_leaves_the_global_generator_alone():
    torch.manual_seed(7)
    expected = torch.rand(3)
    torch.manual_seed(7)
    smoke()
    assert torch.equal(torch.rand(3), expected)


def test_the_baseline_regresses_standardised_scores():
    model = smoke(system="mlp").eval()
    features = torch.randn(4, 64)
    with torch.no_grad():
        raw = model.mlp(features)[:, 0]
        np.testing.assert_allclose(
            model.predict(features), raw.numpy() * TARGETS.std() + TARGETS.mean(), rtol=1e-5
        )
        wanted = torch.tensor([60.0, 70.0, 80.0, 90.0])
        expected = ((raw.numpy() - (wanted.numpy() - TARGETS.mean()) / TARGETS.std()) ** 2).mean()
        assert model.loss(features, wanted, None).item() == pytest.approx(expected, rel=1e-5)


def test_a_projection_averages_its_steps():
    torch.manual_seed(0)
    projection = StepProjection(6, 4).eval()
    steps = torch.randn(2, 5, 6)
    with torch.no_grad():
        expected = torch.stack([projection(steps[:, [s]]) for s in range(5)]).mean(0)
        torch.testing.assert_close(projection(steps), expected)


def test_a_projection_joins_the_means_of_its_stretches_in_order():
    torch.manual_seed(0)
    parted, whole = StepProjection(6, 4, stretches=2).eval(), StepProjection(6, 4).eval()
    whole.load_state_dict(parted.state_dict())
    steps = torch.randn(3, 8, 6)
    with torch.no_grad():
        expected = torch.cat([whole(steps[:, :4]), whole(steps[:, 4:])], dim=1)
        assert parted.out_features == 8
        torch.testing.assert_close(parted(steps), expected)


def test_frozen_batchnorm_statistics_do_not_move_and_free_ones_do():
    for frozen in (True, False):
        model = smoke().train()
        if frozen:
            freeze_batchnorm(model)
        before = model.encoder.i3d.conv3d_1a_7x7.batch3d.running_mean.clone()
        model.encode(torch.randn(2, 1, 3, 16, 32, 32)).sum().backward()
        assert torch.equal(before, model.encoder.i3d.conv3d_1a_7x7.batch3d.running_mean) is frozen
        assert model.encoder.i3d.conv3d_1a_7x7.batch3d.weight.grad is not None


def test_both_orders_of_a_pair_give_symmetric_labels_in_training():
    recipe = Recipe(width=1 / 16, tree_width=8)
    assert (
        build_model(recipe, TARGETS, GROUPS).groups.mirrored
        and not build_model(PAPER, TARGETS, GROUPS).groups.mirrored
    )


# Inference


@pytest.mark.parametrize("shape", [(2, 16, 32, 32), (1, 7, 33, 50)])
def test_the_lean_encoder_gives_the_features_of_the_plain_one(shape):
    model = randomised(smoke())
    B, L, H, W = shape
    snippets = torch.randn(B, 2, 3, L, H, W, generator=torch.Generator().manual_seed(3))
    with torch.no_grad():
        plain, lean, half = (
            model.encode(snippets),
            lean_encoder(model, "fp32")(snippets),
            lean_encoder(model, "bf16")(snippets),
        )
        assert plain.std() > 1e-3
        assert (lean - plain).norm() < 1e-5 * plain.norm()
        assert torch.equal(plain, model.encode(snippets))  # the model itself is left as it was
    assert lean.dtype == half.dtype == torch.float32 and not torch.equal(half, lean)
    assert torch.cosine_similarity(half, plain).min() > 0.999


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"head": "direct"},
        {"exemplar_score": False},
        {"decoding": "most_probable"},
        {"system": "mlp"},
    ],
)
def test_comparing_many_pairs_is_predicting_each(changes):
    model = smoke(**changes).eval()
    features, targets = features_of(), torch.tensor(TARGETS)
    query, exemplar = (
        part.flatten() for part in torch.meshgrid(torch.arange(8), torch.arange(8), indexing="ij")
    )
    with torch.no_grad():
        together = model.compare(features, targets, query, exemplar)
        for place, (q, e) in enumerate(zip(query.tolist(), exemplar.tolist(), strict=True)):
            alone = model.predict(features[[q]], features[[e]], targets[[e]])
            assert together[place].item() == pytest.approx(alone.item(), rel=1e-5)
    assert together.dtype == torch.float64


def test_checkpointing_changes_memory_alone():
    results = []
    for checkpointing in (False, True):
        model = smoke(checkpointing=checkpointing).train()
        model.encode(
            torch.randn(2, 2, 3, 16, 32, 32, generator=torch.Generator().manual_seed(1))
        ).square().sum().backward()
        norms = {
            name: buffer
            for name, buffer in model.named_buffers()
            if "running" in name or "batches" in name
        }
        results.append(({name: p.grad for name, p in model.encoder.named_parameters()}, norms))
    for plain, again in zip(*results, strict=True):
        for name in plain:
            torch.testing.assert_close(again[name], plain[name], rtol=1e-5, atol=1e-6, msg=name)


# What the ablations take away


def features_of(n=8, seed=1):
    return torch.randn(n, 64, generator=torch.Generator().manual_seed(seed))


def test_a_direct_difference_predicts_the_exemplars_target_plus_what_it_reads_from_the_pair():
    model = smoke(head="direct").eval()
    query, exemplar, targets = (
        features_of(5, 1),
        features_of(5, 2),
        torch.tensor([50.0, 60, 70, 80, 90]),
    )
    with torch.no_grad():
        said = model.predict(query, exemplar, targets)
        wanted = torch.cat([exemplar, query, (targets / model.theta)[:, None]], dim=1)
        torch.testing.assert_close(
            said, targets.double() + (model.mlp(wanted)[:, 0] * model.deviation).double()
        )


def test_a_direct_difference_learns_differences():
    model = smoke(head="direct")
    features, targets = features_of(), torch.tensor(TARGETS, dtype=torch.float32)
    pairs = torch.tensor([(e, q) for e in range(8) for q in range(8) if e != q])
    optimizer = torch.optim.Adam(model.mlp.parameters(), lr=1e-2)
    before = model.loss(features, targets, pairs).item()
    for _ in range(150):
        optimizer.zero_grad()
        model.loss(features, targets, pairs).backward()
        optimizer.step()
    assert before > 0.5
    assert model.loss(features, targets, pairs).item() < 0.02
    with torch.no_grad():
        said = model.predict(features[[3]], features[[7]], targets[[7]])
    assert abs(said.item() - TARGETS[3]) < 5


@pytest.mark.parametrize("head", ["tree", "direct"])
def test_without_the_exemplars_score_the_difference_does_not_depend_on_it(head):
    query, exemplar = features_of(3, 1), features_of(3, 2)
    differences = {}
    for seen in (True, False):
        model = smoke(head=head, exemplar_score=seen, dropout=0.0).eval()
        with torch.no_grad():
            differences[seen] = [
                model.predict(query, exemplar, torch.full((3,), score)) - score
                for score in (20.0, 90.0)
            ]
    torch.testing.assert_close(*differences[False])
    assert not torch.allclose(*differences[True])


def test_equal_widths_reach_as_far_as_the_quantiles_do():
    quantile, equal = (
        smoke(intervals=kind, depth=4).groups.edges for kind in ("quantile", "equal")
    )
    assert len(quantile) == len(equal) == 5
    torch.testing.assert_close(equal, torch.linspace(0, float(quantile[-1]), 5, dtype=equal.dtype))
    assert not torch.allclose(quantile, equal)


# Dropout


def test_dropout_by_its_definition():
    layer, x = Dropout(0.3), torch.ones(400, 500)
    seed_dropout(layer, 7)
    first, second = layer(x), layer(x)
    assert first.unique().tolist() == pytest.approx([0.0, 1 / 0.7])
    assert (first == 0).float().mean().item() == pytest.approx(0.3, abs=0.01)
    assert first.mean().item() == pytest.approx(1, abs=0.01)
    assert not torch.equal(first, second)
    seed_dropout(layer, 7)
    torch.manual_seed(0)
    assert torch.equal(layer(x), first) and not torch.equal(layer(x), first)
    assert layer.eval()(x) is x and Dropout(0.0)(x) is x


def test_dropout_keeps_the_names_of_weights_and_can_be_copied():
    mlp, tree = "mlp.1.weight", "tree.first.weight"
    for changes, name in (({"system": "mlp"}, mlp), ({"head": "direct"}, mlp), ({}, tree)):
        model = smoke(dropout=0.3, **changes)
        assert name in model.state_dict() and "dropout" not in str(list(model.state_dict()))
        assert copy.deepcopy(model).state_dict().keys() == model.state_dict().keys()
