"""What the benchmark scripts share: ways of doing one thing, timed in turn, and simulated data of
any size."""

from __future__ import annotations

import resource
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import torch

from corelib.data.banks import write_bank
from corelib.data.clips import VideoClips
from corelib.data.samples import SampleTable, write_table
from corelib.recipe import Recipe
from corelib.runs.records import machine

CARD = {
    "name": "simulated",
    "title": "Simulated scores",
    "source": "tests/benchmarks/side_by_side.py",
    "licence": "none needed",
    "citation": "none",
    "score_range": [0, 110],
    "protocol": "fixed",
    "pairing_key": "difficulty",
    "divided_by_difficulty": True,
    "frame_rate": None,
    "frame_size": None,
    "left_out": [],
}


def machine_line(device: torch.device = torch.device("cpu")) -> str:
    """Device, threads and versions, for the first line of what a script prints."""
    found = machine(device)
    name = found["device"]
    if name == "cpu" and Path("/proc/cpuinfo").is_file():
        name = next(
            (
                line.split(":")[1].strip()
                for line in Path("/proc/cpuinfo").read_text().splitlines()
                if line.startswith("model name")
            ),
            name,
        )
    bf16 = [
        kind
        for kind, there in (
            ("AMX", torch.cpu._is_amx_tile_supported()),
            ("AVX512_BF16", torch.cpu._is_avx512_bf16_supported()),
        )
        if there
    ]
    parts = [
        name,
        f"{found['threads']} threads",
        f"bf16: {' '.join(bf16) or 'no'}",
        f"torch {found['torch']}",
        f"Python {found['python']}",
    ]
    return ", ".join(parts)


def medians(ways: dict[str, Callable[[], object]], rounds: int) -> dict[str, float]:
    """Seconds of each way, the median of `rounds`; the ways take turns, so that a busy minute falls
    on all of them."""
    taken: dict[str, list[float]] = {name: [] for name in ways}
    for way in ways.values():
        way()  # the first call lays out memory and plans convolutions
    for _ in range(rounds):
        for name, way in ways.items():
            started = time.perf_counter()
            way()
            taken[name].append(time.perf_counter() - started)
    return {name: statistics.median(values) for name, values in taken.items()}


def peak_gb() -> float:
    """Peak resident memory of this process so far, in GB (ru_maxrss is in KiB on Linux, in bytes on
    macOS)."""
    return (
        resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        * (1 if sys.platform == "darwin" else 1024)
        / 1e9
    )


def simulated_table(
    folder: Path, *, train: int, test: int, difficulties: int = 30, dim: int = 8, seed: int = 0
) -> SampleTable:
    """A prepared dataset of random features [N, 1, dim] that know a little of the score; about a
    sixth of it val rows."""
    rng = np.random.default_rng(seed)
    val = train // 6
    split = np.repeat(["train", "val", "test"], [train - val, val, test])
    difficulty = rng.choice(np.round(np.linspace(1.6, 4.1, difficulties), 2), len(split))
    marks = rng.normal(21, 4, len(split)).clip(0, 30).round(1)
    features = rng.normal(size=(len(split), 1, dim)).astype(np.float32)
    features[:, 0, 0] += marks / 4
    ids = [f"sample{number:06d}" for number in range(len(split))]
    folder.mkdir(parents=True, exist_ok=True)
    write_bank(folder / "features.safetensors", features, ids)
    samples = pd.DataFrame(
        {
            "id": ids,
            "split": split,
            "score": (marks * difficulty).round(2).clip(0, 110),
            "difficulty": difficulty,
            "media": ids,
        }
    )
    write_table(folder, CARD, samples)
    return SampleTable.load(folder)


class NoiseVideos(VideoClips):
    """Any number of videos whose stored frames are noise, ready in memory: what an encoder costs
    does not depend on them."""

    def __init__(self, count: int, recipe: Recipe, *, height: int, width: int, different: int = 16):
        self.recipe, self.count = recipe, count
        frames = recipe.frames + 2 * recipe.temporal_shift
        self.bank = torch.randint(
            0,
            256,
            (different, frames, height, width, 3),
            dtype=torch.uint8,
            generator=torch.Generator().manual_seed(0),
        )
        self.item_shape = tuple(self.bank.shape[1:])

    def __len__(self) -> int:
        return self.count

    def name(self, row: int) -> str:
        return f"noise {row}"

    def fetch(self, row: int, threads: int | None = None) -> np.ndarray:
        return self.bank[row % len(self.bank)].numpy()
