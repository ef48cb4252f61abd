"""Encoders that learn from features: computed before, or by an I3D that learns no more."""

from __future__ import annotations

import copy

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class StepProjection(nn.Module):
    """A small encoder of precomputed features: [B, S, D_in] -> [B, stretches * projection].

    The steps of each of a few equal stretches of time are averaged and projected, and the stretches
    joined, so that a little of the order of events is kept. Averaging first gives what averaging
    the projected steps would, at a fraction of the work.
    """

    def __init__(self, in_features: int, projection: int, *, stretches: int = 1):
        super().__init__()
        self.norm = nn.LayerNorm(in_features)
        self.project = nn.Linear(in_features, projection)
        self.stretches = stretches
        self.out_features = stretches * projection

    def forward(self, steps: Tensor) -> Tensor:
        x = self.norm(steps).transpose(1, 2)  # [B, D_in, S]
        x = F.adaptive_avg_pool1d(x, self.stretches)  # [B, D_in, stretches]
        return self.project(x.transpose(1, 2)).flatten(1)  # [B, stretches * projection]


class FrozenEncoder(nn.Module):
    """A pretrained I3D (a SnippetEncoder) that learns no more, and a projection that does.

    Snippets [B, S, 3, L, H, W], or their features [B, S, D] that were computed before, ->
    [B, stretches * projection]
    """

    def __init__(self, i3d: nn.Module, projection: StepProjection):
        super().__init__()
        self.i3d, self.projection = i3d.requires_grad_(False), projection
        self.out_features = projection.out_features

    def train(self, mode: bool = True) -> FrozenEncoder:
        super().train(mode)
        self.i3d.eval()  # the stored statistics are Kinetics'
        return self

    def forward(self, inputs: Tensor) -> Tensor:
        if inputs.ndim == 6:
            inputs = self.i3d.each(inputs.to(next(self.i3d.parameters()).dtype))  # [B, S, D]
        return self.projection(inputs.float())

    def lean(self, dtype: torch.dtype = torch.float32) -> FrozenEncoder:
        """A copy for inference: the I3D as SnippetEncoder.lean makes it."""
        lean = copy.copy(self)
        lean._modules = self._modules | {"i3d": self.i3d.lean(dtype)}
        return lean
