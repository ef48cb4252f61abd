"""Training pairs and exemplars: who is compared with whom, by hand and by properties over random
groups."""

import itertools
import tracemalloc

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from corelib.pairs import (
    NoPairError,
    PairDifferences,
    draw_exemplars,
    epoch_batches,
    exemplar_blocks,
    members,
    pair_differences,
)
from corelib.tree import quantile_edges

group_lists = st.lists(st.sampled_from("abcd"), min_size=2, max_size=40).map(np.array)
seeds = st.integers(0, 2**32 - 1)
thorough = settings(max_examples=60)


def has_pair(groups):
    return len(set(groups.tolist())) < len(groups)


def row_pairs(batches):
    """All ordered pairs (exemplar row, query row) of an epoch."""
    return [tuple(pair) for batch in batches for pair in batch.rows[batch.pairs].tolist()]


# Groups and differences


def test_members_by_hand():
    groups = np.array([3.0, 2.8, 3.0, 2.8, 3.2])
    found = members(groups)
    assert {label: rows.tolist() for label, rows in found.items()} == {
        3.0: [0, 2],
        2.8: [1, 3],
        3.2: [4],
    }
    assert {
        label: rows.tolist() for label, rows in members(groups, np.array([3, 0, 1])).items()
    } == {3.0: [0], 2.8: [1, 3]}


def test_pair_differences_by_hand():
    # Group a: 10, 13, 20 -> 3, 7, 10; group b: 1, 1.5 -> .5; c is alone.
    targets, groups = [10, 1, 13, 20, 1.5, 99], ["a", "b", "a", "a", "b", "c"]
    assert pair_differences(targets, groups).tolist() == [0.5, 3, 7, 10]


@thorough
@given(rows=st.lists(st.tuples(st.integers(0, 100), st.sampled_from("abc")), max_size=25))
def test_pair_differences_equal_a_double_loop(rows):
    expected = sorted(abs(a[0] - b[0]) for a, b in itertools.combinations(rows, 2) if a[1] == b[1])
    assert (
        pair_differences([r[0] for r in rows], np.array([r[1] for r in rows])).tolist() == expected
    )


@thorough
@given(
    rows=st.lists(
        st.tuples(
            st.one_of(
                st.integers(0, 12).map(lambda n: n / 10),
                st.floats(-1e3, 1e3, width=32),
                st.floats(-1e-3, 1e3),
            ),
            st.sampled_from("ab"),
        ),
        max_size=25,
    )
)
def test_ranked_differences_are_those_of_the_list(rows):
    targets, groups = [r[0] for r in rows], np.array([r[1] for r in rows])
    listed, ranked = pair_differences(targets, groups), PairDifferences(targets, groups)
    assert len(ranked) == len(listed)
    if len(listed):
        assert ranked.at_ranks(range(len(listed))).tolist() == listed.tolist()
        assert ranked.largest() == listed[-1]
        assert ranked.root_mean_square() == pytest.approx(
            np.sqrt(np.mean(listed**2)), rel=1e-6, abs=1e-9
        )


@thorough
@given(
    rows=st.lists(
        st.tuples(
            st.one_of(st.floats(-1e6, 1e6), st.integers(0, 6).map(float)), st.sampled_from("ab")
        ),
        max_size=25,
    ),
    depth=st.integers(2, 8),
    listed=st.booleans(),
)
def test_quantile_edges_are_numpys(rows, depth, listed):
    targets, groups = np.array([r[0] for r in rows]), np.array([r[1] for r in rows])
    differences = [abs(a[0] - b[0]) for a, b in itertools.combinations(rows, 2) if a[1] == b[1]]
    ranked = np.array(differences) if listed else PairDifferences(targets, groups)
    if not any(differences):
        with pytest.raises(NoPairError):
            quantile_edges(ranked, depth)
        return
    R = 2 ** (depth - 2)
    expected = np.quantile(differences, np.arange(R + 1) / R, method="lower")
    expected[0] = 0
    assert quantile_edges(ranked, depth).tolist() == expected.tolist()


def test_quantiles_at_mtl_aqas_size_are_exact():
    rng = np.random.default_rng(0)
    targets, groups = (rng.uniform(0, 60, 1059) / 2).round(1) * 2, rng.integers(0, 30, 1059)
    for depth in (5, 7):
        for labels in (groups, np.zeros(1059)):
            exact = quantile_edges(pair_differences(targets, labels), depth)
            np.testing.assert_allclose(
                quantile_edges(PairDifferences(targets, labels), depth), exact, rtol=0, atol=1e-12
            )


# Training pairs


@thorough
@given(
    groups=group_lists.filter(has_pair),
    batch=st.integers(1, 12),
    pairing=st.sampled_from(["two", "batch"]),
    seed=seeds,
)
def test_pairs_of_an_epoch(groups, batch, pairing, seed):
    rows = np.arange(len(groups))
    batches = epoch_batches(
        rows, groups, batch=batch, pairing=pairing, rng=np.random.default_rng(seed)
    )
    for each in batches:
        chosen = each.rows[each.pairs]
        assert (chosen[:, 0] != chosen[:, 1]).all()  # never itself
        assert (groups[chosen[:, 0]] == groups[chosen[:, 1]]).all()  # within a group
        assert sorted(map(tuple, each.pairs.tolist())) == sorted(
            (q, e) for e, q in each.pairs.tolist()
        )  # both orders
        assert set(each.pairs.ravel().tolist()) == set(
            range(len(each.rows))
        )  # nothing is encoded for nothing
    lonely = {row for row in rows.tolist() if (groups == groups[row]).sum() == 1}
    assert {row for each in batches for row in each.rows.tolist()} == set(rows.tolist()) - lonely


@thorough
@given(groups=group_lists.filter(has_pair), batch=st.integers(1, 12), seed=seeds)
def test_two_makes_every_row_the_query_once_in_the_first_order(groups, batch, seed):
    rows = np.arange(len(groups))
    batches = epoch_batches(
        rows, groups, batch=batch, pairing="two", rng=np.random.default_rng(seed)
    )
    queries = [row for each in batches for row in each.rows[: len(each.rows) // 2].tolist()]
    assert sorted(queries) == [row for row in rows.tolist() if (groups == groups[row]).sum() > 1]
    for each in batches:
        assert len(each.pairs) == len(each.rows)  # 2 encodings give 2 ordered pairs
        assert len(each.rows) // 2 <= batch + 1


@thorough
@given(groups=group_lists.filter(has_pair), batch=st.integers(2, 12), seed=seeds)
def test_batch_uses_every_pair_within_its_groups(groups, batch, seed):
    for each in epoch_batches(
        np.arange(len(groups)),
        groups,
        batch=batch,
        pairing="batch",
        rng=np.random.default_rng(seed),
    ):
        places = range(len(each.rows))
        expected = {
            (a, b)
            for a in places
            for b in places
            if a != b and groups[each.rows[a]] == groups[each.rows[b]]
        }
        assert {tuple(pair) for pair in each.pairs.tolist()} == expected
        assert len(each.rows) == len(set(each.rows.tolist()))


@thorough
@given(groups=group_lists.filter(has_pair), seed=seeds)
def test_batch_gives_every_row_once_an_epoch(groups, seed):
    batches = epoch_batches(
        np.arange(len(groups)), groups, batch=8, pairing="batch", rng=np.random.default_rng(seed)
    )
    rows = [row for each in batches for row in each.rows.tolist()]
    assert len(rows) == len(set(rows))


@pytest.mark.parametrize("pairing", ["two", "batch"])
def test_every_pair_of_a_group_occurs_in_the_long_run(pairing):
    groups = np.array(list("aaaaabbb" + "c"))
    rng = np.random.default_rng(0)
    seen = set()
    for _ in range(150):
        seen |= set(
            row_pairs(epoch_batches(np.arange(9), groups, batch=4, pairing=pairing, rng=rng))
        )
    assert seen == {(a, b) for a in range(9) for b in range(9) if a != b and groups[a] == groups[b]}


@settings(max_examples=20)
@given(
    groups=st.lists(st.sampled_from("abc"), min_size=2, max_size=7).map(np.array).filter(has_pair),
    batch=st.integers(1, 8),
    pairing=st.sampled_from(["two", "batch"]),
    seed=seeds,
)
def test_every_pair_of_any_groups_occurs_in_the_long_run_and_never_oneself(
    groups, batch, pairing, seed
):
    # The rarest pair is one of seven in one group: an epoch misses it with a chance of 5/6 at most,
    # 150 of them with 1e-12.
    rng, n, seen = np.random.default_rng(seed), len(groups), set()
    for _ in range(150):
        seen |= set(
            row_pairs(epoch_batches(np.arange(n), groups, batch=batch, pairing=pairing, rng=rng))
        )
    assert seen == {(a, b) for a in range(n) for b in range(n) if a != b and groups[a] == groups[b]}


@pytest.mark.parametrize("pairing", ["two", "batch", "single"])
def test_the_same_seed_gives_the_same_epoch_and_another_one_another(pairing):
    groups = np.array(list("aabbccaabbccaabbcc"))

    def epoch(seed):
        batches = epoch_batches(
            np.arange(18), groups, batch=4, pairing=pairing, rng=np.random.default_rng(seed)
        )
        return [(each.rows.tolist(), each.pairs.tolist()) for each in batches]

    assert epoch(5) == epoch(5)
    assert epoch(5) != epoch(6)


def test_only_the_training_rows_are_paired():
    groups = np.array(list("aaaaaa"))
    batches = epoch_batches(
        np.array([1, 3, 5]), groups, batch=4, pairing="two", rng=np.random.default_rng(0)
    )
    assert set(np.ravel(row_pairs(batches)).tolist()) == {1, 3, 5}


@thorough
@given(n=st.integers(2, 40), batch=st.integers(2, 12), seed=seeds)
def test_single_gives_every_row_once_and_no_batch_of_one(n, batch, seed):
    rows = np.arange(100, 100 + n)
    batches = epoch_batches(
        rows, np.zeros(200), batch=batch, pairing="single", rng=np.random.default_rng(seed)
    )
    assert sorted(row for each in batches for row in each.rows.tolist()) == rows.tolist()
    assert all(each.pairs.shape == (0, 2) and 2 <= len(each.rows) <= batch + 1 for each in batches)


@pytest.mark.parametrize("pairing", ["two", "batch"])
def test_no_pair_at_all_is_an_error(pairing):
    with pytest.raises(ValueError, match="no two training samples share a group"):
        epoch_batches(
            np.arange(3),
            np.array(list("abc")),
            batch=4,
            pairing=pairing,
            rng=np.random.default_rng(0),
        )


def test_an_unknown_pairing_is_an_error():
    with pytest.raises(ValueError, match="'two', 'batch' or 'single', not 'threes'"):
        epoch_batches(
            np.arange(3), np.zeros(3), batch=4, pairing="threes", rng=np.random.default_rng(0)
        )


# Exemplars

IDS = np.array([f"s{i}" for i in range(10)])
#               0    1    2    3    4    5    6    7    8    9
DIFFICULTY = np.array([3.0, 3.0, 3.0, 3.2, 3.2, 2.6, 2.0, 3.0, 3.4, 4.0])
POOL = np.arange(8)  # rows 8 and 9 are not in the pool, and their difficulties 3.4 and 4.0 neither


def drawn(queries, **options):
    options = {"ids": IDS, "groups": DIFFICULTY, "difficulty": DIFFICULTY, "count": 3, **options}
    return draw_exemplars(np.array(queries), POOL, **options)


def sets(found, queries):
    return [found.exemplar[found.query == position].tolist() for position in range(len(queries))]


def test_a_full_group_votes_alone():
    found = drawn([0])
    assert sorted(found.exemplar.tolist()) == [1, 2, 7]  # the group 3.0 without the query
    assert found.fallbacks == {"nearest difficulty": 0, "any": 0, "fewer": 0}


def test_nearest_difficulty_by_hand():
    # Row 3 (3.2): its group has row 4 alone. Nearest follow: 3.0 (four of them, .2 away), never 2.6
    # or 2.0.
    (own,) = sets(drawn([3]), [3])
    assert own[0] == 4 and len(own) == 3 and set(own[1:]) <= {0, 1, 2, 7}
    # Row 8 (3.4): nobody. Both 3.2 first, then a 3.0.
    (missing,) = sets(drawn([8]), [8])
    assert set(missing[:2]) == {3, 4} and missing[2] in {0, 1, 2, 7}
    # Row 5 (2.6): 3.0 is .4 away, 2.0 and 3.2 are .6 away: all four of 3.0 come before.
    (five,) = sets(drawn([5], count=5), [5])
    assert set(five[:4]) == {0, 1, 2, 7} and five[4] in {3, 4, 6}
    assert drawn([0, 3, 8, 5]).fallbacks == {"nearest difficulty": 3, "any": 0, "fewer": 0}


def test_without_filling_small_groups_stay_ragged_and_missing_ones_are_filled():
    queries = [0, 3, 8]
    found = drawn(queries, fill=False)
    full, small, missing = sets(found, queries)
    assert sorted(full) == [1, 2, 7]
    assert small == [4]
    assert len(missing) == 3 and set(missing[:2]) == {3, 4}
    assert found.fallbacks == {"nearest difficulty": 1, "any": 0, "fewer": 1}


def test_without_difficulty_any_sample_follows():
    found = drawn([3], groups=np.array(list("aaabbcdaef")), difficulty=None, count=4)
    assert found.exemplar[0] == 4 and len(found.exemplar) == 4
    assert found.fallbacks == {"nearest difficulty": 0, "any": 1, "fewer": 0}


def test_a_pool_smaller_than_the_count_gives_fewer_and_says_so():
    found = draw_exemplars(
        np.array([0]), np.array([0, 1, 2]), ids=IDS, groups=np.zeros(10), count=10
    )
    assert sorted(found.exemplar.tolist()) == [1, 2]
    assert found.fallbacks["fewer"] == 1


def test_all_takes_the_whole_group_and_no_other():
    found = drawn([0, 3], count=None)
    assert [sorted(own) for own in sets(found, [0, 3])] == [[1, 2, 7], [4]]
    assert found.fallbacks == {"nearest difficulty": 0, "any": 0, "fewer": 0}


def test_never_oneself_by_id():
    # The same sample twice in the pool, under another row number.
    ids = np.array(["x", "y", "x", "z"])
    found = draw_exemplars(np.array([0]), np.arange(4), ids=ids, groups=np.zeros(4), count=None)
    assert sorted(found.exemplar.tolist()) == [1, 3]


def test_nobody_but_the_query_is_an_error():
    with pytest.raises(ValueError, match="sample s0 has no exemplar"):
        draw_exemplars(np.array([0]), np.array([0]), ids=IDS, groups=np.zeros(10), count=3)


@thorough
@given(
    groups=st.lists(st.integers(0, 3), min_size=12, max_size=12).map(np.array),
    order=st.permutations(range(12)),
    count=st.integers(1, 6),
    seed=st.integers(0, 1000),
    fill=st.booleans(),
)
def test_exemplars_depend_on_seed_and_id_alone(groups, order, count, seed, fill):
    ids = np.array([f"id{i}" for i in range(12)])
    options = {
        "ids": ids,
        "groups": groups,
        "difficulty": groups.astype(float),
        "count": count,
        "seed": seed,
        "fill": fill,
    }
    together = sets(draw_exemplars(np.array(order), np.arange(12), **options), order)
    for row, own in zip(order, together, strict=True):
        alone = draw_exemplars(np.array([row]), np.arange(12), **options)
        assert alone.exemplar.tolist() == own
        assert row not in own and len(own) == len(set(own)) and 1 <= len(own) <= count
        same = [other for other in own if groups[other] == groups[row]]
        assert own[: len(same)] == same  # of its own group first
        assert len(same) == min(count, (groups == groups[row]).sum() - 1)


@settings(max_examples=20)
@given(
    groups=st.lists(st.sampled_from("ab"), min_size=3, max_size=8).map(np.array),
    count=st.integers(1, 3),
)
def test_every_possible_exemplar_is_drawn_in_the_long_run_and_never_oneself(groups, count):
    own = {row for row in range(1, len(groups)) if groups[row] == groups[0]}
    drawn = set()
    for seed in range(
        300
    ):  # one of seven is missed by a draw with a chance of 6/7, by all with 1e-20
        found = draw_exemplars(
            np.array([0]),
            np.arange(len(groups)),
            ids=IDS,
            groups=groups,
            count=count,
            fill=False,
            seed=seed,
        )
        drawn |= set(found.exemplar.tolist())
    assert drawn == (own or set(range(1, len(groups))))


def test_another_seed_draws_others():
    draws = {
        tuple(
            draw_exemplars(
                np.array([0]), np.arange(10), ids=IDS, groups=np.zeros(10), count=4, seed=s
            ).exemplar
        )
        for s in range(20)
    }
    assert len(draws) > 10


def test_draws_are_uniform_over_the_group():
    # 3 of 9 over 3,000 samples: every row is expected 1,000 times, deviation about 26.
    ids = np.array([f"q{i}" for i in range(3000)] + [f"e{i}" for i in range(9)])
    pool = np.arange(3000, 3009)
    found = draw_exemplars(np.arange(3000), pool, ids=ids, groups=np.zeros(3009), count=3)
    counts = np.bincount(found.exemplar - 3000)
    assert (np.abs(counts - 1000) < 130).all()


def test_drawn_exemplars_hold_no_more_memory_than_their_number():
    rows = np.arange(6000)
    who = {"ids": rows.astype(str), "groups": np.zeros(len(rows)), "count": 10}
    tracemalloc.start()
    drawn = draw_exemplars(rows[5000:], rows[:5000], **who)
    held, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert len(drawn.exemplar) == 10_000
    assert held < 1e6 and peak < 8e6  # a view of each query's pool would take 40 MB


@thorough
@given(group_lists, st.integers(1, 40))
def test_exemplars_in_blocks_are_those_of_all_queries(groups, most):
    rows = np.arange(len(groups))
    who = {"ids": rows.astype(str), "groups": groups, "count": 3}
    whole, blocks = (
        draw_exemplars(rows, rows, **who),
        list(exemplar_blocks(rows, rows, most=most, **who)),
    )
    assert all(len(b.query) <= most or len(set(b.query.tolist())) == 1 for b in blocks)
    for part in ("query", "exemplar"):
        joined = np.concatenate([getattr(block, part) for block in blocks])
        assert joined.tolist() == getattr(whole, part).tolist()
    for name, number in whole.fallbacks.items():
        assert sum(block.fallbacks[name] for block in blocks) == number


def test_differences_among_thousands_of_groups_are_ranked_as_in_a_list():
    rng = np.random.default_rng(0)
    targets, groups = rng.uniform(0, 100, 6000).round(1), rng.integers(0, 2500, 6000)
    listed, ranked = pair_differences(targets, groups), PairDifferences(targets, groups)
    ranks = [0, 1, len(listed) // 3, len(listed) // 2, len(listed) - 1]
    assert ranked.at_ranks(ranks).tolist() == listed[ranks].tolist()
