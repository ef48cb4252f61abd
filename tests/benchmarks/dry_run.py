"""The published protocols from end to end, at their full counts and with small pictures.

The real labels of MTL-AQA, AQA-7 and JIGSAWS, each laid out as its owners do; a sample's video is
one of a few procedural dives, the better the higher its score. Then the documented commands:
preparation, one epoch of the recipe `paper` for both systems with its size alone made small,
evaluation. That all of it runs, how many exemplars a test sample has, how long each stage takes
and how much memory, is real; rho and R-l2 say nothing of the benchmarks.

    CORE_AQA_DATA=FOLDER python tests/benchmarks/dry_run.py [--only mtl-aqa|aqa-7|jigsaws]
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import click
import numpy as np
import safetensors.torch
import scipy.io
import torch
from PIL import Image
from side_by_side import machine_line
from torchvision.transforms.v2.functional import resize

from corelib.data.clips import normalise
from corelib.data.samples import SampleTable
from corelib.data.video import read_video, write_video
from corelib.i3d import I3D
from corelib.recipe import named
from corelib.task import Task
from data_scripts.dives.dataset import make_dives
from data_scripts.prepare_aqa7 import CLASSES
from data_scripts.prepare_mtl_aqa import read_mtl_aqa
from data_scripts.readers.jigsaws_files import TASKS, read_labels

ROOT = Path(__file__).resolve().parents[2]
SMALL = {"width": "0.0625", "resize": "[48,27]", "crop": "24"}  # of 1, [455,256] and 224
# The script and its options, what docs/results.md adds to the recipe, whether difficulty is known
PLANS = {
    "mtl-aqa": ("prepare_mtl_aqa.py", ["--out", "datasets/mtl-aqa"], {}, True),
    "aqa-7": (
        "prepare_aqa7.py",
        ["--out", "datasets", "--range", "paper"],
        {"target_unit": "percent", "batch": "2", "temporal_shift": "0"},
        False,
    ),
    "jigsaws": (
        "prepare_jigsaws.py",
        ["--splits", "raw/jigsaws/splits.pkl", "--out", "datasets"],
        {
            "frames": "160",
            "frame_choice": "resample",
            "snippet_starts": "[0,16,32,48,64,80,96,112,128,144]",
            "temporal_shift": "0",
        },
        False,
    ),
}
LINKS = 30_000  # names a file may have on every usual file system
NEEDED = (
    "mtl_aqa/final_annotations_dict_with_dive_number.pkl", "mtl_aqa/train_split_0.pkl",
    "mtl_aqa/test_split_0.pkl", "aqa7/consolidated_train_list.mat",
    "aqa7/consolidated_test_list.mat", "jigsaws/label.pkl", "jigsaws/splits.pkl",
)  # fmt: skip


class Films:
    """Procedural dives as JPEG files: films[i] is the i-th worst, a list of its frames' paths."""

    def __init__(self, folder: Path, count: int = 40, frames: int = 103, size: int = 64):
        dives = make_dives(folder / "dives", train=count, val=0, test=0, frames=frames, size=size)
        samples = dives.samples.sort_values("score", kind="stable")
        self.pictures = [read_video(dives.root / media) for media in samples["media"]]
        self.frames = [
            [self._save(folder / f"film-{i:02d}-{n:03d}.jpg", picture) for n, picture in frames]
            for i, frames in enumerate(map(enumerate, self.pictures))
        ]
        self.videos = [folder / f"film-{i:02d}.avi" for i in range(count)]
        for path, pictures in zip(self.videos, self.pictures, strict=True):
            write_video(path, pictures, 25)
        black = np.zeros_like(self.pictures[0][0])
        self.between = [self._save(folder / f"between-{i:02d}.jpg", black) for i in range(99)]

    @staticmethod
    def _save(path: Path, picture: np.ndarray) -> Path:
        Image.fromarray(picture).save(path, quality=90)
        return path

    def of(self, scores: np.ndarray) -> np.ndarray:
        """Which film [n] shows each of these scores [n]: equal ranks."""
        ranks = np.argsort(np.argsort(scores, kind="stable"), kind="stable")
        return ranks * len(self.frames) // len(scores)


def lay_out_mtl_aqa(raw: Path, data: Path, films: Films) -> None:
    """Every event's folder with as many frames as its annotations reach, names of few files."""
    shutil.copytree(data / "mtl_aqa", raw / "info")
    dives = read_mtl_aqa(raw / "info")
    films_of = dict(zip(dives["id"], films.of(dives["score"].to_numpy()), strict=True))
    used = 0
    for event, part in dives.groupby("media"):
        folder = raw / "new" / "new_total_frames_256s" / event
        folder.mkdir(parents=True)
        shown: list[Path | None] = [None] * (part["end"].max() + 10)
        for dive in part.itertuples():
            film = films.frames[films_of[dive.id]]
            steps = np.linspace(0, len(film) - 1, dive.end - dive.start).round().astype(int)
            shown[dive.start : dive.end] = [film[step] for step in steps]
        for number, file in enumerate(shown):
            used += file is None
            os.link(file or films.between[used // LINKS], folder / f"{number + 1:08d}.jpg")


def lay_out_aqa7(raw: Path, data: Path, films: Films) -> None:
    """Frame folders in every other class, .avi files in the rest; scores as they were judged."""
    (raw / "Split_4").mkdir(parents=True)
    tables = []
    for split in ("train", "test"):
        name = f"consolidated_{split}_list"
        tables.append(scipy.io.loadmat(data / "aqa7" / f"{name}.mat")[name].astype(float))
        tables[-1][:, 2] /= 100  # these lists hold 100 times the judged score
        scipy.io.savemat(raw / "Split_4" / f"split_4_{split}_list.mat", {name: tables[-1]})
    kinds, samples, scores = np.concatenate(tables).T
    for kind, name in enumerate(CLASSES, 1):
        own = kinds == kind
        for sample, film in zip(samples[own].astype(int), films.of(scores[own]), strict=True):
            place = raw / f"{name}-out" / f"{sample:03d}"
            (place if kind % 2 else place.parent).mkdir(parents=True, exist_ok=True)
            if kind % 2:
                for number, file in enumerate(films.frames[film], 1):
                    os.link(file, place / f"img_{number:05d}.jpg")
            else:
                os.link(films.videos[film], place.with_suffix(".avi"))


def lay_out_jigsaws(raw: Path, data: Path, films: Films) -> None:
    """Both cameras' videos and the meta files; the self-proclaimed level is not known, so N."""
    items, problems = read_labels(data / "jigsaws" / "label.pkl")
    assert not problems, problems
    for task in TASKS:
        trials = sorted(trial for trial in items if trial.startswith(task))
        scores = np.array([sum(items[trial]) for trial in trials])
        (raw / task / "video").mkdir(parents=True)
        lines = []
        for trial, score, film in zip(trials, scores, films.of(scores), strict=True):
            lines.append("\t".join(map(str, [trial, "N", score, *items[trial]])))
            for camera in (1, 2):
                name = f"{trial}_capture{camera}.avi"
                os.link(films.videos[film], raw / task / "video" / name)
        (raw / task / f"meta_file_{task}.txt").write_text("\n".join(lines) + "\n")
    shutil.copy(data / "jigsaws" / "splits.pkl", raw)


LAY_OUT: dict[str, Callable[[Path, Path, Films], None]] = {
    "mtl-aqa": lay_out_mtl_aqa,
    "aqa-7": lay_out_aqa7,
    "jigsaws": lay_out_jigsaws,
}


def stand_in_weights(path: Path, films: Films) -> None:
    """Random weights whose normalisation fits what they see, as that of Kinetics weights does."""
    torch.manual_seed(0)
    i3d = I3D(width=float(SMALL["width"]))
    for module in i3d.modules():
        if isinstance(module, torch.nn.BatchNorm3d):
            module.momentum = 1.0  # the statistics of one batch
    clips = [pictures[start : start + 16] for pictures in films.pictures for start in (0, 40, 86)]
    with torch.no_grad():
        small = resize(torch.from_numpy(np.stack(clips)).permute(0, 1, 4, 2, 3).flatten(0, 1), 32)
        small = small.unflatten(0, (-1, 16)).permute(0, 1, 3, 4, 2)[:, :, 4:28, 4:28]
        i3d.train()(normalise(small, "imagenet"))
    safetensors.torch.save_file(i3d.state_dict(), path)


def run(stage: str, arguments: list[str], work: Path) -> None:
    """One command as documented; prints it, what it says, its seconds and its peak memory."""
    shown = ["python", *(f"data_scripts/{part}" if part.startswith("prepare_") else part
                         for part in arguments)]  # fmt: skip
    print("$ " + " ".join(f'"{part}"' if "[" in part else part for part in shown), flush=True)
    program = [sys.executable, *(str(ROOT / part) if "data_scripts/" in part else part
                                 for part in shown[1:])]  # fmt: skip
    started = time.perf_counter()
    with (work / f"{stage}.log").open("w") as log:
        process = subprocess.Popen(program, cwd=work, stdout=subprocess.PIPE, stderr=log, text=True)
        said = process.stdout.read().rstrip()
        _, status, used = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if len(lines := said.splitlines()) > 12:  # of many runs the table alone
        said = "\n".join(x for x in lines if " epoch " not in x and not x.startswith("run:"))
    seconds, peak = time.perf_counter() - started, used.ru_maxrss * 1024 / 1e9  # Linux: in KiB
    busy = used.ru_utime + used.ru_stime  # less than `seconds` where others use the machine
    print(
        f"{said}\n  {stage}: {seconds:.0f} s, {busy:.0f} s of CPU, peak {peak:.2f} GB\n", flush=True
    )
    if process.returncode:
        sys.exit((work / f"{stage}.log").read_text()[-2000:])


def tell_exemplars(folder: Path, with_difficulty: bool) -> None:
    """How many samples there are, and how many exemplars a test sample has to choose from."""
    table, recipe = SampleTable.load(folder), named("paper", with_difficulty=with_difficulty)
    learnt, tested, groups, found = [], [], [], []
    for fold in table.folds or [None]:
        task = Task.of(table.of_fold(fold), recipe)
        pool = task.groups[task.pool]
        learnt.append(len(pool))
        tested.append(len(task.test))
        groups += np.unique(pool, return_counts=True)[1].tolist()
        found += [(pool == label).sum() for label in task.groups[task.test]]
    folds = f"{len(table.folds)} folds, " if table.folds else ""
    few = sum(count < 10 for count in found)
    print(
        f"  {table.name}: {folds}{_span(learnt)} train, {_span(tested)} test;"
        f" {len(groups)} group(s) of {_span(groups)}, median {np.median(groups):g};"
        f" exemplars of a test sample: min {min(found)},"
        f" median {np.median(found):g}, fewer than 10 for {few} of {len(found)}"
    )


def _span(counts: list[int]) -> str:
    low, high = min(counts), max(counts)
    return f"{low}" if low == high else f"{low} to {high}"


def dry_run(benchmark: str, data: Path, work: Path, films: Films) -> None:
    """One benchmark from its layout to its protocol's table."""
    print(f"== {benchmark}", flush=True)
    started = time.perf_counter()
    raw = work / "raw" / benchmark
    LAY_OUT[benchmark](raw, data, films)
    files = sum(len(names) for *_, names in os.walk(raw))
    print(f"  laid out: {files} files, {time.perf_counter() - started:.0f} s\n", flush=True)
    script, arguments, knobs, with_difficulty = PLANS[benchmark]
    run(f"{benchmark} prepare", [script, "--raw", f"raw/{benchmark}", *arguments], work)
    datasets = sorted(path.parent for path in (work / "datasets").glob("*/dataset.json"))
    changed = SMALL | {"epochs": "1", "weights": "weights.safetensors"} | knobs
    settings = [word for key, value in changed.items() for word in ("--set", f"{key}={value}")]
    for folder in datasets:
        tell_exemplars(folder, with_difficulty)
    known = ["--with-difficulty"] if with_difficulty else []
    for system in ("mlp", "core"):
        command = ["-m", "corelib", "train", *(f"datasets/{folder.name}" for folder in datasets)]
        command += ["--system", system, "--recipe", "paper", *known]
        command += ["--out", f"runs/{benchmark}-{system}", *settings]
        run(f"{benchmark} {system} train", command, work)
    runs = sorted(str(path.relative_to(work)) for path in (work / "runs").glob(f"{benchmark}-*"))
    run(f"{benchmark} evaluate", ["-m", "corelib", "evaluate", *runs], work)


@click.command(help=__doc__.splitlines()[0])
@click.option("--only", type=click.Choice(list(LAY_OUT)), help="One benchmark.  [default: all]")
def main(only: str | None) -> None:
    data = Path(os.environ.get("CORE_AQA_DATA", ""))
    missing = [name for name in NEEDED if not (data / name).is_file()]
    if not os.environ.get("CORE_AQA_DATA") or missing:
        sys.exit(
            "the real labels are needed: set CORE_AQA_DATA to a folder with"
            f" {', '.join(missing or NEEDED)} (docs/data.md says where they are from)"
        )
    started = time.perf_counter()
    # so small a network is slower on several threads; the commands inherit this
    torch.set_num_threads(int(os.environ.setdefault("OMP_NUM_THREADS", "1")))
    print(machine_line(), f"\nsmall: {SMALL} in place of 1, [455,256] and 224\n", flush=True)
    with tempfile.TemporaryDirectory(prefix="dry-run-") as folder:
        work = Path(folder)
        (work / "films").mkdir()
        films = Films(work / "films")
        stand_in_weights(work / "weights.safetensors", films)
        print(f"films drawn: {time.perf_counter() - started:.0f} s\n", flush=True)
        for benchmark in [only] if only else LAY_OUT:
            dry_run(benchmark, data, work, films)
            for part in ("raw", "datasets", "runs"):
                taken = subprocess.run(["du", "-sm", work / part], capture_output=True, text=True)
                print(f"  {part}: {taken.stdout.split()[0]} MB on disk")
                shutil.rmtree(work / part)
    print(f"\naltogether {time.perf_counter() - started:.0f} s")


if __name__ == "__main__":
    main()
