"""Score groups and tree: exact inverses, the released code's labels by a loop, decoding and losses
by hand."""

import math
import warnings

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional as F

from corelib.pairs import pair_differences
from corelib.tree import (
    Label,
    RegressionTree,
    ScoreGroups,
    child_features,
    leaf_count,
    quantile_edges,
    tree_loss,
)
from data_scripts.readers.pickles import load_pickle

thorough = settings(max_examples=60)
half_points = st.integers(0, 60).map(lambda number: number / 2)
# Edges of 1, 2, 4 or 8 positive intervals, many of them equal; the last one is above 0.
edge_lists = st.sampled_from([1, 2, 4, 8]).flatmap(
    lambda n: (
        st.lists(half_points, min_size=n, max_size=n)
        .map(sorted)
        .filter(lambda edges: edges[-1] > 0)
        .map(lambda edges: [0.0, *edges])
    )
)


def tensor(*values):
    return torch.tensor(values, dtype=torch.float64)


def paper_groups(edges):
    return ScoreGroups(edges, tolerance=0, mirrored=False, closed=False, clamp=False)


# Edges


@pytest.mark.parametrize(("depth", "leaves"), [(2, 2), (5, 16), (7, 64)])
def test_a_tree_of_depth_five_has_sixteen_leaves(depth, leaves):
    assert leaf_count(depth) == leaves


def test_quantile_edges_by_hand():
    # n = 9 and R = 4: the sorted differences number 2, 4, 6.
    differences = [9, 1, 3, 5, 7, 2, 4, 6, 8]
    assert quantile_edges(differences, 4).tolist() == [0, 3, 5, 7, 9]
    assert quantile_edges(differences, 4, outer=30).tolist() == [0, 3, 5, 7, 30]


@thorough
@given(
    differences=st.lists(half_points, min_size=1, max_size=40).filter(any),
    depth=st.integers(2, 6),
    outer=st.sampled_from([None, 100.0]),
)
def test_quantile_edges_equal_the_definition(differences, depth, outer):
    d, n, R = sorted(differences), len(differences), 2 ** (depth - 2)
    expected = (
        [0.0]
        + [d[math.floor((n - 1) * r / R)] for r in range(1, R)]
        + [d[-1] if outer is None else outer]
    )
    assert quantile_edges(np.array(differences), depth, outer=outer).tolist() == expected


def test_edges_that_cannot_be_built():
    with pytest.raises(ValueError, match="no two"):
        quantile_edges(np.empty(0), 5)
    with pytest.raises(ValueError, match="no difference to learn"):
        quantile_edges(np.zeros(4), 5)
    with pytest.raises(ValueError, match="rise from 0"):
        ScoreGroups([0, 3, 2])
    with pytest.raises(ValueError, match="depth 2"):
        leaf_count(1)


def test_edges_of_mtl_aqa_with_difficulty(aqa_data):
    folder = aqa_data / "mtl_aqa"
    annotations = load_pickle(folder / "final_annotations_dict_with_dive_number.pkl")
    train = [annotations[key] for key in load_pickle(folder / "train_split_0.pkl")]
    difficulty = np.array([round(float(dive["difficulty"]), 4) for dive in train])
    execution = np.array([float(dive["final_score"]) for dive in train]) / difficulty
    edges = quantile_edges(pair_differences(execution, difficulty), 5, outer=30)
    np.testing.assert_allclose(edges, [0, 0.912, 1.5, 2.5, 3.0, 4.5, 6, 8.5, 30], atol=5e-4)


# Labels


@thorough
@given(
    edges=edge_lists,
    inside=st.lists(st.floats(-1, 1), min_size=1, max_size=20),
    flipped=st.booleans(),
    tolerance=st.sampled_from([0.0, 1e-4]),
    mirrored=st.booleans(),
)
def test_label_and_decode_are_inverses(edges, inside, flipped, tolerance, mirrored):
    outer = edges[-1]
    both = [sign * edge for edge in edges for sign in (1, -1)] + [
        edge + step for edge in edges[:-1] for step in (-5e-5, 5e-5)
    ]
    delta = tensor(*both, *[outer * share for share in inside]).clamp(-outer, outer)
    groups = ScoreGroups(edges, tolerance=tolerance, mirrored=mirrored)
    label = groups.label(delta, torch.full((len(delta),), flipped))
    torch.testing.assert_close(groups.decode(label.leaf, label.position), delta, rtol=0, atol=1e-9)
    assert label.inside.all()
    assert (groups.right > groups.left)[label.leaf].all()  # never an interval without width
    slack = (tolerance + 1e-9) / groups.scale[label.leaf]
    assert ((label.position >= -slack) & (label.position <= 1 + slack)).all()


# Edges of any tree of depth 2 to 8, any doubles of any distance from each other.
any_edges = st.integers(2, 8).flatmap(
    lambda depth: (
        st.lists(st.floats(0, 1e4), min_size=2 ** (depth - 2), max_size=2 ** (depth - 2))
        .map(sorted)
        .filter(lambda edges: edges[-1] > 1e-3)
        .map(lambda edges: [0.0, *edges])
    )
)


@thorough
@given(
    edges=any_edges,
    shares=st.lists(st.floats(-1.5, 1.5), max_size=20),
    tolerance=st.sampled_from([0.0, 1e-4]),
    mirrored=st.booleans(),
    seed=st.integers(0, 99),
)
def test_any_difference_comes_back_from_any_intervals(edges, shares, tolerance, mirrored, seed):
    outer = edges[-1]
    ends = np.array(edges)
    near = np.concatenate(
        [
            ends,
            np.nextafter(ends, np.inf),
            np.nextafter(ends, -np.inf),
            ends + tolerance,
            ends - tolerance,
        ]
    )
    delta = tensor(*near, *-near, *[outer * share for share in shares], 0.0, -0.0)
    flipped = torch.from_numpy(np.random.default_rng(seed).random(len(delta)) < 0.5)
    groups = ScoreGroups(edges, tolerance=tolerance, mirrored=mirrored)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # those beyond the outer edge are moved to it
        label = groups.label(delta, flipped)
    held = delta.clamp(-outer, outer)
    torch.testing.assert_close(
        groups.decode(label.leaf, label.position), held, rtol=1e-12, atol=1e-12 * max(outer, 1)
    )
    # a tree that is sure of the leaf: both ways of decoding give the difference back, the
    # expectation to the tolerance and to what lies in intervals as narrow as rounding
    narrow = 1e-9 * outer * len(edges)
    certain = F.one_hot(label.leaf, groups.leaves).double().log()
    positions = label.position[:, None].expand(-1, groups.leaves)
    torch.testing.assert_close(
        groups.decode_most_probable(certain, positions),
        held,
        rtol=1e-12,
        atol=1e-12 * max(outer, 1),
    )
    torch.testing.assert_close(
        groups.decode_expected(certain, positions),
        held,
        rtol=1e-12,
        atol=tolerance + narrow + 1e-12 * max(outer, 1),
    )
    assert (groups.right > groups.left)[label.leaf].all() and label.inside.all()
    assert label.position.abs().max() <= 1 + (tolerance + narrow) / (1e-9 * outer)


@thorough
@given(
    edges=edge_lists,
    deltas=st.lists(st.one_of(half_points, st.floats(0, 40)), min_size=1, max_size=20),
    signs=st.lists(st.booleans(), min_size=20, max_size=20),
)
def test_labels_of_the_released_code(edges, deltas, signs):
    deltas = [-delta if sign else delta for delta, sign in zip(deltas, signs, strict=False)]
    intervals = [(-b, -a) for a, b in zip(edges[:-1], edges[1:], strict=True)][::-1] + list(
        zip(edges[:-1], edges[1:], strict=True)
    )
    expected = []
    for delta in deltas:
        leaf = next(
            (
                i
                for i, (a, b) in enumerate(intervals)
                if (a <= delta < b if delta >= 0 else a < delta <= b)
            ),
            None,
        )
        a, b = intervals[leaf or 0]
        expected.append((leaf or 0, (delta - a) / ((b - a) or 1), leaf is not None))
    label = paper_groups(edges).label(tensor(*deltas))
    assert label.leaf.tolist() == [leaf for leaf, _, _ in expected]
    assert label.inside.tolist() == [fits for _, _, fits in expected]
    np.testing.assert_allclose(
        label.position, [position for _, position, _ in expected], rtol=1e-12, atol=1e-12
    )


@thorough
@given(
    edges=edge_lists,
    deltas=st.lists(half_points.filter(lambda d: d <= 15), min_size=1, max_size=20),
)
def test_both_orders_of_a_pair_mirror_each_other(edges, deltas):
    groups = ScoreGroups([*edges[:-1], edges[-1] + 30])
    delta = tensor(*deltas)
    first = groups.label(delta, torch.zeros(len(delta), dtype=torch.bool))
    second = groups.label(-delta, torch.ones(len(delta), dtype=torch.bool))
    assert (first.leaf + second.leaf == groups.leaves - 1).all()
    torch.testing.assert_close(first.position + second.position, torch.ones_like(delta))


def test_labels_by_hand():
    groups = ScoreGroups([0, 1, 3])  # intervals (-3, -1) (-1, 0) (0, 1) (1, 3)
    assert groups.left.tolist() == [-3, -1, 0, 1] and groups.right.tolist() == [-1, 0, 1, 3]
    label = groups.label(tensor(0, 0.25, 0.99995, 1, 2.5, 3, -0.25, -1, -2))
    assert label.leaf.tolist() == [
        2,
        2,
        3,
        3,
        3,
        3,
        1,
        0,
        0,
    ]  # a tie belongs to the interval farther from zero
    np.testing.assert_allclose(
        label.position, [0, 0.25, -0.000025, 0, 0.75, 1, 0.75, 1, 0.5], atol=1e-12
    )


def test_beyond_the_outer_edge():
    with pytest.warns(UserWarning, match=r"2 difference\(s\) beyond the outer edge 3"):
        label = ScoreGroups([0, 1, 3]).label(tensor(4, -5, 2))
    assert label.leaf.tolist() == [3, 0, 3] and label.position.tolist() == [1, 0, 0.5]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        ScoreGroups([0, 1, 3]).label(tensor(3, -3))


# Decoding


def test_decoding_by_hand():
    groups = ScoreGroups([0, 2, 10])  # (-10, -2) (-2, 0) (0, 2) (2, 10)
    probability = tensor(0.1, 0.2, 0.3, 0.4)[None]
    positions = tensor(0.5, 0.5, 0.5, 0.25)[None]
    assert groups.decode_most_probable(probability.log(), positions).item() == pytest.approx(4)
    # .1 * -6 + .2 * -1 + .3 * 1 + .4 * 4 = 1.1
    assert groups.decode_expected(probability.log(), positions).item() == pytest.approx(1.1)
    # A position of 2 is held at 1 in the expectation: .1 * -6 + .2 * -1 + .3 * 1 + .4 * 10 = 3.5
    assert groups.decode_expected(
        probability.log(), tensor(0.5, 0.5, 0.5, 2)[None]
    ).item() == pytest.approx(3.5)


def test_empty_intervals_are_closed():
    groups = ScoreGroups([0, 2, 2, 5])  # the second and the second to last have no width
    closed = groups.close_empty(tensor(0.1, 0.3, 0.1, 0.2, 0.1, 0.2)[None].log()).exp()[0]
    np.testing.assert_allclose(closed, np.array([0.1, 0, 0.1, 0.2, 0, 0.2]) / 0.6)
    left_open = tensor(0.1, 0.3, 0.1, 0.2, 0.1, 0.2)[None].log()
    assert torch.equal(ScoreGroups([0, 2, 2, 5], closed=False).close_empty(left_open), left_open)
    value = groups.decode_expected(
        groups.close_empty(left_open), torch.full((1, 6), 0.5, dtype=torch.float64)
    )
    assert value.item() == pytest.approx((0.1 * -3.5 + 0.1 * -1 + 0.2 * 1 + 0.2 * 3.5) / 0.6)


def test_an_interval_as_wide_as_a_rounding_error_is_empty():
    # a tie of divided scores, which differ in their last digits, on which two edges came to stand
    groups = ScoreGroups([0, 1.5, np.nextafter(1.5, 2), 3])
    equal = torch.full((1, 6), 1 / 6, dtype=torch.float64).log()
    np.testing.assert_allclose(groups.close_empty(equal).exp()[0], [0.25, 0, 0.25, 0.25, 0, 0.25])
    # seen with the tolerance, these two lie in that interval, and their position there would be
    # -4.5e11
    label = groups.label(tensor(1.5 - 1e-4, 1e-4 - 1.5))
    assert label.leaf.tolist() == [3, 2] and ((label.position > 0) & (label.position < 1)).all()
    assert torch.equal(
        ScoreGroups([0, 1.5, np.nextafter(1.5, 2), 3], closed=False).close_empty(equal), equal
    )


def test_intervals_come_back_whole_from_saved_weights():
    saved, loaded = ScoreGroups([0, 0, 1, 3]), ScoreGroups([0, 1, 2, 3])
    loaded.load_state_dict(saved.state_dict())
    delta = tensor(-3, -2, -0.5, 0, 0.5, 2, 3)
    for one, other in zip(loaded.label(delta), saved.label(delta), strict=True):
        assert torch.equal(one, other)
    equal = torch.full((1, 6), 1 / 6, dtype=torch.float64).log()
    assert torch.equal(loaded.close_empty(equal), saved.close_empty(equal)) and torch.equal(
        loaded.scale, saved.scale
    )


# The tree


@pytest.mark.parametrize("depth", [2, 3, 5, 6])
def test_probabilities_of_every_level_sum_to_one_and_those_of_children_to_their_parent(depth):
    torch.manual_seed(depth)
    levels, positions = (
        RegressionTree(9, depth=depth, width=8)
        .double()
        .levels(torch.randn(5, 9, dtype=torch.float64) * 3)
    )
    assert [level.shape[1] for level in levels] == [2 ** (n + 1) for n in range(depth - 1)]
    assert positions.shape == (5, 2 ** (depth - 1))
    for level in levels:
        torch.testing.assert_close(level.exp().sum(1), torch.ones(5, dtype=torch.float64))
    for parent, children in zip(levels[:-1], levels[1:], strict=True):
        torch.testing.assert_close(children.exp().view(5, -1, 2).sum(2), parent.exp())


def loop_tree(tree, x):
    """The tree node by node, recursively, from its weights as plain matrices: (log-probabilities,
    positions)."""
    width = tree.width

    def visit(level, node, hidden, path):
        if level == tree.depth - 1:
            return [(path, hidden @ tree.position.weight[node, 0] + tree.position.bias[node, 0])]
        split, grow = tree.splits[level], tree.children_features[level]
        two = hidden @ split.weight[node].T + split.bias[node]
        two = two - torch.logsumexp(two, 1, keepdim=True)
        grown = (hidden @ grow.weight[node].T + grow.bias[node]).clamp(min=0)
        return [
            leaf
            for child in (0, 1)
            for leaf in visit(
                level + 1,
                2 * node + child,
                grown[:, child * width : (child + 1) * width],
                path + two[:, child],
            )
        ]

    leaves = visit(
        0,
        0,
        (x @ tree.first.weight.T + tree.first.bias).clamp(min=0),
        torch.zeros(len(x), dtype=x.dtype),
    )
    return (torch.stack(part, 1) for part in zip(*leaves, strict=True))


@pytest.mark.parametrize("depth", [2, 4, 5])
def test_every_node_has_a_layer_of_its_own(depth):
    torch.manual_seed(depth)
    tree, x = (
        RegressionTree(7, depth=depth, width=6).double(),
        torch.randn(4, 7, dtype=torch.float64),
    )
    for found, expected in zip(tree(x), loop_tree(tree, x), strict=True):
        torch.testing.assert_close(found, expected)


def test_the_start_keeps_signals_of_their_size_down_to_the_leaves():
    torch.manual_seed(0)
    x = torch.randn(500, 64)
    size = {}
    for start in ("he", "torch"):
        tree = RegressionTree(64, depth=5, width=64, start=start)
        with torch.no_grad():
            hidden = torch.relu(tree.first(x))[None]
            for grow in tree.children_features:
                hidden = child_features(torch.relu(grow(hidden)))
        size[start] = hidden.square().mean().sqrt().item()
    assert 0.7 < size["he"] < 1.5  # x has size 1
    assert size["torch"] < 0.1


# The losses


def loop_leaf_sums(log_probs, positions, label, second):
    total = 0.0
    for order in (False, True):
        rows = [p for p in range(len(second)) if bool(second[p]) is order]
        total = total - sum(log_probs[p, label.leaf[p]] for p in rows) / len(rows)
        for leaf in range(log_probs.shape[1]):
            own = [p for p in rows if int(label.leaf[p]) == leaf and bool(label.inside[p])]
            if own:
                total = total + sum(
                    (positions[p, leaf] - label.position[p]) ** 2 for p in own
                ) / len(own)
    return total


@pytest.mark.parametrize("seed", range(5))
def test_leaf_sums_equal_a_loop_with_gradients(seed):
    torch.manual_seed(seed)
    n, K = 12, 8
    delta = torch.randn(n, dtype=torch.float64) * 5
    label = paper_groups([0, 1, 2.5, 4, 6]).label(torch.cat([delta, -delta]))
    assert (
        not label.inside.all() and label.inside.any()
    )  # some fit no leaf: they count for leaf 0, without a position
    second = torch.arange(2 * n) >= n
    scores = torch.randn(2 * n, K, dtype=torch.float64, requires_grad=True)
    positions = torch.randn(2 * n, K, dtype=torch.float64, requires_grad=True)
    found = tree_loss(F.log_softmax(scores, 1), positions, label, second, kind="leaf_sums")
    expected = loop_leaf_sums(F.log_softmax(scores, 1), positions, label, second)
    torch.testing.assert_close(found, expected)
    for a, b in zip(
        torch.autograd.grad(found, (scores, positions)),
        torch.autograd.grad(expected, (scores, positions)),
        strict=True,
    ):
        torch.testing.assert_close(a, b)


def test_mean_loss_by_hand():
    log_probs = tensor(0.5, 0.5, 0.2, 0.8).log().view(2, 2)
    positions = tensor(0.1, 9, 9, 0.9).view(2, 2)
    label = Label(torch.tensor([0, 1]), tensor(0.3, 0.5), torch.tensor([True, True]))
    # -(ln .5 + ln .8) / 2 = .458145, (.2^2 + .4^2) / 2 = .1
    loss = tree_loss(log_probs, positions, label, torch.tensor([False, True]), kind="mean")
    assert loss.item() == pytest.approx(0.558145, abs=1e-6)
