"""The two systems behind one interface: CoRe (encoder and tree) and the baseline I3D+MLP.

Both have   encode(inputs) -> features [V, D]
            loss(features [V, D], targets [V], pairs [P, 2]) -> scalar
            predict(query [P, D], exemplar [P, D], exemplar_targets [P]) -> targets [P]
            compare(features [V, D], targets [V], query [P], exemplar [P]) -> targets [P]
predict reads pairs of features, compare many pairs among few videos (its pairs are positions).
Targets are scores, or execution scores when difficulty is used. The baseline looks at no
exemplar: `uses_exemplars` says so.
"""

from __future__ import annotations

import copy

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from corelib.i3d import I3D, Unit3D, load_weights
from corelib.pairs import PairDifferences
from corelib.recipe import Recipe
from corelib.tree import RegressionTree, ScoreGroups, equal_edges, quantile_edges

PAIRS_AT_ONCE = (
    1024  # in a comparison: what the tree holds for them then fits into a processor's cache
)


class SnippetEncoder(nn.Module):
    """I3D over the snippets of a video: [B, S, 3, L, H, W] -> [B, D], the mean over the S
    snippets."""

    def __init__(self, i3d: I3D):
        super().__init__()
        self.i3d = i3d.to(
            memory_format=torch.channels_last_3d
        )  # the layout in which convolutions run fastest
        self.out_features = i3d.out_features

    def forward(self, snippets: Tensor) -> Tensor:
        B, S = snippets.shape[:2]
        folded = snippets.flatten(0, 1).contiguous(
            memory_format=torch.channels_last_3d
        )  # [B * S, 3, L, H, W]
        return self.i3d(folded).view(B, S, -1).mean(dim=1)

    @torch.no_grad()
    def lean(self, dtype: torch.dtype = torch.float32) -> SnippetEncoder:
        """A copy for inference, two to three times as fast: batch normalisation folded into the
        convolutions, weights of `dtype`. Features are the same to rounding in float32, to a cosine
        above .999 in bfloat16."""
        lean = copy.deepcopy(self).eval()
        for module in lean.modules():
            if isinstance(module, Unit3D):
                module.fold()
        lean.i3d.checkpointing = False
        return lean.to(dtype=dtype, memory_format=torch.channels_last_3d).requires_grad_(False)


def lean_encoder(model: nn.Module, precision: str, *, compiled: bool = False):
    """The function inputs -> features [B, D] float32 that evaluation calls: of a video encoder its
    lean copy.

    precision  fp32 | bf16, of the lean copy; a projection of features is computed as it is
    compiled   torch.compile the copy: minutes before the first video, worth it for thousands
    """
    if not isinstance(model.encoder, SnippetEncoder):
        return lambda inputs: model.encode(inputs).float()
    dtype = torch.bfloat16 if precision == "bf16" else torch.float32
    lean = model.encoder.lean(dtype)
    encode = torch.compile(lean) if compiled else lean
    return lambda inputs: encode(inputs.to(dtype)).float()


class StepProjection(nn.Module):
    """A small encoder of precomputed features: [B, S, D_in] -> [B, stretches * projection].

    The steps of each of a few equal stretches of time are averaged and projected, and the stretches
    joined, so that a little of the order of events is kept. (Averaging first is the same as
    averaging the projected steps, at a fraction of the work.)
    """

    def __init__(self, in_features: int, projection: int, *, stretches: int = 1):
        super().__init__()
        self.norm = nn.LayerNorm(in_features)
        self.project = nn.Linear(in_features, projection)
        self.stretches = stretches
        self.out_features = stretches * projection

    def forward(self, steps: Tensor) -> Tensor:
        averaged = F.adaptive_avg_pool1d(
            self.norm(steps).transpose(1, 2), self.stretches
        )  # [B, D_in, stretches]
        return self.project(averaged.transpose(1, 2)).flatten(1)


class Dropout(nn.Module):
    """In training each number becomes zero with probability `rate`; others grow by 1 / (1 - rate).

    The mask comes from its own generator, on the CPU: nobody else's draws move it, and every
    device and process draws the same. `seed_dropout` starts it anew.
    """

    def __init__(self, rate: float):
        super().__init__()
        self.rate, self.generator = rate, torch.Generator()

    def forward(self, x: Tensor) -> Tensor:
        if not self.training or self.rate == 0:
            return x
        kept = torch.rand(x.shape, generator=self.generator) >= self.rate
        return x * kept.to(x.device) / (1 - self.rate)


def seed_dropout(model: nn.Module, seed: int) -> None:
    """Start the masks of every Dropout of a model at a seed."""
    for module in model.modules():
        if isinstance(module, Dropout):
            module.generator.manual_seed(seed)


class CoRe(nn.Module):
    """Contrastive regression: the score of a query is an exemplar's score plus the difference the
    tree reads.

    groups    the intervals of the score difference
    theta     the exemplar's score enters the tree divided by it
    decoding  "expected" or "most_probable"
    loss      "mean": over all pairs; "leaf_sums": by order of the pair and by leaf, summed (the
              paper)
    exemplar_score  whether the tree sees the exemplar's score; False leaves a zero in its place
    """

    uses_exemplars = True

    def __init__(
        self,
        encoder,
        groups: ScoreGroups,
        *,
        depth,
        tree_width,
        theta,
        decoding,
        loss,
        start="he",
        dropout=0.0,
        exemplar_score=True,
    ):
        super().__init__()
        self.encoder, self.groups, self.exemplar_score = encoder, groups, exemplar_score
        self.tree = RegressionTree(
            2 * encoder.out_features + 1, depth=depth, width=tree_width, start=start
        )
        self.dropout = Dropout(dropout)
        self.decoding, self.loss_kind = decoding, loss
        self.register_buffer("theta", torch.tensor(float(theta)))

    def encode(self, inputs: Tensor) -> Tensor:
        return self.encoder(inputs)

    def pair_input(self, query: Tensor, exemplar: Tensor, exemplar_targets: Tensor) -> Tensor:
        """[f_exemplar ; f_query ; s_exemplar / theta] of each pair, [P, 2D + 1] (paper, equation
        2)."""
        scaled = (exemplar_targets.to(query.dtype) / self.theta.to(query.dtype))[:, None]
        return torch.cat([exemplar, query, scaled * self.exemplar_score], dim=1)

    def relate(
        self, query: Tensor, exemplar: Tensor, exemplar_targets: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Leaf log-probabilities and positions, both [P, K], of query against exemplar."""
        log_probs, positions = self.tree(
            self.dropout(self.pair_input(query, exemplar, exemplar_targets))
        )
        return self.groups.close_empty(log_probs.float()), positions.float()

    def loss(self, features: Tensor, targets: Tensor, pairs: Tensor) -> Tensor:
        """features [V, D], targets [V], pairs [P, 2] of (exemplar, query) positions -> the training
        loss."""
        exemplar, query = pairs[:, 0], pairs[:, 1]
        # not features[query]: a video stands in many pairs, and its gradients are added up in no
        # fixed order there
        f_query, f_exemplar = features.index_select(0, query), features.index_select(0, exemplar)
        log_probs, positions = self.relate(f_query, f_exemplar, targets[exemplar])
        second = (
            exemplar < query
        )  # of a pair's two orders; the first has the exemplar behind the query
        label = self.groups.label(targets[query] - targets[exemplar], second)
        return tree_loss(log_probs, positions, label, second, kind=self.loss_kind)

    def predict(self, query: Tensor, exemplar: Tensor, exemplar_targets: Tensor) -> Tensor:
        """Pairs of features [P, D] and the exemplars' targets [P] -> the queries' targets [P],
        float64."""
        log_probs, positions = self.relate(query, exemplar, exemplar_targets)
        decode = (
            self.groups.decode_expected
            if self.decoding == "expected"
            else self.groups.decode_most_probable
        )
        return exemplar_targets.double() + decode(log_probs, positions)

    def compare(
        self,
        features: Tensor,
        targets: Tensor,
        query: Tensor,
        exemplar: Tensor,
        *,
        dtype=torch.float32,
    ) -> Tensor:
        """`predict` for positions [P] of queries and exemplars among features [V, D] with targets
        [V].

        The tree's first layer is linear, W [f_exemplar ; f_query ; s] = W_e f_exemplar + W_q
        f_query + w_s s, so it is computed once a video and added up a pair. dtype: of the products
        behind it.
        """
        D, first = features.shape[1], self.tree.first
        as_exemplar = features @ first.weight[:, :D].T + first.bias
        as_exemplar = (
            as_exemplar
            + (targets.to(features.dtype) / self.theta)[:, None]
            * self.exemplar_score
            * first.weight[:, -1]
        )
        as_query = features @ first.weight[:, D : 2 * D].T
        decode = (
            self.groups.decode_expected
            if self.decoding == "expected"
            else self.groups.decode_most_probable
        )
        differences = []
        for q, e in zip(query.split(PAIRS_AT_ONCE), exemplar.split(PAIRS_AT_ONCE), strict=True):
            levels, positions = self.tree.levels_after_first(
                (as_query[q] + as_exemplar[e]).to(dtype)
            )
            differences.append(
                decode(self.groups.close_empty(levels[-1].float()), positions.float())
            )
        return targets[exemplar].double() + torch.cat(differences)


def tree_loss(log_probs: Tensor, positions: Tensor, label, second: Tensor, *, kind: str) -> Tensor:
    """The two losses of the tree: which interval (negative log-likelihood), where in it (squared
    error).

    log_probs, positions [P, K]; label: leaf, position, inside [P]; second [P] marks a pair's second
    order. "mean" averages both over all pairs. "leaf_sums" is the released program's: for each
    order the mean log-likelihood plus, for every leaf that occurs, the mean squared error of its
    pairs, all added.
    """
    K = log_probs.shape[1]
    chosen = positions.gather(1, label.leaf[:, None])[:, 0]
    squared = (chosen - label.position.to(chosen.dtype)).square()
    unlikely = -log_probs.gather(1, label.leaf[:, None])[:, 0]
    if kind == "mean":
        return unlikely.mean() + squared.mean()

    def sum_of_means(values: Tensor, cell: Tensor, cells: int) -> Tensor:
        total = values.new_zeros(cells).index_add(0, cell, values)
        count = values.new_zeros(cells).index_add(0, cell, torch.ones_like(values))
        return (total / count.clamp(min=1)).sum()

    order = second.long()
    inside = label.inside
    by_leaf = sum_of_means(squared[inside], (order * K + label.leaf)[inside], 2 * K)
    return sum_of_means(unlikely, order, 2) + by_leaf


class DirectDifference(nn.Module):
    """Contrastive regression without a tree: a perceptron reads the difference off a pair, trained
    by squared error.

    Not a system of the paper: what the tree is compared with in notebook 09. Its input is CoRe's.
    theta, deviation  divide the exemplar's score and the difference
    """

    uses_exemplars = True

    def __init__(
        self,
        encoder,
        *,
        hidden: int,
        theta: float,
        deviation: float,
        dropout: float = 0.0,
        exemplar_score=True,
    ):
        super().__init__()
        self.encoder, self.exemplar_score = encoder, exemplar_score
        self.mlp = nn.Sequential(
            Dropout(dropout),
            nn.Linear(2 * encoder.out_features + 1, hidden),
            nn.ReLU(),
            nn.Linear(hidden, hidden),
            nn.ReLU(),
            nn.Linear(hidden, 1),
        )
        self.register_buffer("theta", torch.tensor(float(theta)))
        self.register_buffer("deviation", torch.tensor(float(deviation) or 1.0))

    encode, pair_input = CoRe.encode, CoRe.pair_input

    def loss(self, features: Tensor, targets: Tensor, pairs: Tensor) -> Tensor:
        """features [V, D], targets [V], pairs [P, 2] -> mean squared error of the differences over
        their deviation."""
        exemplar, query = pairs[:, 0], pairs[:, 1]
        read = self.mlp(
            self.pair_input(
                features.index_select(0, query),
                features.index_select(0, exemplar),
                targets[exemplar],
            )
        )
        return F.mse_loss(
            read[:, 0].float(), ((targets[query] - targets[exemplar]) / self.deviation).float()
        )

    def predict(self, query: Tensor, exemplar: Tensor, exemplar_targets: Tensor) -> Tensor:
        """Pairs of features [P, D] and the exemplars' targets [P] -> the queries' targets [P],
        float64."""
        read = self.mlp(self.pair_input(query, exemplar, exemplar_targets))[:, 0]
        return exemplar_targets.double() + read.double() * self.deviation.double()

    def compare(
        self,
        features: Tensor,
        targets: Tensor,
        query: Tensor,
        exemplar: Tensor,
        *,
        dtype=torch.float32,
    ) -> Tensor:
        """`predict` for positions [P] of queries and exemplars among features [V, D] with targets
        [V]."""
        blocks = zip(query.split(PAIRS_AT_ONCE), exemplar.split(PAIRS_AT_ONCE), strict=True)
        return torch.cat([self.predict(features[q], features[e], targets[e]) for q, e in blocks])


class Baseline(nn.Module):
    """I3D+MLP: the same features, a multi-layer perceptron to one score, trained by squared error.

    mean, deviation  of the training targets: the perceptron regresses standardised scores
    """

    uses_exemplars = False

    def __init__(
        self, encoder, *, hidden: int, mean: float, deviation: float, dropout: float = 0.0
    ):
        super().__init__()
        self.encoder = encoder
        D = encoder.out_features
        self.mlp = nn.Sequential(
            Dropout(dropout),
            nn.Linear(D, hidden),
            nn.ReLU(),
            nn.Linear(hidden, hidden),
            nn.ReLU(),
            nn.Linear(hidden, 1),
        )
        self.register_buffer("mean", torch.tensor(float(mean)))
        self.register_buffer("deviation", torch.tensor(float(deviation) or 1.0))

    def encode(self, inputs: Tensor) -> Tensor:
        return self.encoder(inputs)

    def loss(self, features: Tensor, targets: Tensor, pairs: Tensor) -> Tensor:
        """features [V, D], targets [V] -> mean squared error of the standardised scores; pairs are
        not used."""
        wanted = (targets - self.mean) / self.deviation
        return F.mse_loss(self.mlp(features)[:, 0].float(), wanted.float())

    def predict(
        self, query: Tensor, exemplar: Tensor | None = None, exemplar_targets: Tensor | None = None
    ) -> Tensor:
        """Features [P, D] -> targets [P], float64."""
        return self.mlp(query)[:, 0].double() * self.deviation.double() + self.mean.double()

    def compare(
        self,
        features: Tensor,
        targets: Tensor,
        query: Tensor,
        exemplar: Tensor,
        *,
        dtype=torch.float32,
    ) -> Tensor:
        """`predict` for positions [P] among features [V, D]; what they are compared with plays no
        part."""
        return self.predict(features)[query]


def build_model(
    recipe: Recipe, targets: np.ndarray, groups: np.ndarray, *, in_features: int | None = None
):
    """The system a recipe describes, with its intervals and scales taken from the training samples.

    targets [n] and groups [n] of the training rows; in_features of a feature bank (projection
    only). The initial weights depend on recipe.seed alone.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(recipe.seed)
        if recipe.encoder == "i3d":
            i3d = I3D(
                width=recipe.width, eps=recipe.batchnorm_eps, checkpointing=recipe.checkpointing
            )
            if recipe.weights:
                load_weights(i3d, recipe.weights)
            encoder = SnippetEncoder(i3d)
        else:
            encoder = StepProjection(in_features, recipe.projection, stretches=recipe.stretches)
        if recipe.system == "mlp":
            return Baseline(
                encoder,
                hidden=recipe.tree_width,
                mean=targets.mean(),
                deviation=targets.std(),
                dropout=recipe.dropout,
            )
        theta = recipe.theta or float(targets.std()) or 1.0
        differences = PairDifferences(targets, groups)
        if recipe.head == "direct":
            return DirectDifference(
                encoder,
                hidden=recipe.tree_width,
                theta=theta,
                deviation=differences.root_mean_square(),
                dropout=recipe.dropout,
                exemplar_score=recipe.exemplar_score,
            )
        outer = theta if recipe.outer_edge == "theta" else None
        divide = quantile_edges if recipe.intervals == "quantile" else equal_edges
        edges = divide(differences, recipe.depth, outer=outer)
        score_groups = ScoreGroups(
            edges,
            tolerance=recipe.tie_tolerance,
            mirrored=recipe.zero_side == "mirrored",
            closed=recipe.close_empty,
            clamp=recipe.outer_edge == "data",
        )
        return CoRe(
            encoder,
            score_groups,
            depth=recipe.depth,
            tree_width=recipe.tree_width,
            theta=theta,
            decoding=recipe.decoding,
            loss=recipe.loss,
            start=recipe.tree_start,
            dropout=recipe.dropout,
            exemplar_score=recipe.exemplar_score,
        )


def freeze_batchnorm(model: nn.Module) -> None:
    """Let every BatchNorm use its stored statistics even while training; their weights go on
    learning."""
    for module in model.modules():
        if isinstance(module, nn.modules.batchnorm._BatchNorm):
            module.eval()
