"""A notebook runs with another model and another task: `elsewhere.py` on the cheapest one, and its choice for all of them."""

import nbformat
import pytest

from minidelta.hub import embedded_models
from minidelta.world import TASKS
from tests.notebooks.elsewhere import elsewhere, failures
from tests.notebooks.refresh import NOTEBOOKS

PATHS = sorted(NOTEBOOKS.glob("*.ipynb"))


@pytest.mark.parametrize("path", PATHS, ids=lambda path: path.stem)
def test_there_is_another_choice_for_every_notebook(path):
    notebook = nbformat.read(path, as_version=4)
    model, task = elsewhere(notebook, None)
    assert model in embedded_models() and task in TASKS
    assert f'"{model}"' not in notebook.cells[1].source.split("MINIDELTA_MODEL")[1].split(")")[0], "the notebook's own model is no other one"


def test_a_notebook_with_a_folder_and_a_file(tmp_path):
    path = NOTEBOOKS / "01_transformer.ipynb"
    model, task = elsewhere(nbformat.read(path, as_version=4), tmp_path)
    assert model.endswith("bert-base-uncased") and task.endswith("reviews.jsonl")
    assert failures(path, model, task) == []


def test_a_cell_that_fails_is_told_with_its_line(tmp_path):
    source = 'import os\nmodel = os.environ["MINIDELTA_MODEL"]\nraise ValueError(f"not with {model}")'
    path = tmp_path / "spoiled.ipynb"
    nbformat.write(nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(source), nbformat.v4.new_code_cell("print(1)")]), path)
    (told,) = failures(path, "bert-micro", "topic")
    assert told.startswith("cell 0: ValueError: not with bert-micro") and "3 raise ValueError" in told
