"""Run notebooks and store their outputs, without what changes from run to run.

    python tests/notebooks/refresh.py                                # all of them
    python tests/notebooks/refresh.py notebooks/01_transformer.ipynb
"""

import sys
from pathlib import Path

import nbformat
from nbclient import NotebookClient
from nbformat import NotebookNode

NOTEBOOKS = Path(__file__).parents[2] / "notebooks"
KERNEL = {"display_name": "Python 3", "language": "python", "name": "python3"}


def tidy(notebook: NotebookNode) -> NotebookNode:
    """Drop time stamps, versions of Python and the state of widgets; keep tags, outputs and the order of execution."""
    notebook.metadata = NotebookNode(kernelspec=KERNEL, language_info={"name": "python"})
    notebook.nbformat, notebook.nbformat_minor = 4, 5
    for cell in notebook.cells:
        cell.metadata = NotebookNode({"tags": cell.metadata["tags"]} if cell.metadata.get("tags") else {})
        if cell.cell_type == "code":
            cell.outputs = joined(cell.outputs)
    return notebook


def joined(outputs: list[NotebookNode]) -> list[NotebookNode]:
    """One stream after another as one: a kernel cuts what is printed wherever it likes."""
    kept: list[NotebookNode] = []
    for output in outputs:
        if "metadata" in output:
            output.metadata = NotebookNode()
        if kept and output.output_type == "stream" and kept[-1].get("name") == output.name:
            kept[-1].text += output.text
        else:
            kept.append(output)
    return kept


def refresh(path: Path) -> None:
    """Execute one notebook from its own folder and write it back."""
    notebook = nbformat.read(path, as_version=4)
    NotebookClient(notebook, timeout=300, kernel_name="python3", resources={"metadata": {"path": str(path.parent)}}).execute()
    nbformat.validate(tidy(notebook))
    nbformat.write(notebook, path)


if __name__ == "__main__":
    for path in map(Path, sys.argv[1:] or sorted(NOTEBOOKS.glob("*.ipynb"))):
        refresh(path)
        print(f"{path.name} is refreshed")
