"""One click: buttons that open a notebook on Colab and Kaggle, where only the notebook is at hand,
and the cell that installs the kit there. `python -m corelib.course.hosts` writes them."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import urlsplit

import nbformat
from nbformat import NotebookNode

from corelib import ADDRESS
from corelib.course.execute import list_notebooks, notebooks_folder
from corelib.course.parameters import read_notebook
from corelib.machine.files import write_atomically

HOSTS = {
    "Colab": "https://colab.research.google.com/github",
    "Kaggle": "https://kaggle.com/kernels/welcome?src=https://github.com",
}
BUTTON = "[![Open in {}](pictures/open_in_{}.svg)]({})"
TAG = "install"  # of the cell that installs the kit
# `pip list` gives torch's version even where it came from a file or an address.
INSTALL = """from importlib.util import find_spec

if not find_spec("corelib"):  # on Colab or Kaggle
    print("Installing the kit from {address}; torch stays as it is ...")
    %pip list --format=freeze | grep ^torch > keep.txt
    %pip install -q -c keep.txt git+{address}"""


def with_buttons(notebook: NotebookNode, name: str, address: str = ADDRESS) -> NotebookNode:
    """A copy of a notebook of the kit that lives at `address`; without one, it has no button."""
    copy = nbformat.from_dict(notebook)
    copy.cells = [cell for cell in copy.cells if TAG not in cell.metadata.get("tags", [])]
    title, *below = copy.cells[0].source.splitlines()
    below = [line for line in below if not line.startswith("[![Open in ")]
    if address:
        place = f"{urlsplit(address).path}/blob/main/notebooks/{name}.ipynb"
        shown = [BUTTON.format(host, host.lower(), start + place) for host, start in HOSTS.items()]
        below.insert(0, " ".join(shown))
        how = {"id": f"{TAG}-{name[:2]}", "metadata": {"tags": [TAG]}}
        copy.cells.insert(1, nbformat.v4.new_code_cell(INSTALL.format(address=address), **how))
    copy.cells[0].source = "\n".join([title, *below])
    return copy


def write_buttons(paths: dict[str, Path], address: str = ADDRESS) -> None:
    """Write the buttons and the cell into notebooks {name: path}, or take them away."""
    for name, path in paths.items():
        notebook = read_notebook(path)
        if (changed := with_buttons(notebook, name, address)) != notebook:
            write_atomically(path, nbformat.writes(changed) + "\n")


if __name__ == "__main__":
    write_buttons(list_notebooks(notebooks_folder()))
