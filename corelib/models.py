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

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from corelib.data.weights import load_weights
from corelib.features import FrozenEncoder, StepProjection
from corelib.i3d import I3D, SnippetEncoder
from corelib.kernel import KernelCoordinates, KernelRidge, OrderedStretches
from corelib.pairs import PairDifferences
from corelib.recipe import Recipe
from corelib.tree import RegressionTree, ScoreGroups, equal_edges, quantile_edges, tree_loss

PAIRS_AT_ONCE = 1024  # in a comparison: what the tree holds for them fits into a processor's cache


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
    """Contrastive regression: a query's score is an exemplar's plus the difference the tree reads.

    groups    the intervals of the score difference
    theta     the exemplar's score enters the tree divided by it
    decoding  the rule of ScoreGroups that reads the tree: "expected" or "most_probable"
    loss      of tree.tree_loss: "mean" or "leaf_sums" (the paper)
    exemplar_score  whether the tree sees the exemplar's score; False leaves a zero in its place
    """

    uses_exemplars = True

    def __init__(
        self,
        encoder,
        groups: ScoreGroups,
        tree: RegressionTree,
        *,
        theta,
        decoding,
        loss,
        dropout=0.0,
        exemplar_score=True,
    ):
        super().__init__()
        self.encoder, self.groups, self.exemplar_score = encoder, groups, exemplar_score
        self.tree, self.dropout = tree, Dropout(dropout)
        self.decoding, self.loss_kind = decoding, loss
        self.register_buffer("theta", torch.tensor(float(theta)))

    def encode(self, inputs: Tensor) -> Tensor:
        return self.encoder(inputs)

    def pair_input(self, query: Tensor, exemplar: Tensor, exemplar_targets: Tensor) -> Tensor:
        """[f_exemplar ; f_query ; s_exemplar / theta] of each pair, [P, 2D + 1] (equation 2)."""
        scaled = (exemplar_targets.to(query.dtype) / self.theta.to(query.dtype))[:, None]  # [P, 1]
        return torch.cat([exemplar, query, scaled * self.exemplar_score], dim=1)

    def relate(self, query: Tensor, exemplar: Tensor, exemplar_targets: Tensor):
        """Leaf log-probabilities and positions, both [P, K], of query against exemplar [P, D]."""
        pairs = self.dropout(self.pair_input(query, exemplar, exemplar_targets))  # [P, 2D + 1]
        log_probs, positions = self.tree(pairs)  # [P, K], [P, K]
        return self.groups.close_empty(log_probs.float()), positions.float()

    def loss(self, features: Tensor, targets: Tensor, pairs: Tensor) -> Tensor:
        """features [V, D], targets [V], pairs [P, 2] of (exemplar, query) positions -> the loss."""
        exemplar, query = pairs[:, 0], pairs[:, 1]  # [P], [P]
        # index_select, not features[query]: that would add up a video's gradients in no fixed order
        f_query, f_exemplar = features.index_select(0, query), features.index_select(0, exemplar)
        log_probs, positions = self.relate(f_query, f_exemplar, targets[exemplar])  # [P, K]
        second = exemplar < query  # of a pair's two orders; in the first the exemplar stands behind
        label = self.groups.label(targets[query] - targets[exemplar], second)
        return tree_loss(log_probs, positions, label, second, kind=self.loss_kind)

    def decode(self, log_probs: Tensor, positions: Tensor) -> Tensor:
        """What the tree says of pairs, both [P, K] -> their differences [P], float64."""
        return getattr(self.groups, f"decode_{self.decoding}")(log_probs, positions)

    def predict(self, query: Tensor, exemplar: Tensor, exemplar_targets: Tensor) -> Tensor:
        """Features [P, D] and exemplars' targets [P] -> the queries' targets [P], float64."""
        log_probs, positions = self.relate(query, exemplar, exemplar_targets)
        return exemplar_targets.double() + self.decode(log_probs, positions)

    def compare(self, features: Tensor, targets: Tensor, query, exemplar, *, dtype=torch.float32):
        """`predict` for positions query, exemplar [P] among features [V, D] with targets [V].

        The tree's first layer is linear: W [f_e ; f_q ; s] = W_e f_e + W_q f_q + w_s s. So it is
        computed once a video and added up a pair. dtype: of the products behind it.
        """
        D, first = features.shape[1], self.tree.first
        scaled = (targets.to(features.dtype) / self.theta)[:, None]  # [V, 1]
        as_exemplar = features @ first.weight[:, :D].T + first.bias  # [V, tree width]
        as_exemplar = as_exemplar + scaled * self.exemplar_score * first.weight[:, -1]
        as_query = features @ first.weight[:, D : 2 * D].T  # [V, tree width]
        differences = []
        for q, e in zip(query.split(PAIRS_AT_ONCE), exemplar.split(PAIRS_AT_ONCE), strict=True):
            both = (as_query[q] + as_exemplar[e]).to(dtype)  # [pairs at once, tree width]
            levels, positions = self.tree.levels_after_first(both)
            log_probs = self.groups.close_empty(levels[-1].float())
            differences.append(self.decode(log_probs, positions.float()))
        return targets[exemplar].double() + torch.cat(differences)


def perceptron(in_features: int, hidden: int, dropout: float) -> nn.Sequential:
    """[B, in_features] -> [B, 1], through two hidden layers."""
    first, second = nn.Linear(in_features, hidden), nn.Linear(hidden, hidden)
    last = nn.Linear(hidden, 1)
    return nn.Sequential(Dropout(dropout), first, nn.ReLU(), second, nn.ReLU(), last)


class DirectDifference(nn.Module):
    """Contrastive regression without a tree: a perceptron reads the difference off a pair.

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
        dropout=0.0,
        exemplar_score=True,
    ):
        super().__init__()
        self.encoder, self.exemplar_score = encoder, exemplar_score
        self.mlp = perceptron(2 * encoder.out_features + 1, hidden, dropout)
        self.register_buffer("theta", torch.tensor(float(theta)))
        self.register_buffer("deviation", torch.tensor(float(deviation) or 1.0))

    encode, pair_input = CoRe.encode, CoRe.pair_input

    def loss(self, features: Tensor, targets: Tensor, pairs: Tensor) -> Tensor:
        """As CoRe.loss: the mean squared error of the differences over their deviation."""
        exemplar, query = pairs[:, 0], pairs[:, 1]  # [P], [P]
        f_query, f_exemplar = features.index_select(0, query), features.index_select(0, exemplar)
        read = self.mlp(self.pair_input(f_query, f_exemplar, targets[exemplar]))[:, 0]  # [P]
        wanted = (targets[query] - targets[exemplar]) / self.deviation
        return F.mse_loss(read.float(), wanted.float())

    def predict(self, query: Tensor, exemplar: Tensor, exemplar_targets: Tensor) -> Tensor:
        """As CoRe.predict."""
        read = self.mlp(self.pair_input(query, exemplar, exemplar_targets))[:, 0]  # [P]
        return exemplar_targets.double() + read.double() * self.deviation.double()

    def compare(self, features: Tensor, targets: Tensor, query, exemplar, *, dtype=torch.float32):
        """As CoRe.compare."""
        blocks = zip(query.split(PAIRS_AT_ONCE), exemplar.split(PAIRS_AT_ONCE), strict=True)
        return torch.cat([self.predict(features[q], features[e], targets[e]) for q, e in blocks])


class Baseline(nn.Module):
    """I3D+MLP: the same features, a perceptron to one score, trained by squared error.

    mean, deviation  of the training targets: the perceptron regresses standardised scores
    """

    uses_exemplars = False

    def __init__(self, encoder, *, hidden: int, mean: float, deviation: float, dropout=0.0):
        super().__init__()
        self.encoder, self.mlp = encoder, perceptron(encoder.out_features, hidden, dropout)
        self.register_buffer("mean", torch.tensor(float(mean)))
        self.register_buffer("deviation", torch.tensor(float(deviation) or 1.0))

    encode = CoRe.encode

    def loss(self, features: Tensor, targets: Tensor, pairs: Tensor) -> Tensor:
        """Mean squared error of the standardised scores, of features [V, D]; pairs play no part."""
        wanted = (targets - self.mean) / self.deviation
        return F.mse_loss(self.mlp(features)[:, 0].float(), wanted.float())

    def predict(self, query: Tensor, exemplar=None, exemplar_targets=None) -> Tensor:
        """Features [P, D] -> targets [P], float64."""
        return self.mlp(query)[:, 0].double() * self.deviation.double() + self.mean.double()

    def compare(self, features: Tensor, targets: Tensor, query, exemplar, *, dtype=torch.float32):
        """As CoRe.compare; what the queries are compared with plays no part."""
        return self.predict(features)[query]


def build_model(
    recipe: Recipe, targets: np.ndarray, groups: np.ndarray, *, in_features: int | None = None
) -> CoRe | DirectDifference | Baseline | KernelRidge:
    """The system a recipe describes, its intervals and scales taken from the training samples.

    targets [n] and groups [n] of the training rows; in_features of a feature bank (projection
    only). The initial weights depend on recipe.seed alone.
    """
    r = recipe
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(r.seed)
        encoder = build_encoder(r, in_features)
        if r.system == "kernel":
            return KernelRidge(encoder, gamma=r.kernel_gamma, alpha=r.kernel_alpha)
        if r.system == "mlp":
            scale = {"mean": targets.mean(), "deviation": targets.std()}
            return Baseline(encoder, hidden=r.tree_width, dropout=r.dropout, **scale)
        theta = r.theta or float(targets.std()) or 1.0
        differences = PairDifferences(targets, groups)
        seen = {"theta": theta, "dropout": r.dropout, "exemplar_score": r.exemplar_score}
        if r.head == "direct":
            deviation = differences.root_mean_square()
            return DirectDifference(encoder, hidden=r.tree_width, deviation=deviation, **seen)
        divide = quantile_edges if r.intervals == "quantile" else equal_edges
        edges = divide(differences, r.depth, outer=theta if r.outer_edge == "theta" else None)
        intervals = ScoreGroups(
            edges,
            tolerance=r.tie_tolerance,
            mirrored=r.zero_side == "mirrored",
            closed=r.close_empty,
            clamp=r.outer_edge == "data",
        )
        in_tree = 2 * encoder.out_features + 1
        tree = RegressionTree(in_tree, depth=r.depth, width=r.tree_width, start=r.tree_start)
        return CoRe(encoder, intervals, tree, decoding=r.decoding, loss=r.loss, **seen)


def build_encoder(
    recipe: Recipe, in_features: int | None
) -> SnippetEncoder | StepProjection | FrozenEncoder:
    """I3D, from weights where the recipe names some, the projection of features, or both."""
    if recipe.encoder == "projection":
        return _head(recipe, in_features)
    if recipe.encoder == "frozen":
        with torch.random.fork_rng(devices=[]):  # the head starts as on features, at every seed
            torch.manual_seed(0)
            i3d = SnippetEncoder(_build_i3d(recipe))
            for module in i3d.modules() if not recipe.weights else ():
                if isinstance(module, nn.Conv3d):  # signals keep their size, as no norm sees data
                    nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
        return FrozenEncoder(i3d, _head(recipe, i3d.out_features))
    return SnippetEncoder(_build_i3d(recipe))


def _head(recipe: Recipe, in_features: int) -> nn.Module:
    """What reads features: their stretches, projected or not, or their place in the kernel."""
    r = recipe
    if r.system == "kernel":
        return OrderedStretches(in_features, r.stretches)
    if r.kernel_coordinates:
        how = {"gamma": r.kernel_gamma, "coordinates": r.kernel_coordinates}
        return KernelCoordinates(in_features, r.projection, stretches=r.stretches, **how)
    return StepProjection(in_features, r.projection, stretches=r.stretches)


def _build_i3d(recipe: Recipe) -> I3D:
    eps, again = recipe.batchnorm_eps, recipe.checkpointing
    i3d = I3D(width=recipe.width, eps=eps, checkpointing=again)
    if recipe.weights:
        load_weights(i3d, recipe.weights)
    return i3d


def freeze_batchnorm(model: nn.Module) -> None:
    """Let every BatchNorm use its stored statistics in training; its weights go on learning."""
    for module in model.modules():
        if isinstance(module, nn.modules.batchnorm._BatchNorm):
            module.eval()
