"""The paper's benchmarks: how each is prepared and trained, and each published row beside ours.

What reproduce.py goes by, and what docs/results.md prints: one source of the published numbers.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from corelib.recipe import SYSTEMS

AQA7 = (
    "diving", "gym-vault", "ski-big-air", "snowboard-big-air", "sync-diving-3m", "sync-diving-10m",
)  # fmt: skip
TASKS = ("knot-tying", "needle-passing", "suturing")
TEN_OF_160 = {
    "frames": 160,
    "frame_choice": "resample",
    "snippet_starts": tuple(range(0, 160, 16)),
    "temporal_shift": 0,
}
NEEDS_VIDEOS = "not measured: needs the videos"


@dataclass(frozen=True)
class Benchmark:
    """One of the paper's data sets.

    title      its name in tables
    script     what prepares it; `prepare`: {recipe: more options of it}
    datasets   the prepared folders; `glob` names them all below datasets/
    recipe     knobs on any recipe; `paper`: on the recipe `paper`, which is MTL-AQA's
    letter     what stands for those knobs in the table of commands
    published  {(system, with difficulty): (rho, R-l2 x100)} as the CoRe paper prints them, None
               where none is known
    measured   {(system, with difficulty): rho, R-l2 x100, recipe, seeds, machine in words}, where
               somebody could
    note       what there is to say beside the numbers; `source` of those not from the paper
    """

    title: str
    script: str
    datasets: tuple[str, ...]
    glob: str
    published: dict[tuple[str, bool], tuple[float, float | None] | None]
    prepare: dict[str, list[str]] = field(default_factory=dict)
    recipe: dict[str, object] = field(default_factory=dict)
    paper: dict[str, object] = field(default_factory=dict)
    letter: str = ""
    measured: dict[tuple[str, bool], str] = field(default_factory=dict)
    note: str = ""
    source: str = ""

    def knobs(self, recipe: str) -> dict[str, object]:
        """What the benchmark changes of a named recipe."""
        return self.recipe | (self.paper if recipe == "paper" else {})


BENCHMARKS = {
    "aqa7": Benchmark(
        "AQA-7",
        "prepare_aqa7.py",
        tuple(f"aqa7-{name}" for name in AQA7),
        "aqa7-*",
        {("mlp", False): (0.7601, 3.20), ("core", False): (0.8401, 2.12)},
        prepare={"paper": ["--range", "paper"]},
        paper={"target_unit": "percent", "batch": 2, "temporal_shift": 0},
        letter="A",
        note="The Fisher-z mean of the paper's own six classes is .8433; the paper prints .8401.",
    ),
    "mtl-aqa": Benchmark(
        "MTL-AQA",
        "prepare_mtl_aqa.py",
        ("mtl-aqa",),
        "mtl-aqa",
        {
            ("mlp", False): (0.9196, 0.465),
            ("mlp", True): (0.9381, 0.394),
            ("core", False): (0.9341, 0.365),
            ("core", True): (0.9512, 0.260),
        },
    ),
    "jigsaws": Benchmark(
        "JIGSAWS",
        "prepare_jigsaws.py",
        tuple(f"jigsaws-{name}" for name in TASKS),
        "jigsaws-*",
        {("mlp", False): None, ("core", False): (0.85, None)},
        recipe=TEN_OF_160,
        letter="J",
        source="second hand",
    ),
}


def name_of(system: str, with_difficulty: bool) -> str:
    """A system as tables name it: CoRe (w/ DD)."""
    return SYSTEMS[system] + (" (w/ DD)" if with_difficulty else "")


def options_of(knobs: dict[str, object]) -> str:
    """Knobs as a command line sets them."""
    texts = []
    for key, value in knobs.items():
        text = f"{key}={value}"
        if isinstance(value, tuple):
            text = f'"{key}=[{",".join(map(str, value))}]"'
        texts.append(f"--set {text}")
    return " ".join(texts)


def published_table() -> list[str]:
    """The lines, in Markdown, of every published row: its numbers, what was measured, commands."""
    lines = [
        "| row | published rho, R-l2 x100 | measured | recipe `paper` | recipe `gpu` |",
        "|---|---|---|---|---|",
    ]
    for benchmark in BENCHMARKS.values():
        for row, numbers in benchmark.published.items():
            commands = [f"`{_training(benchmark, *row, recipe)}`" for recipe in ("paper", "gpu")]
            cells = [
                f"{benchmark.title}, {name_of(*row)}",
                _published(benchmark, numbers),
                benchmark.measured.get(row, NEEDS_VIDEOS),
                *commands,
            ]
            lines.append(f"| {' | '.join(cells)} |")
    return lines


def _published(benchmark: Benchmark, numbers: tuple[float, float | None] | None) -> str:
    if numbers is None:
        return "none known"
    rho, rl2 = numbers
    digits = "-" if rl2 is None else f"{rl2:.3f}" if rl2 < 1 else f"{rl2:.2f}"
    source = f" ({benchmark.source})" if benchmark.source else ""
    return f"{rho:.4f}".rstrip("0").lstrip("0") + f", {digits.lstrip('0')}{source}"


def _training(benchmark: Benchmark, system: str, with_difficulty: bool, recipe: str) -> str:
    words = [f"datasets/{benchmark.glob}", "--system", system, "--recipe", recipe]
    words += ["--with-difficulty"] if with_difficulty else []
    return " ".join(words + ([benchmark.letter] if benchmark.knobs(recipe) else []))
