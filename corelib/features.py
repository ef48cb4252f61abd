"""The encoder of precomputed features, in place of I3D where a dataset holds no videos."""

from __future__ import annotations

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
