"""The doctor: here everything works; each broken thing has its line that says what to do; none
keeps it from the next."""

import json
import os
import shutil
import subprocess
import sys
from collections import namedtuple
from pathlib import Path

import pytest
import torch

import corelib.doctor
from corelib.doctor import examine, look_at_real_data, try_gpu, try_run_folder

ROOT = Path(__file__).resolve().parents[1]
PYTHON = ROOT / ".venv" / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
# what mends an installation, as the tests themselves may be run by a Python beside the kit's own
MENDED = (
    "use the kit's own Python"
    if PYTHON.is_file() and Path(sys.executable).parent.resolve() != PYTHON.parent.resolve()
    else "pip install"
)
CHECKS = [
    "Python",
    "packages",
    "torch",
    "bf16",
    "GPU",
    "images",
    "video",
    "kernel",
    "run folder",
    "real data",
]


def ask_doctor(
    *arguments: str, folder: Path, path: Path | None = None, **variables: str
) -> subprocess.CompletedProcess:
    """python -m corelib doctor in `folder`; modules in `path` come before those installed."""
    environment = {
        key: value for key, value in os.environ.items() if key != "CORE_AQA_DATA"
    } | variables
    environment["PYTHONPATH"] = os.pathsep.join(map(str, [path, ROOT] if path else [ROOT]))
    return subprocess.run(
        [sys.executable, "-m", "corelib", "doctor", *arguments],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
    )


def test_here_everything_works_and_json_is_one_document(tmp_path):
    answer = ask_doctor("--json", folder=tmp_path)
    said = json.loads(answer.stdout)
    assert [finding["check"] for finding in said["checks"]] == CHECKS
    assert [finding for finding in said["checks"] if not finding["ok"]] == []
    assert said["ok"] and answer.returncode == 0
    packages = {package["name"]: package for package in said["packages"]}
    assert (
        packages["torch"]["installed"]
        and packages["torch"]["needed"].startswith(">=")
        and packages["torch"]["ok"]
    )
    assert list(tmp_path.iterdir()) == []  # nothing is left behind


def test_each_broken_thing_has_a_line_that_says_what_to_do(tmp_path):
    broken = tmp_path / "broken"
    for package, program in {
        "torchvision": "raise RuntimeError('operator torchvision::nms does not exist')",
        "av": "import os; os._exit(9)",  # takes its process down
    }.items():
        (broken / package).mkdir(parents=True)
        (broken / package / "__init__.py").write_text(program)
    old = broken / "captum-0.1.dist-info"
    old.mkdir()
    (old / "METADATA").write_text("Metadata-Version: 2.1\nName: captum\nVersion: 0.1\n")
    kernel = tmp_path / "jupyter" / "kernels" / "python3"
    kernel.mkdir(parents=True)
    (kernel / "kernel.json").write_text(
        json.dumps(
            {"argv": [str(tmp_path / "no-python")], "display_name": "x", "language": "python"}
        )
    )
    (tmp_path / "runs").write_text("a file where a folder should be")

    answer = ask_doctor(
        folder=tmp_path,
        path=broken,
        JUPYTER_PATH=str(tmp_path / "jupyter"),
        CORE_AQA_DATA=str(tmp_path / "nothing"),
    )

    assert answer.returncode == 1
    lines = answer.stdout.splitlines()
    said = {name: line for line in lines for name in CHECKS if f" {name}: " in line[:30]}
    assert list(said) == CHECKS and len(lines) == len(CHECKS)
    for name, parts in {
        "packages": ["captum 0.1 is installed and >=0.8 needed", MENDED],
        "torch": ["do not match", "operator torchvision::nms", MENDED],
        "images": [MENDED],
        "video": ["ended its process (exit code 9)", MENDED],
        "kernel": ["no-python", "ipykernel", "jupyter kernelspec remove python3"],
        "run folder": ["name another folder with --out"],
        "real data": ["nothing, which is no folder", "correct CORE_AQA_DATA or unset it"],
    }.items():
        assert said[name].startswith("problem ") and all(part in said[name] for part in parts), (
            said[name]
        )
    for name in ("Python", "GPU"):
        assert said[name].startswith("ok "), said[name]


def test_a_check_that_hangs_is_a_problem_and_the_others_are_made(monkeypatch, tmp_path):
    monkeypatch.setattr(corelib.doctor, "PATIENCE", 0.01)
    monkeypatch.delenv("CORE_AQA_DATA", raising=False)
    findings = examine(str(tmp_path))
    assert [finding["check"] for finding in findings] == CHECKS
    late = {
        finding["check"]
        for finding in findings
        if "no answer within" in finding["said"] and not finding["ok"]
    }
    assert late == {"torch", "bf16", "GPU", "images", "video", "kernel"}


def test_a_kernel_of_another_python_is_a_problem(monkeypatch, tmp_path):
    kernel = tmp_path / "kernels" / "python3"
    kernel.mkdir(parents=True)
    elsewhere = (
        "import sys; sys.prefix = '/another'; from ipykernel import kernelapp;"
        " kernelapp.launch_new_instance()"
    )
    argv = [sys.executable, "-c", elsewhere, "-f", "{connection_file}"]
    (kernel / "kernel.json").write_text(
        json.dumps({"argv": argv, "display_name": "x", "language": "python"})
    )
    monkeypatch.setenv("JUPYTER_PATH", str(tmp_path))
    with pytest.raises(RuntimeError, match=r"another Python \(/another\) than this one"):
        corelib.doctor.try_kernel()


def test_a_disk_without_room_for_a_course_is_a_problem(monkeypatch, tmp_path):
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage(10**12, 10**12, 3 * 10**8))
    with pytest.raises(OSError, match=r"0\.3 GB are free"):
        try_run_folder(str(tmp_path / "runs"))


def test_a_gpu_that_torch_cannot_use_is_a_problem_and_none_is_not(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(shutil, "which", lambda name: None)
    assert "none" in try_gpu()
    monkeypatch.setattr(shutil, "which", lambda name: f"/usr/bin/{name}")
    listed = subprocess.CompletedProcess([], 0, stdout="GPU 0: NVIDIA T4\n")
    monkeypatch.setattr(subprocess, "run", lambda *arguments, **options: listed)
    with pytest.raises(
        RuntimeError,
        match=(
            rf"NVIDIA T4 is here, and torch {torch.__version__.replace('+', '.')}.* cannot use it"
        ),
    ):
        try_gpu()


def test_real_data_are_told_by_folder_and_a_folder_without_any_is_a_problem(tmp_path):
    assert "not set" in look_at_real_data("")
    with pytest.raises(FileNotFoundError, match="holds none of fisv/"):
        look_at_real_data(str(tmp_path))
    (tmp_path / "fisv").mkdir()
    assert look_at_real_data(str(tmp_path)).endswith(": fisv")
