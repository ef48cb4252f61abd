"""What an evaluation costs: videos encoded, the time beyond encoding, re-encoding for every pair,
votes of all exemplars.

1. At MTL-AQA's size (353 test videos, 1,059 others, features simulated) every distinct video is
encoded once: counted.
2. With real encoding (I3D at laptop size) an evaluation takes as long as encoding its videos alone.
3. Encoding both videos of every pair again, as the released program does, takes many times as long
and says the same.
4. 353 queries vote over all 1,059 exemplars: a matrix operation.

    python tests/benchmarks/evaluation.py [--rounds 3]
"""

from __future__ import annotations

import tempfile
import time
from pathlib import Path

import click
import numpy as np
import torch
from encoder import plain
from side_by_side import NoiseVideos, machine_line, medians, simulated_table

from corelib.data.samples import SampleTable
from corelib.evaluation import encode, evaluate, open_inputs, vote
from corelib.machine.devices import pick_precision
from corelib.models import build_model
from corelib.pairs import Exemplars, draw_exemplars
from corelib.recipe import Recipe, named
from corelib.task import Task, group_labels

CPU = torch.device("cpu")


def system(table: SampleTable, recipe: Recipe, in_features: int | None = None):
    """An untrained CoRe and its training rows (evaluation costs the same before and after
    training)."""
    train = np.concatenate([table.rows("train"), table.rows("val")])
    targets, groups = table.target(recipe.with_difficulty), group_labels(table, recipe)
    return build_model(recipe, targets[train], groups[train], in_features=in_features).eval(), train


def count_videos(table: SampleTable) -> None:
    recipe = named("features", with_difficulty=True)
    source = open_inputs(table, recipe)
    model, pool = system(table, recipe, source.in_features)
    queries = table.rows("test")
    for exemplars in (10, "all"):
        calls = []
        handle = model.encoder.register_forward_hook(
            lambda module, inputs, output: calls.append(len(output))
        )
        judged = evaluate(
            model,
            source,
            Task.of(table, recipe),
            queries=queries,
            pool=pool,
            device=CPU,
            exemplars=exemplars,
            quick=True,
        )
        handle.remove()
        distinct = len(set(judged.votes["id"]) | set(judged.votes["exemplar"]))
        print(
            f"1. M = {exemplars}: {len(judged.votes):,} pairs, {distinct:,} distinct videos,"
            f" {sum(calls):,} encoded, in {len(calls)} calls"
        )


def against_encoding(rounds: int, folder: Path) -> None:
    """An eighth of MTL-AQA's size, and all pairs of it."""
    table = simulated_table(folder / "eighth", train=132, test=44, difficulties=6)
    recipe = named("laptop", with_difficulty=True)
    source = NoiseVideos(len(table.samples), recipe, height=72, width=72)
    model, pool = system(table, recipe)
    queries, precision = table.rows("test"), pick_precision(recipe.precision, CPU)
    everything = np.arange(len(table.samples))
    options = {"queries": queries, "pool": pool, "device": CPU, "quick": True}
    judged = evaluate(model, source, Task.of(table, recipe), exemplars=10, **options)
    needed = np.flatnonzero(
        table.samples["id"].isin(set(judged.votes["id"]) | set(judged.votes["exemplar"]))
    )
    seconds = medians(
        {
            "encoding, M = 10": lambda: encode(
                model, source, needed, device=CPU, precision=precision
            ),
            "evaluation, M = 10": lambda: evaluate(
                model, source, Task.of(table, recipe), exemplars=10, **options
            ),
            "encoding, M = all": lambda: encode(
                model, source, everything, device=CPU, precision=precision
            ),
            "evaluation, M = all": lambda: evaluate(
                model, source, Task.of(table, recipe), exemplars="all", **options
            ),
        },
        rounds,
    )
    for count in ("10", "all"):
        whole, encoding = seconds[f"evaluation, M = {count}"], seconds[f"encoding, M = {count}"]
        print(
            f"2. M = {count}: evaluation {whole:.2f} s, encoding its videos alone {encoding:.2f} s:"
            f" {whole / encoding:.2f} x ({precision})"
        )
    again(table, recipe.replace(precision="fp32"), source, model, options)
    again(table, recipe, source, model, options)


@torch.no_grad()
def again(table: SampleTable, recipe: Recipe, source, model, options: dict) -> None:
    """Both videos of every pair encoded again, one pair at a time, by the plain module in
    float32."""
    chosen = draw_exemplars(
        options["queries"],
        options["pool"],
        ids=table.samples["id"].to_numpy(),
        groups=group_labels(table, recipe),
        difficulty=table.samples["difficulty"].to_numpy(),
        count=10,
        seed=recipe.seed,
    )
    torch.manual_seed(0)
    released, _ = system(table, recipe)
    released.encoder.i3d = plain(released.encoder.i3d)
    targets = torch.as_tensor(table.target(True))

    def by_pairs(encoder) -> np.ndarray:
        said = []
        for query, exemplar in zip(options["queries"][chosen.query], chosen.exemplar, strict=True):
            features = torch.cat(
                [encoder(source.to_inputs(source.read([row]))) for row in (query, exemplar)]
            )
            said.append(released.predict(features[:1], features[1:], targets[[exemplar]]))
        return torch.cat(said).numpy()

    def plain_encode(snippets: torch.Tensor) -> torch.Tensor:
        return (
            released.encoder.i3d(snippets.flatten(0, 1).contiguous())
            .view(1, snippets.shape[1], -1)
            .mean(1)
        )

    evaluate(model, source, Task.of(table, recipe), exemplars=10, **options)
    started = time.perf_counter()
    judged = evaluate(model, source, Task.of(table, recipe), exemplars=10, **options)
    once = time.perf_counter() - started
    started = time.perf_counter()
    execution = by_pairs(plain_encode)
    paired = time.perf_counter() - started
    predicted = execution * table.samples["difficulty"].to_numpy()[options["queries"][chosen.query]]
    apart = np.abs(predicted - judged.votes["predicted"].to_numpy()).max() / np.ptp(predicted)
    print(
        f"3. M = 10: every pair encoded again by the plain module {paired:.1f} s, each video once"
        f" ({judged.summary['precision']}) {once:.2f} s: {paired / once:.1f} x; predictions apart"
        f" by at most {apart:.0e} of their range"
    )


def all_votes(table: SampleTable, rounds: int) -> None:
    queries, pool = table.rows("test"), np.concatenate([table.rows("train"), table.rows("val")])
    pairs = Exemplars(np.repeat(queries, len(pool)), np.tile(pool, len(queries)), {})
    for width, name in ((64, "laptop"), (256, "gpu")):
        recipe = named(name, encoder="projection", projection=128, stretches=2)
        model, _ = system(table, recipe, in_features=8)
        features, targets = (
            torch.randn(len(table.samples), 256, generator=torch.Generator().manual_seed(0)),
            torch.as_tensor(table.target(False)),
        )
        ways = {
            precision: lambda precision=precision: vote(
                model, features, targets, pairs, precision=precision
            )
            for precision in ("fp32", "bf16")
        }
        for precision, taken in medians(ways, rounds).items():
            print(
                f"4. {len(queries)} x {len(pool):,} = {len(pairs.query):,} votes, tree of depth"
                f" {recipe.depth} and width {width}, {precision}: {taken:.2f} s"
            )


@click.command(help=__doc__.splitlines()[0])
@click.option("--rounds", default=3, show_default=True, help="Times that each way is measured.")
def main(rounds: int) -> None:
    print(machine_line())
    with tempfile.TemporaryDirectory() as folder:
        table = simulated_table(Path(folder) / "mtl-aqa", train=1059, test=353)
        count_videos(table)
        against_encoding(rounds, Path(folder))
        all_votes(table, rounds)


if __name__ == "__main__":
    main()
