"""The inference encoder against the plain I3D module in float32: times as fast, and how equal the
features are.

"plain" is the module as it is trained, with its weights and clips laid out channel after channel,
as the released code has them. "lean" has BatchNorm folded into the convolutions and channels last
in memory (models.SnippetEncoder.lean).

    python tests/benchmarks/encoder.py [--rounds 7] [--compile] [--run RUN]
"""

from __future__ import annotations

from functools import partial

import click
import torch
from side_by_side import machine_line, medians
from torch.nn import functional as F

from corelib.i3d import I3D, MaxPool3dSame, SnippetEncoder, Unit3D, pad_same
from corelib.runs.run import Run

SIZES = {  # width of I3D, clips [B, 3, T, H, W]
    "laptop: width 1/4, 16 snippets of 16 x 64 x 64": (0.25, (16, 3, 16, 64, 64)),
    "full: width 1, 4 snippets of 16 x 224 x 224": (1.0, (4, 3, 16, 224, 224)),
}


def plain_unit(unit: Unit3D, x: torch.Tensor) -> torch.Tensor:
    return F.relu(unit.batch3d(unit.conv3d(pad_same(x, unit.kernel, unit.stride))))


def plain_pool(pool: MaxPool3dSame, x: torch.Tensor) -> torch.Tensor:
    return F.max_pool3d(pad_same(x, pool.kernel, pool.stride), pool.kernel, pool.stride)


def plain(i3d: I3D) -> I3D:
    """The module as the released code runs it: padding, convolution, BatchNorm and ReLU one after
    the other, memory laid out channel after channel."""
    for module in i3d.modules():
        if isinstance(module, Unit3D):
            module.forward = partial(plain_unit, module)
        if isinstance(module, MaxPool3dSame):
            module.forward = partial(plain_pool, module)
    return i3d.to(memory_format=torch.contiguous_format)


def with_statistics(i3d: I3D) -> I3D:
    """Running statistics and weights of a network that has been trained, made up by a seed."""
    generator = torch.Generator().manual_seed(1)
    for module in i3d.modules():
        if isinstance(module, torch.nn.BatchNorm3d):
            for tensor, low, high in (
                (module.running_mean, -0.2, 0.2),
                (module.running_var, 0.1, 1.0),
                (module.weight.data, 0.5, 1.5),
                (module.bias.data, -0.2, 0.2),
            ):
                tensor.copy_(torch.empty_like(tensor).uniform_(low, high, generator=generator))
    return i3d.eval()


@click.command(help=__doc__.splitlines()[0])
@click.option("--rounds", default=7, show_default=True, help="Times that each way is measured.")
@click.option(
    "--compile",
    "compiled",
    is_flag=True,
    help="Measure torch.compile of the lean copies too (it takes minutes to begin).",
)
@click.option(
    "--run",
    "folder",
    type=click.Path(exists=True),
    help="A trained run: evaluate it with the lean encoder in float32 and in bfloat16.",
)
@torch.no_grad()
def main(rounds: int, compiled: bool, folder: str | None) -> None:
    print(machine_line())
    for title, (width, shape) in SIZES.items():
        torch.manual_seed(0)
        encoder = SnippetEncoder(with_statistics(I3D(width=width)))
        clips = torch.rand(shape) * 2 - 1
        lean, half = encoder.lean(), encoder.lean(torch.bfloat16)
        torch.manual_seed(0)
        released = plain(with_statistics(I3D(width=width)))
        snippets = clips[:, None]  # [B, 1, 3, T, H, W]
        ways = {
            "plain, float32": lambda: released(clips),
            "lean, float32": lambda: lean(snippets),
            "lean, bfloat16": lambda: half(snippets.bfloat16()).float(),
        }
        if compiled:
            faster, fastest = torch.compile(lean), torch.compile(half)
            ways["lean, float32, compiled"] = lambda: faster(snippets)
            ways["lean, bfloat16, compiled"] = lambda: fastest(snippets.bfloat16()).float()
        features = {name: way() for name, way in ways.items()}
        seconds = medians(ways, rounds)
        head = f"{'':28}{'clips/s':>9}{'times plain':>13}{'relative difference':>21}{'cosine':>10}"
        print(f"\n{title}\n{head}")
        reference = features["plain, float32"]
        for name, taken in seconds.items():
            apart = ((features[name] - reference).norm() / reference.norm()).item()
            cosine = torch.cosine_similarity(features[name], reference).min().item()
            rate, times = len(clips) / taken, seconds["plain, float32"] / taken
            print(f"{name:28}{rate:9.2f}{times:13.2f}{apart:21.1e}{cosine:10.5f}")
    if folder:
        run = Run.load(folder)
        print(f"\n{run.folder.name}")
        for precision in ("fp32", "bf16"):
            run.recipe = run.recipe.replace(precision=precision)
            found = run.evaluate().summary
            print(
                f"evaluated in {found['precision']}: rho {found['spearman']:.4f}, R-l2 x100"
                f" {found['rl2_x100']:.4f}, {found['encoded']} videos encoded"
            )


if __name__ == "__main__":
    main()
