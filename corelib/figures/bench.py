"""What the widget `exemplar_bench` shows: a query's exemplars, their verdicts, a pair's tree."""

from __future__ import annotations

import html
from dataclasses import dataclass

import numpy as np
import torch
from matplotlib.figure import Figure
from torch import Tensor

from corelib.data.samples import SampleTable
from corelib.figures import plots
from corelib.pairs import draw_exemplars


@dataclass
class Bench:
    """What a vote is made of: a CoRe and the features, targets and groups of every sample."""

    model: torch.nn.Module
    features: Tensor
    table: SampleTable
    targets: np.ndarray
    groups: np.ndarray

    def __post_init__(self):
        if not hasattr(self.model, "relate"):
            name = type(self.model).__name__
            raise ValueError(f"a bench of exemplars needs CoRe with its tree, not {name}")
        device = next(self.model.eval().parameters()).device
        self.ids, self.pool = self.table.samples["id"].to_numpy(), self.table.rows("train")
        self.features, self.targets = self.features.to(device), np.asarray(self.targets, float)
        self.known = torch.as_tensor(self.targets, dtype=torch.float32, device=device)

    def choices(self, queries: np.ndarray | None) -> list[tuple[str, int]]:
        """(text, row) of the queries to choose from: of the validation or else the test split."""
        if queries is None:
            queries = [*self.table.rows("val")] or self.table.rows("test")
        if len(queries) == 0:
            raise ValueError(f"{self.table.name}: there is no query to choose from")
        return [(f"{self.ids[row]} ({self.targets[row]:.4g})", int(row)) for row in queries]

    def exemplars(self, query: int, count: int, seed: int) -> np.ndarray:
        """The rows [M] drawn to vote on a query."""
        samples, asked = self.table.samples, np.array([query])
        difficulty = samples["difficulty"].to_numpy(float) if "difficulty" in samples else None
        who = {"ids": self.ids, "groups": self.groups, "difficulty": difficulty}
        return draw_exemplars(asked, self.pool, **who, count=count, seed=seed).exemplar

    @torch.no_grad()
    def verdicts(self, query: int, exemplars: np.ndarray) -> np.ndarray:
        """The query's score [M] as told from each exemplar."""
        queries = self.features[[query] * len(exemplars)]
        said = self.model.predict(queries, self.features[exemplars], self.known[exemplars])
        return said.cpu().numpy()

    @torch.no_grad()
    def tree(self, query: int, exemplar: int) -> Figure:
        """The figure of the tree that decides one pair."""
        q, e, known = self.features[[query]], self.features[[exemplar]], self.known[[exemplar]]
        log_probs, _ = self.model.relate(q, e, known)
        groups = self.model.groups
        return plots.tree(
            log_probs[0].cpu(),
            groups.left.cpu(),
            groups.right.cpu(),
            predicted=self.model.predict(q, e, known).item() - known.item(),
            true_difference=self.targets[query] - self.targets[exemplar],
            title=f"{self.ids[query]} against {self.ids[exemplar]}",
        )

    def sentence(self, query: int, exemplars: np.ndarray, verdicts: np.ndarray) -> str:
        """The vote in words."""
        strangers = int((self.groups[exemplars] != self.groups[query]).sum())
        voters = f"{len(exemplars)} exemplar{'s' if len(exemplars) > 1 else ''}"
        filled = f" ({strangers} of another group, for its own is too small)" if strangers else ""
        return (
            f"{voters} of {html.escape(self.ids[query])}{filled}: predicted"
            f" <b>{verdicts.mean():.2f}</b>, true <b>{self.targets[query]:.2f}</b>, verdicts"
            f" scatter by {verdicts.std():.2f}"
        )
