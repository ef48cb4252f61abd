"""Notebooks of those cells alone that a test is about, and of what they need."""

from nbformat import NotebookNode, v4

from corelib.course.needed import needed_cells


def with_needed_cells(notebook: NotebookNode, *calls: str) -> NotebookNode:
    """The notebook without the code cells that those with one of `calls`, as "plots.tree(", do not
    need."""
    wanted = [
        place
        for place, cell in enumerate(notebook.cells)
        if cell.cell_type == "code" and any(call in cell.source for call in calls)
    ]
    assert wanted, f"no cell has {' or '.join(calls)}"
    needed = needed_cells(notebook, wanted)
    notebook.cells = [
        cell
        for place, cell in enumerate(notebook.cells)
        if place in needed or cell.cell_type != "code"
    ]
    return notebook


def joined(notebooks: list[NotebookNode]) -> NotebookNode:
    """One notebook of several with the same set-up; its code alone, and the parameters of all."""
    cells, declared = [], {}
    for notebook in notebooks:
        code = [cell for cell in notebook.cells if cell.cell_type == "code"]
        declared |= {line.partition(":")[0]: line for line in code[1].source.splitlines()}
        cells = code[:2] + cells[2:] + code[2:]
    cells[1].source = "\n".join(declared.values())
    return v4.new_notebook(cells=cells, metadata=notebooks[-1].metadata)
