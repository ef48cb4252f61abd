"""Score groups (intervals of the score difference) and the group-aware regression tree.

Yu et al., "Group-aware Contrastive Regression for Action Quality Assessment" (ICCV 2021), section
3.3. K leaves stand for K intervals: first the negative ones, then their mirror images.
"""

from __future__ import annotations

import warnings
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from corelib.pairs import ALL_EQUAL, COARSER, NOT_SHARED, NoPairError, PairDifferences

NARROW = 1e-9  # of the outer edge; no wider is empty: execution scores tie but for rounding
Differences = np.ndarray | PairDifferences


def leaf_count(depth: int) -> int:
    """Leaves of a tree of this depth, as the paper's configuration counts: 2 ** (depth - 1)."""
    if depth < 2:
        raise ValueError(f"a tree needs depth 2 or more (one split), not {depth}")
    return 2 ** (depth - 1)


def quantile_edges(
    differences: Differences, depth: int, *, outer: float | None = None
) -> np.ndarray:
    """Edges [R + 1] of the R = leaf_count(depth) / 2 positive intervals.

    differences  [n] absolute score differences of the training pairs, or PairDifferences
    outer        the last edge; None takes the largest difference

    The inner edges are the quantiles d[int((n - 1) r / R)] of the sorted differences, so that
    intervals hold about equally many pairs. The first edge is 0. Differences that pile up on one
    value can make edges coincide: such an interval is empty (see ScoreGroups). Raises NoPairError
    when there is no difference at all.
    """
    listed = not isinstance(differences, PairDifferences)
    ranked = np.sort(np.asarray(differences, float)) if listed else differences
    n, R = len(ranked), leaf_count(depth) // 2
    if n == 0:
        raise NoPairError(f"{NOT_SHARED}, so no difference makes intervals; pair by {COARSER}")
    ranks = np.array([int((n - 1) * r / R) for r in range(R + 1)])
    edges = ranked[ranks] if listed else ranked.at_ranks(ranks)  # [R + 1]
    edges[0] = 0.0
    edges[-1] = edges[-1] if outer is None else outer
    if edges[-1] <= 0:
        raise NoPairError(ALL_EQUAL)
    return np.minimum(edges, edges[-1])


def equal_edges(differences: Differences, depth: int, *, outer: float | None = None) -> np.ndarray:
    """Edges [R + 1] of intervals of equal width: what `quantile_edges` is compared with."""
    if outer is None:
        ranked = isinstance(differences, PairDifferences)
        outer = differences.largest() if ranked else float(np.max(differences))
    return np.linspace(0.0, outer, leaf_count(depth) // 2 + 1)


class Label(NamedTuple):
    """Where differences [P] lie among the K intervals."""

    leaf: Tensor  # [P] int64
    position: Tensor  # [P] within the leaf: 0 at its left, 1 at its right edge
    inside: Tensor  # [P] bool: whether the difference lies in any interval


class ScoreGroups(nn.Module):
    """The K intervals of the score difference, with labelling and decoding as exact inverses.

    edges      [R + 1] rising, from 0: the positive intervals; the negative ones mirror them
    tolerance  a difference this close below an edge counts as lying on it (score units); one on an
               edge belongs to the interval farther from zero
    mirrored   zero differences: False puts them all on the positive side (the released code), True
               on the side that the pair's order asks for, so that both orders mirror each other
    closed     whether empty intervals (equal edges, to rounding) are closed: they get probability 0
    clamp      what becomes of a difference beyond the last edge: True moves it to the last edge
               with a warning, False labels it leaf 0 and outside (the released code)
    """

    def __init__(self, edges, *, tolerance: float = 1e-4, mirrored=True, closed=True, clamp=True):
        super().__init__()
        edges = torch.as_tensor(np.asarray(edges), dtype=torch.float64)
        sound = edges.ndim == 1 and len(edges) > 1 and edges[0] == 0 and edges[-1] > 0
        if not sound or (edges.diff() < 0).any():
            raise ValueError(f"edges must rise from 0, not {edges.tolist()}")
        self.register_buffer("edges", edges)
        self.tolerance, self.mirrored, self.closed, self.clamp = tolerance, mirrored, closed, clamp

    @property
    def leaves(self) -> int:
        """K, the number of leaves."""
        return 2 * (len(self.edges) - 1)

    @property
    def open(self) -> Tensor:
        """[K] bool: which intervals have a width."""
        return self.right - self.left > NARROW * self.edges[-1]

    @property
    def left(self) -> Tensor:
        """Left edges [K] of all intervals, from the most negative on."""
        return torch.cat([-self.edges.flip(0)[:-1], self.edges[:-1]])

    @property
    def right(self) -> Tensor:
        """Right edges [K]."""
        return torch.cat([-self.edges.flip(0)[1:], self.edges[1:]]) + 0.0  # turns -0 into 0

    @property
    def scale(self) -> Tensor:
        """[K] what a position is multiplied by: the interval's width, or 1 for an empty one."""
        width = self.right - self.left
        return torch.where(self.open, width, torch.ones_like(width))

    def label(self, difference: Tensor, flipped: Tensor | None = None) -> Label:
        """Differences [P] -> their leaves and positions; `decode` gives the differences back.

        flipped [P] bool marks the second order of a pair. Where `mirrored` is set, a zero
        difference then goes to the negative side.
        """
        delta, outer, half = difference.double(), self.edges[-1], len(self.edges) - 1
        if self.clamp:
            if beyond := int((delta.abs() > outer + self.tolerance).sum()):
                moved = f"{beyond} difference(s) beyond the outer edge {outer:g} were moved to it"
                warnings.warn(moved, stacklevel=2)
            delta = delta.clamp(-outer, outer)
        inside = torch.ones_like(delta, dtype=torch.bool) if self.clamp else delta.abs() < outer
        negative = delta < -self.tolerance if self.tolerance else delta < 0
        if self.mirrored and flipped is not None:
            negative = negative | (flipped & (delta.abs() <= self.tolerance))
        size = torch.where(negative, -delta, delta)  # the negative side mirrors the positive
        interval = torch.searchsorted(self.edges, size + self.tolerance, right=True) - 1
        interval = self._nearest_open(interval.clamp(0, half - 1))  # [P] in 0 .. K / 2 - 1
        leaf = torch.where(negative, half - 1 - interval, half + interval)
        leaf = torch.where(inside, leaf, torch.zeros_like(leaf))
        return Label(leaf, (delta - self.left[leaf]) / self.scale[leaf], inside)

    def _nearest_open(self, interval: Tensor) -> Tensor:
        """For an empty interval, the next one towards zero that has a width."""
        open_ = self.open[len(self.edges) - 1 :]
        index = torch.arange(len(open_), device=open_.device)
        first = int(index[open_][0])
        nearest = torch.where(open_, index, torch.full_like(index, first)).cummax(0).values
        return nearest[interval]

    def close_empty(self, log_probs: Tensor) -> Tensor:
        """Leaf log-probabilities [P, K], those of empty intervals shared out among the others."""
        empty = ~self.open
        if not self.closed or not bool(empty.any()):
            return log_probs
        return F.log_softmax(log_probs.masked_fill(empty, float("-inf")), dim=1)

    def decode(self, leaf: Tensor, position: Tensor) -> Tensor:
        """leaf [P], position [P] -> difference [P] = left + (right - left) * position."""
        return self.left[leaf] + self.scale[leaf] * position.double()

    def decode_most_probable(self, log_probs: Tensor, positions: Tensor) -> Tensor:
        """Log-probabilities, positions [P, K] -> difference [P] of the likeliest leaf (paper)."""
        leaf = log_probs.argmax(dim=1)
        return self.decode(leaf, positions.gather(1, leaf[:, None])[:, 0])

    def decode_expected(self, log_probs: Tensor, positions: Tensor) -> Tensor:
        """Log-probabilities, positions [P, K] -> expected difference [P] over all leaves.

        Positions are held within their intervals: a leaf has learned its position only from pairs
        that belong to it, and far from them it may say anything.
        """
        values = self.left + self.scale * positions.double().clamp(0, 1)
        return (log_probs.double().exp() * values).sum(dim=1)


class NodeLinear(nn.Module):
    """A linear layer of its own for every node of a level: [nodes, P, in] -> [nodes, P, out]."""

    def __init__(self, nodes: int, in_features: int, out_features: int):
        super().__init__()
        self.weight = nn.Parameter(torch.empty(nodes, out_features, in_features))
        self.bias = nn.Parameter(torch.empty(nodes, out_features))
        bound = in_features**-0.5  # as PyTorch starts a linear layer
        nn.init.uniform_(self.weight, -bound, bound)
        nn.init.uniform_(self.bias, -bound, bound)

    def forward(self, x: Tensor) -> Tensor:
        weight, bias = self.weight.to(x.dtype), self.bias.to(x.dtype)
        return torch.baddbmm(bias[:, None], x, weight.transpose(1, 2))  # [nodes, P, out]


class RegressionTree(nn.Module):
    """The group-aware regression tree: [P, in_features] -> log-probabilities and positions [P, K].

    A linear layer and ReLU; then at each of the depth - 1 levels every node splits its probability
    in two (a linear layer of its own) and hands features of its own to its two children (another
    one). Log-probabilities add up along the path. Every leaf regresses one position within its
    interval. Paper: figure 3; `width` is 256 there.

    start  the hidden layers' initial weights. "torch": PyTorch's own, which shrink a signal to less
           than half at every level, so that deep splits and positions learn late; "he": it keeps
           its size (He et al., "Delving Deep into Rectifiers", ICCV 2015)
    """

    def __init__(self, in_features: int, *, depth: int = 5, width: int = 256, start: str = "he"):
        super().__init__()
        self.depth, self.width = depth, width
        self.leaves = leaf_count(depth)
        self.first = nn.Linear(in_features, width)
        nodes = [2**level for level in range(depth - 1)]
        self.splits = nn.ModuleList(NodeLinear(n, width, 2) for n in nodes)
        self.children_features = nn.ModuleList(NodeLinear(n, width, 2 * width) for n in nodes)
        self.position = NodeLinear(self.leaves, width, 1)
        if start == "he":
            for layer in (self.first, *self.children_features):
                flat = layer.weight.view(-1, layer.weight.shape[-1])
                nn.init.kaiming_uniform_(flat, nonlinearity="relu")
                nn.init.zeros_(layer.bias)

    def levels(self, x: Tensor) -> tuple[list[Tensor], Tensor]:
        """x [P, in] -> every level's log-probabilities [P, 2] ... [P, K], and positions [P, K]."""
        return self.levels_after_first(self.first(x))

    def levels_after_first(self, x: Tensor) -> tuple[list[Tensor], Tensor]:
        """`levels` behind the first linear layer: x [P, width] is what it gave."""
        x = F.relu(x)[None]  # [nodes, P, width], of the root alone
        exact = torch.float32 if x.dtype == torch.bfloat16 else x.dtype  # log-probabilities add up
        path = x.new_zeros(1, x.shape[1], dtype=exact)  # [nodes, P]
        levels = []
        for split, grow in zip(self.splits, self.children_features, strict=True):
            branch = F.log_softmax(split(x).to(path.dtype), dim=2)  # [nodes, P, 2]
            path = (path[:, :, None] + branch).transpose(1, 2).flatten(0, 1)  # [2 nodes, P]
            levels.append(path.T)
            x = child_features(F.relu(grow(x)))  # [2 nodes, P, width]
        return levels, self.position(x)[:, :, 0].T

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        levels, positions = self.levels(x)
        return levels[-1], positions


def child_features(x: Tensor) -> Tensor:
    """[nodes, P, 2 width] -> [2 nodes, P, width]: half of the features for each of two children."""
    nodes, P, both = x.shape
    return x.view(nodes, P, 2, both // 2).transpose(1, 2).reshape(2 * nodes, P, both // 2)


def tree_loss(
    log_probs: Tensor, positions: Tensor, label: Label, second: Tensor, *, kind: str
) -> Tensor:
    """Which interval (negative log-likelihood) and where in it (squared error) (paper, 3.3).

    log_probs, positions [P, K]; label of P pairs; second [P] marks a pair's second order.
    "mean" averages both over all pairs. "leaf_sums" is the released program's. For each order it
    adds the mean log-likelihood and, for every leaf that occurs, its pairs' mean squared error.
    """
    K = log_probs.shape[1]
    chosen = positions.gather(1, label.leaf[:, None])[:, 0]  # [P]
    squared = (chosen - label.position.to(chosen.dtype)).square()
    unlikely = -log_probs.gather(1, label.leaf[:, None])[:, 0]
    if kind == "mean":
        return unlikely.mean() + squared.mean()

    def sum_of_means(values: Tensor, cell: Tensor, cells: int) -> Tensor:
        total = values.new_zeros(cells).index_add(0, cell, values)
        count = values.new_zeros(cells).index_add(0, cell, torch.ones_like(values))
        return (total / count.clamp(min=1)).sum()

    order, inside = second.long(), label.inside
    by_leaf = sum_of_means(squared[inside], (order * K + label.leaf)[inside], 2 * K)
    return sum_of_means(unlikely, order, 2) + by_leaf
