"""Courses of a few tiny notebooks, and what is in their executed copies."""

from pathlib import Path

import nbformat

REPOSITORY = Path(__file__).resolve().parents[2]


def write_notebook(path: Path, *cells: str, parameters: str = "", title: str = "A title") -> None:
    """A notebook: a heading (cell 1), the parameters cell (cell 2), then the code cells given."""
    notebook = nbformat.v4.new_notebook(
        cells=[
            nbformat.v4.new_markdown_cell(
                f"# {title}\n\nYou will be able to *count*.\n\n## Later\n\nMore."
            ),
            nbformat.v4.new_code_cell(parameters, metadata={"tags": ["parameters"]}),
            *[nbformat.v4.new_code_cell(cell) for cell in cells],
        ],
        metadata={
            "kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}
        },
    )
    nbformat.write(notebook, path)


def set_profile(source: Path, text: str) -> None:
    (source / "profiles" / "tiny.yaml").write_text(text)


def output_text(executed: Path) -> str:
    notebook = nbformat.read(executed, as_version=4)
    return "".join(
        output.get("text", "") for cell in notebook.cells for output in cell.get("outputs", [])
    )


ROW = (
    "dict(dataset='d', system='core', with_difficulty=False, recipe='tiny', seed=seed,"
    " split='test', spearman=rho, rl2_x100=1.0, score_range=[0, 100], n_train=9, n_test=5, epoch=1,"
    " selected_on='val', seconds=1, device='cpu')"
)
