"""Whether a commit and this tree compute the same, to the last digit: their outputs side by side.

    python tests/reference.py [--base REV]      REV: the commit to compare with (default: HEAD)

Both go through the same command lines, on one thread and in fp32: the procedural dives, the
prepared datasets of every script on a fixture, short trainings, an evaluation and a score. What
is compared is what they write. Processors round differently, so nothing is kept: both sides are
recorded on the same machine in one run. Exit code 1 where something differs.
"""

from __future__ import annotations

import argparse
import csv
import hashlib
import json
import os
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np

TREE = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(TREE))  # run by its path

DIVES = "--train 20 --val 0 --test 8 --frames 20 --size 32 --numbers 103B,407C,5253B --workers 1"
SMALL = "--set epochs=3 --set exemplars=4 --set precision=fp32"
TINY = (
    "--set frames=16 --set snippet_starts=[0] --set crop=28 --set width=0.0625 --set tree_width=16"
    " --set batch=6"
)
RESIZED = "--set resize=[32,32]"
STATED = "--set resize=[32,32] --set temporal_shift=1"
TIMES = ("seconds", "device", "notebook", "table_sha256")  # of metrics.json: not of the method

# name: what is prepared, from RAW (official layouts) or DIVES into OUT
PREPARED = {
    "dives": f"make_dives.py --out OUT {DIVES} --seed 0",
    "dives-all": "make_dives.py --out OUT --train 3 --val 1 --test 2 --frames 36 --size 72 --seed 7"
                 " --numbers all --workers 1",
    "mtl-aqa": "prepare_mtl_aqa.py --raw RAW/mtl-aqa --out OUT",
    "mtl-aqa-events": "prepare_mtl_aqa.py --raw RAW/mtl-aqa --out OUT --split events"
                      " --pair-by group",
    "aqa7": "prepare_aqa7.py --raw RAW/aqa-7 --out OUT --range paper",
    "jigsaws": "prepare_jigsaws.py --raw RAW/jigsaws --splits RAW/splits.pkl --out OUT",
    "jigsaws-users": "prepare_jigsaws.py --raw RAW/jigsaws --folds user --camera right --out OUT"
                     " --task Suturing",
    "finediving": "prepare_finediving.py --raw RAW/finediving --out OUT",
    "videos": "prepare_videos.py --videos RAW/videos --scores RAW/videos/scores.csv --out OUT",
    "features": "prepare_features.py --features RAW/npy --labels RAW --score TES --steps 8"
                " --out OUT",
}  # fmt: skip
# name: (dataset under PREPARED, options of train)
TRAINED = {
    "core": ("dives", f"--recipe smoke {SMALL}"),
    "core-dd": ("dives", f"--recipe laptop --with-difficulty {SMALL} {TINY}"),
    "mlp": ("dives", f"--recipe smoke --system mlp {SMALL}"),
    "mlp-dd": ("dives", f"--recipe laptop --system mlp --with-difficulty {SMALL} {TINY}"),
    "paper": ("mtl-aqa", f"--recipe paper --with-difficulty {SMALL} {TINY} {STATED}"),
    "gpu": ("finediving", f"--recipe gpu {SMALL} {TINY} {STATED} --set checkpointing=true"),
    "direct": ("dives", f"--recipe smoke {SMALL} --set head=direct --set pairing=two"),
    "odd": ("dives", f"--recipe smoke {SMALL} --set pair_by=group --set intervals=equal"
            " --set decoding=most_probable --set exemplar_score=false --set accumulate=2"
            " --set refit=true --set epochs=4"),
    "percent": ("aqa7/aqa7-diving", f"--recipe smoke {SMALL} --set target_unit=percent {RESIZED}"),
    "folds": ("jigsaws/jigsaws-suturing", f"--recipe smoke {SMALL} {RESIZED} --set epochs=1"),
    "features-core": ("features", "--recipe features --set epochs=3"),
    "features-mlp": ("features", "--recipe features --system mlp --set epochs=3"
                     " --set least_steps=20"),
}  # fmt: skip
ASKED = {
    "evaluate": "evaluate OUT/core-dd --split train --exemplars all --json",
    "score": "score OUT/core-dd PREPARED/dives/videos/VIDEO --difficulty 2.7 --json",
    "score-group": "score OUT/odd PREPARED/dives/videos/VIDEO --group 103B --json",
}


def write_raw(raw: Path, dives: Path) -> None:
    """Every official layout, a folder of videos with a score sheet, and a folder of features, under
    `raw`."""
    from corelib.data.samples import SampleTable
    from tests import official_layouts as official

    table = SampleTable.load(dives)
    official.write_mtl_aqa(raw / "mtl-aqa", table)
    official.write_aqa7(raw / "aqa-7", table)
    official.write_jigsaws(raw / "jigsaws", table)
    official.write_finediving(raw / "finediving", table)
    (raw / "videos").mkdir()
    rows = ["clip;points;judge a;judge b;split"]
    for number, sample in enumerate(table.samples.itertuples()):
        (raw / "videos" / f"v{number}.mp4").write_bytes((table.root / sample.media).read_bytes())
        mark = f"{sample.score / 20:.1f}".replace(".", ",")
        rows.append(f"v{number};{sample.score:.2f};{mark};{mark};{sample.split}".replace(".", ","))
    (raw / "videos" / "scores.csv").write_text("\n".join(rows) + "\n")
    (raw / "npy").mkdir()
    rng, labels = np.random.default_rng(0), {"train": [], "test": []}
    for number in range(40):
        np.save(
            raw / "npy" / f"{number}.npy", rng.standard_normal((20 + number, 12)).astype(np.float32)
        )
        labels["test" if number % 4 == 3 else "train"].append(
            f"{number} {20 + number * 0.37:.2f} {25 + number % 7} {number % 2}"
        )
    for split, lines in labels.items():
        (raw / f"{split}.txt").write_text("\n".join(lines) + "\n")


def record(tree: Path, raw: Path, work: Path) -> dict[str, str]:
    """Go through every command of a tree, in `work`; returns {what: digest of what came out}."""
    prepared, runs = work / "prepared", work / "runs"
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        list(pool.map(lambda item: _prepare(tree, raw, prepared, *item), PREPARED.items()))
        list(pool.map(lambda item: _train(tree, prepared, runs, *item), TRAINED.items()))
    found = {}
    for path in sorted([*prepared.rglob("*"), *runs.rglob("*")]):
        if path.is_file() and "cache" not in path.parts and not path.name.startswith("."):
            content = read(path)
            if content is not None:
                found[str(path.relative_to(work))] = hashlib.sha256(content).hexdigest()
    video = sorted((prepared / "dives" / "videos").iterdir())[0].name
    for name, command in ASKED.items():
        words = (
            command.replace("OUT", str(runs))
            .replace("PREPARED", str(prepared))
            .replace("VIDEO", video)
        )
        said = json.loads(_call(tree, "-m", "corelib", *words.split()))
        found[name] = hashlib.sha256(
            json.dumps(_of_method(said), sort_keys=True).replace(str(work), "").encode()
        ).hexdigest()
    return found


def _prepare(tree: Path, raw: Path, prepared: Path, name: str, command: str) -> None:
    script, *words = command.replace("OUT", str(prepared / name)).replace("RAW", str(raw)).split()
    prepared.mkdir(parents=True, exist_ok=True)
    _call(tree, str(tree / "data_scripts" / script), *words)


def _train(tree: Path, prepared: Path, runs: Path, name: str, trained: tuple[str, str]) -> None:
    dataset, options = trained
    _call(
        tree,
        "-m",
        "corelib",
        "train",
        str(prepared / dataset),
        "--out",
        str(runs / name),
        "--device",
        "cpu",
        *options.split(),
        "--json",
    )


def _call(tree: Path, *command: str) -> str:
    variables = os.environ | {
        "OMP_NUM_THREADS": "1",
        "PYTHONPATH": str(tree),
        "PYTHONWARNINGS": "ignore",
    }
    done = subprocess.run(
        [sys.executable, *command], cwd=tree, env=variables, capture_output=True, text=True
    )
    if done.returncode:
        sys.exit(f"{tree}: {' '.join(command)}\n{done.stderr}")
    return done.stdout


def read(path: Path) -> bytes | None:
    """What of a file belongs to the method, as bytes; None for one of which nothing does."""
    if path.name in ("recipe.json", "environment.json", "last.pt"):
        # knobs may go, versions and places differ; the checkpoint is what best.safetensors tells
        return None
    if path.name == "history.csv":
        rows = list(csv.DictReader(path.open()))
        return json.dumps(
            [{key: value for key, value in row.items() if key != "seconds"} for row in rows]
        ).encode()
    if path.name == "metrics.json":
        return json.dumps(_of_method(json.loads(path.read_text())), sort_keys=True).encode()
    if path.suffix == ".safetensors":
        from safetensors.numpy import load_file

        tensors = load_file(path)
        return b"".join(
            f"{name} {part.dtype} {part.shape};".encode() + part.tobytes()
            for name, part in tensors.items()
        )
    return path.read_bytes()


def _of_method(found):
    if isinstance(found, list):
        return [_of_method(entry) for entry in found]
    if isinstance(found, dict):
        return {key: _of_method(value) for key, value in found.items() if key not in TIMES}
    return found


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--base", default="HEAD")
    base = parser.parse_args().base
    with tempfile.TemporaryDirectory() as scratch:
        work, tree = Path(scratch), Path(scratch) / "tree"
        subprocess.run(
            ["git", "-C", TREE, "worktree", "add", "-q", "--detach", tree, base], check=True
        )
        try:
            _prepare(tree, work, work / "raw", "dives", PREPARED["dives"])
            write_raw(work / "raw", work / "raw" / "dives")
            before = record(tree, work / "raw", work / "before")
        finally:
            subprocess.run(["git", "-C", TREE, "worktree", "remove", "--force", tree], check=True)
        now = record(TREE, work / "raw", work / "now")
    differing = sorted(
        name for name in before.keys() | now.keys() if before.get(name) != now.get(name)
    )
    for name in differing:
        print(
            f"differs: {name}: {before.get(name, 'nothing')[:12]} before,"
            f" {now.get(name, 'nothing')[:12]} now"
        )
    total = hashlib.sha256(json.dumps(now, sort_keys=True).encode()).hexdigest()[:16]
    print(f"{len(now)} outputs, {len(differing)} differ from {base}; digest of all of them {total}")
    return 1 if differing else 0


if __name__ == "__main__":
    sys.exit(main())
