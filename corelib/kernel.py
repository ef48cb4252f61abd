"""How alike two samples are, and what can be learnt from that alone: a vote, and coordinates.

Kernel ridge regression is a vote over all training samples whose weights solve one linear system:
nothing is trained by steps. It is what a network on the same features must beat, and close to CoRe:
both say a query's score by those of exemplars, CoRe by the differences that it has learnt to read,
this by how alike the two are. The kernel's principal coordinates are numbers of few samples that a
network can read in place of their features.

Source: Saunders, Gammerman and Vovk, Ridge regression learning algorithm in dual variables (1998);
Schoelkopf, Smola and Mueller, Nonlinear component analysis as a kernel eigenvalue problem (1998).
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class OrderedStretches(nn.Module):
    """Steps of features [B, S, D] -> [B, stretches * D]: what a kernel compares.

    Each step is centred, its principal directions are divided by the square root of their standard
    deviation (so that a few loud ones do not drown the rest) and it gets length 1; the steps of
    each of a few equal stretches of time are averaged, and the stretches joined in their order.
    """

    def __init__(self, in_features: int, stretches: int):
        super().__init__()
        self.register_buffer("mean", torch.zeros(in_features))
        self.register_buffer("axes", torch.eye(in_features))  # [D, D]
        self.stretches, self.out_features = stretches, stretches * in_features

    def learn(self, steps: Tensor) -> None:
        """Centre and principal directions of training steps [n, S, D]."""
        rows = steps.flatten(0, 1).double()
        self.mean.copy_(rows.mean(dim=0))
        variances, directions = torch.linalg.eigh((rows - rows.mean(dim=0)).T.cov())
        least = 1e-6 * variances[-1]  # of what hardly moves, nothing but rounding would be left
        self.axes.copy_(directions * variances.clamp(min=least) ** -0.25 * (variances > least))

    def forward(self, steps: Tensor) -> Tensor:
        x = F.normalize((steps - self.mean) @ self.axes, dim=2)  # [B, S, D]
        x = F.adaptive_avg_pool1d(x.transpose(1, 2), self.stretches)  # [B, D, stretches]
        return F.normalize(x, dim=1).transpose(1, 2).flatten(1)


class _OfRows(nn.Module):
    """A module with buffers as long as its training had samples, when it is loaded, too."""

    def _load_from_state_dict(self, state, prefix, *args):
        for name in self._buffers:
            if prefix + name in state:
                setattr(self, name, torch.empty_like(state[prefix + name]))
        super()._load_from_state_dict(state, prefix, *args)


class Likeness(_OfRows):
    """k = exp(-gamma d^2 / m) of features [P, D] with n training samples, [P, n], from 0 to 1.

    d is the distance, m the mean d^2 of two training samples; gamma: how fast likeness falls
    """

    def __init__(self, features: int, gamma: float):
        super().__init__()
        self.gamma = gamma
        self.register_buffer("rows", torch.zeros(0, features))  # of the training samples
        self.register_buffer("scale", torch.ones((), dtype=torch.float64))  # m

    def learn(self, rows: Tensor) -> Tensor:
        """Take training features [n, D]; returns their likeness to one another, [n, n]."""
        self.rows, n = rows, len(rows)
        squared = self._squared_distances(rows)
        self.scale = squared.sum() / (n * (n - 1))
        return self._falling(squared)

    def forward(self, query: Tensor) -> Tensor:
        return self._falling(self._squared_distances(query))

    def _squared_distances(self, query: Tensor) -> Tensor:
        return torch.cdist(query.double(), self.rows.double()) ** 2

    def _falling(self, squared: Tensor) -> Tensor:
        return torch.exp(-self.gamma * squared / self.scale)


class KernelRidge(_OfRows):
    """score(q) = mean + sum_i a_i k(q, i) over the training samples i.

    encoder  OrderedStretches, or a frozen I3D that ends in it
    alpha    the ridge: how little to trust the data
    """

    uses_exemplars = False  # all training samples vote in every prediction: they are part of it

    def __init__(self, encoder: nn.Module, *, gamma: float, alpha: float):
        super().__init__()
        self.encoder, self.alpha = encoder, alpha
        self.likeness = Likeness(encoder.out_features, gamma)
        self.register_buffer("coefficients", torch.zeros(0, dtype=torch.float64))  # a
        self.register_buffer("mean", torch.zeros((), dtype=torch.float64))

    def encode(self, inputs: Tensor) -> Tensor:
        return self.encoder(inputs)

    @torch.no_grad()
    def solve(self, features: Tensor, targets: Tensor) -> None:
        """Learn from training features [n, D] and their targets [n]."""
        ridged = self._ridged(self.likeness.learn(features))
        self.mean = targets.double().mean()
        self.coefficients = torch.linalg.solve(ridged, targets.double() - self.mean)

    def _ridged(self, among: Tensor) -> Tensor:
        return among + self.alpha * torch.eye(len(among), dtype=among.dtype, device=among.device)

    def weights(self, query: Tensor) -> Tensor:
        """The weight [P, n] of each training sample's score in the vote on features [P, D].

        They add up to 1, and some are negative: an exemplar can speak against its own score.
        """
        ridged = self._ridged(self.likeness(self.likeness.rows))
        weights = torch.linalg.solve(ridged, self.likeness(query).T).T
        return weights + (1 - weights.sum(dim=1, keepdim=True)) / weights.shape[1]

    def predict(self, query: Tensor, exemplar=None, exemplar_targets=None) -> Tensor:
        """Features [P, D] -> targets [P], float64."""
        return self.mean + self.likeness(query) @ self.coefficients

    def compare(self, features: Tensor, targets: Tensor, query, exemplar, *, dtype=torch.float32):
        """As CoRe.compare; whom the queries are compared with is decided by now."""
        return self.predict(features)[query]


class KernelCoordinates(_OfRows):
    """A small encoder of likeness: steps [B, S, D] -> [B, projection].

    The principal coordinates of the kernel (kernel PCA, centred on the training samples) stand for
    a sample: how it lies among the training samples. A layer projects them, as StepProjection does
    the steps. What is not projected is learnt from the training steps before the first update.
    """

    SPREAD = 20.0  # of the coordinates, so that the projection begins with numbers around 1

    def __init__(
        self, in_features: int, projection: int, *, stretches: int, gamma: float, coordinates: int
    ):
        super().__init__()
        self.stretches = OrderedStretches(in_features, stretches)
        self.likeness = Likeness(self.stretches.out_features, gamma)
        self.register_buffer("centre", torch.zeros(0, dtype=torch.float64))  # [n]
        self.register_buffer("directions", torch.zeros(0, coordinates, dtype=torch.float64))
        self.project = nn.Linear(coordinates, projection)
        self.out_features = projection

    @torch.no_grad()
    def learn(self, steps: Tensor) -> None:
        """Take training steps [n, S, D]."""
        self.stretches.learn(steps)
        among = self.likeness.learn(self.stretches(steps))  # [n, n]
        self.centre = among.mean(dim=0)
        variances, directions = torch.linalg.eigh(self._centred(among))
        kept = min(self.project.in_features, len(among) - 1)  # fewer samples have fewer directions
        variances, directions = variances.flip(0)[:kept], directions.flip(1)[:, :kept]
        found = directions / variances.clamp(min=1e-9).sqrt()
        self.directions = F.pad(found, (0, self.project.in_features - kept))

    def _centred(self, likeness: Tensor) -> Tensor:
        own = likeness.mean(dim=1, keepdim=True)
        return likeness - own - self.centre + self.centre.mean()

    def coordinates(self, steps: Tensor) -> Tensor:
        """[B, S, D] -> [B, coordinates], float64; the first ones tell samples apart most."""
        return self._centred(self.likeness(self.stretches(steps))) @ self.directions

    def forward(self, steps: Tensor) -> Tensor:
        with torch.no_grad():
            found = self.SPREAD * self.coordinates(steps)
        return self.project(found.float()).relu()
