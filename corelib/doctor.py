"""python -m corelib doctor: what is installed, what works, and what to do about what does not.

Each check is a function that says what it found, or raises. Those that need packages run in a child
process, so that the doctor speaks where one of them is missing, broken, or takes its process down
with it.
"""

from __future__ import annotations

import importlib.util
import json
import os
import platform
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import click

from corelib.machine.commands import Command, Place
from corelib.machine.installation import (
    InstallationError,
    describe_reinstall,
    files_problem,
    installed_packages,
    package_problem,
    python_problem,
    torch_problem,
)

PATIENCE = 300  # seconds for all checks of a child together
# GB on the disk; dives, caches, runs and pages of the whole course take .6 at the profile laptop
ROOM = 1
REAL_DATA = (
    "fisv",
    "mtl_aqa",
    "jigsaws",
    "finediving_sample",
    "i3d_weights",
)  # folders that CORE_AQA_DATA may hold


def look_at_python() -> str:
    """This Python, in the range that corelib needs."""
    if problem := python_problem():
        raise InstallationError(problem)
    return f"{platform.python_version()}, {sys.executable}"


def look_at_packages() -> str:
    """The packages that corelib needs, each in its range of pyproject.toml and with all of its
    files."""
    if problem := package_problem() or files_problem():
        raise InstallationError(problem)
    return ", ".join(f"{name} {found}" for name, found, _, _ in installed_packages())


def try_torch() -> str:
    """torch and torchvision import, and a small I3D turns a clip into a feature."""
    if problem := torch_problem():
        raise InstallationError(problem)
    import torch

    feature = _feature(torch.float32)
    return (
        f"torch {torch.__version__}, {torch.get_num_threads()} threads; a small I3D gives a feature"
        f" of {len(feature)} numbers"
    )


def try_bf16() -> str:
    """The same in half precision."""
    import torch

    from corelib.machine.devices import pick_precision

    exact, short = _feature(torch.float32), _feature(torch.bfloat16)
    if not torch.allclose(exact, short, atol=0.05, rtol=0.05):
        raise ArithmeticError("bf16 gives other features than fp32")
    chosen = pick_precision("auto", torch.device("cuda" if torch.cuda.is_available() else "cpu"))
    return (
        "works, and precision=auto takes it"
        if chosen == "bf16"
        else "works; without hardware for it here, precision=auto takes fp32"
    )


def try_gpu() -> str:
    """What GPU torch can use, if any; a machine without one is well."""
    import torch

    if torch.cuda.is_available():
        square = torch.full((64, 64), 2.0, device="cuda")
        if (square @ square).sum().item() != 64**3 * 4:
            raise ArithmeticError("the GPU multiplies wrongly")
        properties = torch.cuda.get_device_properties(0)
        return (
            f"{properties.name}, {properties.total_memory / 1e9:.0f} GB, CUDA {torch.version.cuda}"
        )
    listed = shutil.which("nvidia-smi") and subprocess.run(
        ["nvidia-smi", "-L"], capture_output=True, text=True
    )
    if listed and listed.returncode == 0 and listed.stdout.strip():
        built = (
            f"built for CUDA {torch.version.cuda}" if torch.version.cuda else "built without CUDA"
        )
        raise RuntimeError(
            f"{listed.stdout.splitlines()[0].strip()} is here, and torch {torch.__version__},"
            f" {built}, cannot use it"
        )
    return "none that torch can use; trainings take the CPU"


def try_images() -> str:
    """A JPEG is decoded as torchvision made it; folders of frames need it."""
    import torch
    from torchvision.io import decode_jpeg, encode_jpeg

    picture = torch.arange(0, 256, 4, dtype=torch.uint8).expand(3, 64, 64)
    error = (
        (decode_jpeg(encode_jpeg(picture.contiguous(), quality=95)).int() - picture.int())
        .abs()
        .float()
        .mean()
        .item()
    )
    if error > 3:
        raise ArithmeticError(f"a JPEG comes back {error:.0f} grey levels off")
    return "a JPEG was encoded and decoded"


def try_video() -> str:
    """A video is written and read back."""
    import numpy as np

    from corelib.data.video import read_video, write_video

    frames = np.repeat(np.linspace(20, 230, 8).astype(np.uint8), 32 * 32 * 3).reshape(8, 32, 32, 3)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "grey.mp4")
        write_video(path, frames, 25)
        decoded = read_video(path)
    if decoded.shape != frames.shape or np.abs(decoded.astype(int) - frames).mean() > 5:
        raise ArithmeticError("a video comes back otherwise than it was written")
    return f"{len(frames)} frames were encoded and decoded"


def try_run_folder(folder: str) -> str:
    """Runs can be written where they go, and the disk has room for a course."""
    there = Path(folder).absolute()
    while not there.exists():  # a run makes what is missing
        there = there.parent
    with tempfile.TemporaryDirectory(prefix=".doctor-", dir=there) as scratch:
        Path(scratch, "file").write_bytes(bytes(2**20))
    free = shutil.disk_usage(there).free / 1e9
    if free < ROOM:
        raise OSError(f"{free:.1f} GB are free at {there}, and a course needs {ROOM} GB")
    return f"{folder} can be written, {free:.0f} GB are free"


def try_kernel() -> str:
    """A notebook's kernel starts, is this Python, and runs a cell."""
    import nbformat
    from nbclient import NotebookClient

    notebook = nbformat.v4.new_notebook(
        cells=[nbformat.v4.new_code_cell("import sys\nprint(sys.prefix)")]
    )
    executed = NotebookClient(
        notebook, timeout=60, startup_timeout=60, kernel_name="python3"
    ).execute()
    prefix = executed.cells[0].outputs[0].text.strip()
    if prefix != sys.prefix:
        raise RuntimeError(
            f"the kernel python3 starts another Python ({prefix}) than this one ({sys.prefix})"
        )
    return "a kernel started and ran a cell"


def look_at_real_data(folder: str) -> str:
    """What CORE_AQA_DATA names; the course does without."""
    if not folder:
        return (
            "CORE_AQA_DATA is not set; where the course takes real data, it says what is missing"
            " (README, Real data)"
        )
    if not Path(folder).is_dir():
        raise NotADirectoryError(f"CORE_AQA_DATA is {folder}, which is no folder")
    found = [name for name in REAL_DATA if Path(folder, name).is_dir()]
    if not found:
        raise FileNotFoundError(
            f"{folder} (CORE_AQA_DATA) holds none of {', '.join(f'{name}/' for name in REAL_DATA)}"
        )
    return f"{folder}: {', '.join(found)}"


# What to do where a check fails, unless what it raises says so itself.
REMEDIES = {
    "Python": describe_reinstall("packaging"),
    "packages": describe_reinstall("packaging"),
    "torch": describe_reinstall("torch", "torchvision"),
    "bf16": "train with --set precision=fp32",
    "GPU": "update the NVIDIA driver or install the build of torch for it; until then train with --device cpu",
    "images": describe_reinstall("torch", "torchvision"),
    "video": describe_reinstall("av"),
    "kernel": f"{describe_reinstall('ipykernel')}; a kernel of that name from elsewhere is taken away with: jupyter kernelspec remove python3",
    "run folder": "free some space, or name another folder with --out",
    "real data": "correct CORE_AQA_DATA or unset it (README, Real data)",
}  # fmt: skip
IN_A_CHILD = {
    "torch": try_torch,
    "bf16": try_bf16,
    "GPU": try_gpu,
    "images": try_images,
    "video": try_video,
    "kernel": try_kernel,
}


def examine(runs: str = "runs") -> list[dict]:
    """Every check, in order: {"check", "ok", "said"}."""
    found = [_tried("Python", look_at_python), _tried("packages", look_at_packages)]
    found += _examine_in_children(list(IN_A_CHILD))
    found.append(_tried("run folder", try_run_folder, runs))
    found.append(_tried("real data", look_at_real_data, os.environ.get("CORE_AQA_DATA", "")))
    return found


def _examine_in_children(names: list[str]) -> list[dict]:
    """The checks by name, in one child process; where it ends or hangs within one, another takes
    the next."""
    program = "import sys; from corelib.doctor import print_checks; print_checks(sys.argv[1:])"
    found: list[dict] = []
    while len(found) < len(names):
        left = names[len(found) :]
        try:
            child = subprocess.run(
                [sys.executable, "-c", program, *left],
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                timeout=PATIENCE,
            )
            printed, ending = (
                child.stdout,
                f"the check ended its process (exit code {child.returncode})",
            )
        except subprocess.TimeoutExpired as late:
            printed, ending = late.stdout or b"", f"no answer within {PATIENCE} s"
        found += [
            json.loads(line)
            for line in printed.decode().splitlines()
            if line.startswith('{"check"')
        ]
        if len(found) < len(names):
            name = names[len(found)]
            found.append({"check": name, "ok": False, "said": f"{ending}: {REMEDIES[name]}"})
    return found


def print_checks(names: list[str]) -> None:
    """What a child process does: each check's finding as a line of JSON, written at once."""
    for name in names:
        print(json.dumps(_tried(name, IN_A_CHILD[name])), flush=True)


def _tried(name: str, check, *arguments) -> dict:
    try:
        return {"check": name, "ok": True, "said": check(*arguments)}
    except InstallationError as error:
        return {"check": name, "ok": False, "said": str(error)}
    except Exception as error:  # whatever can be wrong with an installation becomes a line
        said = " ".join(f"{type(error).__name__}: {error}".split())
        return {"check": name, "ok": False, "said": f"{said}: {REMEDIES[name]}"}


def _feature(dtype):
    """The feature [D] float32 of one small clip, from a small I3D with fixed weights."""
    import torch

    from corelib.i3d import I3D

    with torch.random.fork_rng(devices=[]), torch.no_grad():
        torch.manual_seed(0)
        encoder, clip = I3D(width=1 / 16).eval(), torch.rand(1, 3, 16, 32, 32)
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=dtype == torch.bfloat16):
            feature = encoder(clip)[0].float()
    if not torch.isfinite(feature).all():
        raise ArithmeticError("a small I3D gives features that are not finite: install torch again")
    return feature


@click.command(cls=Command)
@click.option(
    "--runs", type=Place(), default="runs", show_default=True, help="The folder that runs go to."
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document and nothing else.")
def doctor(runs: str, as_json: bool) -> None:
    """Say what is installed, what works, and what to do about what does not.

    Exit code 1 when something does not work.
    """
    found = examine(runs)
    well = all(finding["ok"] for finding in found)
    if as_json:
        rows = installed_packages() if importlib.util.find_spec("packaging") else []
        packages = [
            dict(zip(("name", "installed", "needed", "ok"), row, strict=True)) for row in rows
        ]
        click.echo(json.dumps({"ok": well, "checks": found, "packages": packages}))
    else:
        for finding in found:
            click.echo(
                f"{'ok' if finding['ok'] else 'problem':<8} {finding['check']}: {finding['said']}"
            )
    raise SystemExit(0 if well else 1)
