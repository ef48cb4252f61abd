"""A notebook that is alone on another host, as on Colab or Kaggle: it opens with a click, and its
set-up installs the kit and leaves torch as it is."""

import json
import os
import re
import shutil
import subprocess
import sys
from importlib import metadata
from pathlib import Path

import nbformat
import pytest

import corelib
from corelib.course.execute import list_notebooks, notebooks_folder
from corelib.course.hosts import with_buttons, write_buttons
from corelib.course.parameters import TAG, read_notebook
from corelib.course.site import title_and_aims

ROOT = Path(__file__).resolve().parents[2]
PATHS = list_notebooks(notebooks_folder())
ADDRESS = "https://github.com/someone/core-kit"

each_notebook = pytest.mark.parametrize("name", PATHS)


def sources(notebook, kind: str) -> list[str]:
    return [cell.source for cell in notebook.cells if cell.cell_type == kind]


def test_the_address_is_none_or_one_that_the_hosts_can_open():
    assert re.fullmatch(r"|https://github\.com/[\w.-]+/[\w.-]*[\w-]", corelib.ADDRESS)


@each_notebook
def test_the_notebooks_have_buttons_as_soon_as_there_is_an_address_and_not_before(name):
    notebook = read_notebook(PATHS[name])
    assert notebook == with_buttons(notebook, name), "python -m corelib.course.hosts"
    assert notebook == with_buttons(with_buttons(notebook, name, ADDRESS), name, corelib.ADDRESS)


@each_notebook
def test_with_an_address_the_buttons_open_this_very_notebook(name):
    notebook = with_buttons(read_notebook(PATHS[name]), name, ADDRESS)
    nbformat.validate(notebook)
    assert notebook == with_buttons(notebook, name, ADDRESS)
    title, buttons = notebook.cells[0].source.split("\n\n")[0].splitlines()
    assert title.startswith(f"# {name.partition('_')[0]} ")
    shown = re.findall(r"\[!\[([^]]+)\]\(([^)]+)\)\]\(([^)]+)\)", buttons)
    place = f"someone/core-kit/blob/main/notebooks/{name}.ipynb"
    assert {text: address for text, _, address in shown} == {
        "Open in Colab": f"https://colab.research.google.com/github/{place}",
        "Open in Kaggle": f"https://kaggle.com/kernels/welcome?src=https://github.com/{place}",
    }
    assert all((PATHS[name].parent / picture).is_file() for _, picture, _ in shown)
    assert "Open in" not in title_and_aims(notebook)[1]


@each_notebook
def test_with_an_address_one_short_cell_more_comes_first_and_says_what_it_does(name):
    before = sources(read_notebook(PATHS[name]), "code")
    install, *others = sources(with_buttons(read_notebook(PATHS[name]), name, ADDRESS), "code")
    assert others == before[-len(others) :]
    assert f"Installing the kit from {ADDRESS}; torch stays as it is" in install
    assert all(len(line) <= 100 for line in install.splitlines())


def test_the_buttons_are_written_into_the_notebooks_and_taken_away_again(tmp_path):
    path = tmp_path / "00_start_here.ipynb"
    shutil.copy(PATHS[path.stem], path)
    write_buttons({path.stem: path}, "")
    before = path.read_bytes()
    for address in (ADDRESS, ""):
        write_buttons({path.stem: path}, address)
        assert ("Open in Colab" in path.read_text(encoding="utf-8")) is bool(address)
    assert path.read_bytes() == before


def torch_alone(folder: Path) -> Path:
    """A folder with links to torch, torchvision and what they need, out of this Python."""
    folder.mkdir()
    wanted, names = ["torch", "torchvision"], set()
    while wanted:
        name = re.split(r"[^\w.-]", wanted.pop())[0].lower().replace("_", "-")
        try:
            found = metadata.distribution(name)
        except metadata.PackageNotFoundError:  # for another system
            continue
        if name not in names:
            names.add(name)
            wanted += [need for need in found.requires or [] if "extra ==" not in need]
            for top in {file.parts[0] for file in found.files} - {"..", "__pycache__"}:
                if not (folder / top).exists():
                    (folder / top).symlink_to(found.locate_file(top))
    return folder


def bare_python(folder: Path, tmp_path: Path) -> Path:
    """A Python with torch, torchvision, a notebook's kernel, pip, and nothing else of the kit's."""
    uv = [sys.executable, "-m", "uv"]
    subprocess.run([*uv, "venv", "-q", "--seed", "-p", sys.executable, folder], check=True)
    python = folder / "bin" / "python"
    done = subprocess.run(
        [*uv, "pip", "install", "-q", "--python", python, "ipykernel", "jupyter-client"],
        capture_output=True,
        text=True,
    )
    if done.returncode and re.search("error sending request|dns|connect", done.stderr, re.I):
        pytest.skip("the package index cannot be reached")
    assert done.returncode == 0, done.stderr
    (packages,) = (folder / "lib").glob("python*/site-packages")
    (packages / "torch.pth").write_text(f"{torch_alone(tmp_path / 'torch')}\n")
    return python


RUN = """
import json, sys
from jupyter_client.manager import start_new_kernel
manager, client = start_new_kernel(kernel_name="python3")
said = lambda message: print(message["content"].get("text", ""), end="", flush=True)
for cell in json.load(open(sys.argv[1]))["cells"][: int(sys.argv[2])]:
    if cell["cell_type"] == "code":
        code = "".join(cell["source"])
        reply = client.execute_interactive(code, output_hook=said, timeout=900)
        assert reply["content"]["status"] == "ok", reply["content"]["traceback"]
manager.shutdown_kernel(now=True)
"""
LOOK = """
import importlib.metadata as m, json, os, sys
from corelib.course.parameters import PROFILES
import corelib, data_scripts.dives.dataset
here = sorted(os.path.realpath(module.__file__) for module in (corelib, data_scripts))
told = dict(here=here, versions=[m.version("torch"), m.version("torchvision")], cwd=os.getcwd(),
            torch=sys.modules["torch"].__file__, profiles=sorted(os.listdir(PROFILES)))
print("told", json.dumps(told))
"""


@pytest.mark.skipif(sys.platform == "win32", reason="the hosts are Linux machines")
def test_alone_on_a_host_that_has_torch_its_set_up_installs_the_kit_from_its_address(tmp_path):
    clone, elsewhere = tmp_path / "clone", tmp_path / "content"
    elsewhere.mkdir()
    clone.mkdir()
    listed = ["git", "-C", ROOT, "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    files = subprocess.run(listed, capture_output=True, check=True, text=True).stdout.split("\0")
    for file in filter(lambda file: file and (ROOT / file).is_file(), files):
        (clone / file).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(ROOT / file, clone / file)
    named = ["-c", "user.name=a", "-c", "user.email=b"]
    for words in (["init", "-q"], ["add", "-A"], [*named, "commit", "-qm", "kit"]):
        subprocess.run(["git", "-C", clone, *words], check=True)
    python = bare_python(tmp_path / "bare", tmp_path)
    name = "01_data"
    notebook = with_buttons(read_notebook(PATHS[name]), name, clone.as_uri())
    place = next(i for i, c in enumerate(notebook.cells) if TAG in c.metadata.get("tags", [])) + 2
    notebook.cells.insert(place, nbformat.v4.new_code_cell(LOOK))
    nbformat.write(notebook, elsewhere / f"{name}.ipynb")
    environment = {k: v for k, v in os.environ.items() if k not in ("PYTHONPATH", "VIRTUAL_ENV")}
    ended = subprocess.run(
        [python, "-c", RUN, elsewhere / f"{name}.ipynb", str(place + 1)],
        cwd=elsewhere,
        env=environment,
        capture_output=True,
        text=True,
    )
    assert ended.returncode == 0, ended.stdout[-2000:] + ended.stderr[-2000:]
    assert f"Installing the kit from {clone.as_uri()}; torch stays as it is" in ended.stdout
    told = json.loads(ended.stdout.partition("told ")[2].splitlines()[0])
    assert told["versions"] == [metadata.version("torch"), metadata.version("torchvision")]
    assert Path(told["torch"]).is_relative_to(tmp_path / "torch")
    assert all(Path(file).is_relative_to(tmp_path / "bare") for file in told["here"])
    assert told["cwd"] == str(elsewhere.resolve())
    assert told["profiles"] == [f"{kind}.yaml" for kind in ("gpu", "laptop", "seeds", "smoke")]
