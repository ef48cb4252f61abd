"""python -m corelib doctor: what is installed, what works, and what to do about what does not.

Each check is a function that says what it found, or raises. Those that need packages run in a child
process, so that the doctor speaks where a package is missing, broken, or ends its process.
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

from corelib.machine import installation
from corelib.machine.commands import Command, Place
from corelib.machine.installation import InstallationError, describe_reinstall

PATIENCE = 300  # seconds for all checks of a child together
ROOM = 1  # GB on the disk; dives, caches, runs and pages of the course take .6 at profile laptop
REAL_DATA = ("fisv", "mtl_aqa", "jigsaws", "finediving_sample", "i3d_weights")  # their folders


def look_at_python() -> str:
    """This Python, in the range that corelib needs."""
    if problem := installation.python_problem():
        raise InstallationError(problem)
    return f"{platform.python_version()}, {sys.executable}"


def look_at_packages() -> str:
    """The packages that corelib needs, each in its range of pyproject.toml and complete."""
    if problem := installation.package_problem() or installation.files_problem():
        raise InstallationError(problem)
    return ", ".join(f"{name} {found}" for name, found, _, _ in installation.installed_packages())


def try_torch() -> str:
    """torch and torchvision import, and a small I3D turns a clip into a feature."""
    if problem := installation.torch_problem("torchvision"):
        raise InstallationError(problem)
    import torch

    done = f"a small I3D gives a feature of {len(_feature())} numbers"
    return f"torch {torch.__version__}, {torch.get_num_threads()} threads; {done}"


def try_bf16() -> str:
    """The same in half precision."""
    import torch

    from corelib.machine.devices import pick_precision

    if not torch.allclose(_feature(), _feature(half=True), atol=0.05, rtol=0.05):
        raise ArithmeticError("bf16 gives other features than fp32")
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    if pick_precision("auto", device) == "bf16":
        return "works, and precision=auto takes it"
    return "works; without hardware for it here, precision=auto takes fp32"


def try_gpu() -> str:
    """What GPU torch can use, if any; a machine without one is well."""
    import torch

    built = torch.version.cuda
    if torch.cuda.is_available():
        square = torch.full((64, 64), 2.0, device="cuda")
        if (square @ square).sum().item() != 64**3 * 4:
            raise ArithmeticError("the GPU multiplies wrongly")
        gpu = torch.cuda.get_device_properties(0)
        return f"{gpu.name}, {gpu.total_memory / 1e9:.0f} GB, CUDA {built}"
    program = ["nvidia-smi", "-L"]
    listed = shutil.which(program[0]) and subprocess.run(program, capture_output=True, text=True)
    if listed and listed.returncode == 0 and listed.stdout.strip():
        raise RuntimeError(
            f"{listed.stdout.splitlines()[0].strip()} is here, and torch {torch.__version__}, built"
            f" {f'for CUDA {built}' if built else 'without CUDA'}, cannot use it"
        )
    return "none that torch can use; trainings take the CPU"


def try_images() -> str:
    """A JPEG is decoded as torchvision made it; folders of frames need it."""
    import torch
    from torchvision.io import decode_jpeg, encode_jpeg

    picture = torch.arange(0, 256, 4, dtype=torch.uint8).expand(3, 64, 64).contiguous()
    decoded = decode_jpeg(encode_jpeg(picture, quality=95))
    error = (decoded.float() - picture.float()).abs().mean().item()
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


def try_kernel() -> str:
    """A notebook's kernel starts, is this Python, and runs a cell."""
    from nbclient import NotebookClient
    from nbformat.v4 import new_code_cell, new_notebook

    notebook = new_notebook(cells=[new_code_cell("import sys\nprint(sys.prefix)")])
    NotebookClient(notebook, timeout=60, startup_timeout=60, kernel_name="python3").execute()
    prefix = notebook.cells[0].outputs[0].text.strip()
    if prefix != sys.prefix:
        others = f"another Python ({prefix}) than this one ({sys.prefix})"
        raise RuntimeError(f"the kernel python3 starts {others}")
    return "a kernel started and ran a cell"


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


def look_at_real_data(folder: str | None) -> str:
    """What CORE_AQA_DATA names; the course does without."""
    if not folder:
        where = "where the course takes real data, it says what is missing (README, Real data)"
        return f"CORE_AQA_DATA is not set; {where}"
    if not Path(folder).is_dir():
        raise NotADirectoryError(f"CORE_AQA_DATA is {folder}, which is no folder")
    found = [name for name in REAL_DATA if Path(folder, name).is_dir()]
    if not found:
        known = "/, ".join(REAL_DATA)
        raise FileNotFoundError(f"{folder} (CORE_AQA_DATA) holds none of {known}/")
    return f"{folder}: {', '.join(found)}"


# Each check, and what to do where it fails, unless what it raises says so itself.
CHECKS = {
    "Python": (look_at_python, describe_reinstall("packaging")),
    "packages": (look_at_packages, describe_reinstall("packaging")),
    "torch": (try_torch, describe_reinstall("torch", "torchvision")),
    "bf16": (try_bf16, "train with --set precision=fp32"),
    "GPU": (try_gpu, "update the NVIDIA driver or install the build of torch for it; until then"
                     " train with --device cpu"),
    "images": (try_images, describe_reinstall("torch", "torchvision")),
    "video": (try_video, describe_reinstall("av")),
    "kernel": (try_kernel, f"{describe_reinstall('ipykernel')}; a kernel of that name from"
                           " elsewhere is taken away with: jupyter kernelspec remove python3"),
    "run folder": (try_run_folder, "free some space, or name another folder with --out"),
    "real data": (look_at_real_data, "correct CORE_AQA_DATA or unset it (README, Real data)"),
}  # fmt: skip
IN_A_CHILD = ["torch", "bf16", "GPU", "images", "video", "kernel"]
CHILD = """
import json, sys
from corelib.doctor import run_check
for name in sys.argv[1:]:
    print(json.dumps(run_check(name)), flush=True)
"""


def examine(runs: str = "runs") -> list[dict]:
    """The findings of every check, in order."""
    found = [run_check("Python"), run_check("packages"), *_examine_in_children(IN_A_CHILD)]
    real = os.getenv("CORE_AQA_DATA")
    return [*found, run_check("run folder", runs), run_check("real data", real)]


def _examine_in_children(names: list[str]) -> list[dict]:
    """The checks by name, in a child process; where it ends or hangs, another takes the next."""
    found: list[dict] = []
    while left := names[len(found) :]:
        command = [sys.executable, "-c", CHILD, *left]
        try:
            child = subprocess.run(command, capture_output=True, timeout=PATIENCE)
            printed = child.stdout
            ending = f"the check ended its process (exit code {child.returncode})"
        except subprocess.TimeoutExpired as late:
            printed, ending = late.stdout or b"", f"no answer within {PATIENCE} s"
        lines = printed.decode().splitlines()
        found += [json.loads(line) for line in lines if line.startswith('{"check"')]
        for name in names[len(found) :][:1]:
            found.append({"check": name, "ok": False, "said": f"{ending}: {CHECKS[name][1]}"})
    return found


def run_check(name: str, *arguments) -> dict:
    """One check's finding: {"check", "ok", "said"}."""
    check, remedy = CHECKS[name]
    try:
        return {"check": name, "ok": True, "said": check(*arguments)}
    except InstallationError as error:
        said = str(error)
    except Exception as error:  # whatever can be wrong with an installation becomes a line
        said = " ".join(f"{type(error).__name__}: {error}".split()) + f": {remedy}"
    return {"check": name, "ok": False, "said": said}


def _feature(half: bool = False):
    """The feature [D] float32 of one small clip, from a small I3D with fixed weights."""
    import torch

    from corelib.i3d import I3D

    with torch.random.fork_rng(devices=[]), torch.no_grad():
        torch.manual_seed(0)
        encoder, clip = I3D(width=1 / 16).eval(), torch.rand(1, 3, 16, 32, 32)
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=half):
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
        rows = installation.installed_packages() if importlib.util.find_spec("packaging") else []
        keys = ("name", "installed", "needed", "ok")
        packages = [dict(zip(keys, row, strict=True)) for row in rows]
        click.echo(json.dumps({"ok": well, "checks": found, "packages": packages}))
    else:
        for finding in found:
            word = "ok" if finding["ok"] else "problem"
            click.echo(f"{word:<8} {finding['check']}: {finding['said']}")
    raise SystemExit(0 if well else 1)
