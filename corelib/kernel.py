"""Kernel ridge regression: a vote over all training samples, with weights made from similarity.

Nothing is trained by steps: the weights of the vote are the solution of one linear system. It is
what a network on the same features must beat, and close to CoRe: both say a query's score by those
of exemplars, CoRe by the differences that it has learnt to read, this by how alike the two are.

Source: Saunders, Gammerman and Vovk, Ridge regression learning algorithm in dual variables (1998).
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


class KernelRidge(nn.Module):
    """score(q) = mean + sum_i a_i k(q, i), k = exp(-gamma d^2 / m), m the training pairs' mean d^2.

    encoder  OrderedStretches, or a frozen I3D that ends in it
    gamma    how fast likeness falls with distance;  alpha  the ridge: how little to trust the data
    """

    uses_exemplars = False  # all training samples vote in every prediction: they are part of it

    def __init__(self, encoder: nn.Module, *, gamma: float, alpha: float):
        super().__init__()
        self.encoder, self.gamma, self.alpha = encoder, gamma, alpha
        self.register_buffer("rows", torch.zeros(0, encoder.out_features))  # training features
        self.register_buffer("coefficients", torch.zeros(0, dtype=torch.float64))  # a
        self.register_buffer("mean", torch.zeros((), dtype=torch.float64))
        self.register_buffer("scale", torch.ones((), dtype=torch.float64))  # m

    def encode(self, inputs: Tensor) -> Tensor:
        return self.encoder(inputs)

    @property
    def stretches(self) -> OrderedStretches:
        return getattr(self.encoder, "projection", self.encoder)

    @torch.no_grad()
    def solve(self, steps: Tensor, targets: Tensor) -> None:
        """Learn from training steps [n, S, D] and their targets [n]."""
        self.stretches.learn(steps)
        self.rows = self.stretches(steps)  # [n, features]
        distances = _squared_distances(self.rows, self.rows)
        n = len(distances)
        self.scale = distances.sum() / (n * (n - 1))
        self.mean = targets.double().mean()
        self.coefficients = torch.linalg.solve(self._ridged(), targets.double() - self.mean)

    def likeness(self, query: Tensor) -> Tensor:
        """k of features [P, D] with every training sample, [P, n], from 0 to 1."""
        return torch.exp(-self.gamma * _squared_distances(query, self.rows) / self.scale)

    def _ridged(self) -> Tensor:
        one = torch.eye(len(self.rows), dtype=torch.float64, device=self.rows.device)
        return self.likeness(self.rows) + self.alpha * one

    def weights(self, query: Tensor) -> Tensor:
        """The weight [P, n] of each training sample's score in the vote on features [P, D].

        They add up to 1, and some are negative: an exemplar can speak against its own score.
        """
        weights = torch.linalg.solve(self._ridged(), self.likeness(query).T).T
        return weights + (1 - weights.sum(dim=1, keepdim=True)) / len(self.rows)

    def predict(self, query: Tensor, exemplar=None, exemplar_targets=None) -> Tensor:
        """Features [P, D] -> targets [P], float64."""
        return self.mean + self.likeness(query) @ self.coefficients

    def compare(self, features: Tensor, targets: Tensor, query, exemplar, *, dtype=torch.float32):
        """As CoRe.compare; whom the queries are compared with is decided by now."""
        return self.predict(features)[query]

    def _load_from_state_dict(self, state, prefix, *args):
        for name in ("rows", "coefficients"):  # as many as the training had
            if prefix + name in state:
                setattr(self, name, torch.empty_like(state[prefix + name]))
        super()._load_from_state_dict(state, prefix, *args)


def _squared_distances(a: Tensor, b: Tensor) -> Tensor:
    """[A, D], [B, D] -> [A, B], float64."""
    return torch.cdist(a.double(), b.double()) ** 2
