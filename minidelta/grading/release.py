"""Make exercises of solutions: `solutions/NN_name.ipynb` is written by hand, `exercises/NN_name.ipynb` never.

What stands between `# BEGIN SOLUTION` and `# END SOLUTION` becomes one line that raises NotImplementedError; cells with the
tag `teacher` (marking guides) go; outputs go; cell ids stay.  The result is the same every time, so a test can compare.
Solutions and exercises carry what nbgrader reads, with the points of the tests.
"""

import json
import re
import shutil
from pathlib import Path
from typing import Any

import nbformat

from minidelta.errors import ConfigError, DataError
from minidelta.grading.grade import write
from minidelta.grading.key import PUBLIC, PUBLIC_SEED, ROOT, build, exercises, load, spec
from minidelta.grading.notebook import BEGIN, END, TAG, TEACHER
from minidelta.grading.server import Server
from minidelta.grading.spec import Task
from minidelta.grading.values import differ
from minidelta.progress import progress

KEPT = {"kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"}, "language_info": {"name": "python"}}
LEFT_OUT = {".git", ".ci", ".venv", "runs", "build", "dist", "__pycache__", ".pytest_cache", ".ipynb_checkpoints"}


def blank_out(source: str, words: str) -> str:
    """A cell's source with each marked region replaced by one line that raises.

    Raises: ConfigError for marks that do not pair.

    >>> print(blank_out("def f(x):\\n    # BEGIN SOLUTION\\n    return x\\n    # END SOLUTION", "Exercise 1: f"))
    def f(x):
        raise NotImplementedError("Exercise 1: f")
    """
    kept, inside = [], False
    for line in source.split("\n"):
        mark = line.strip()
        if mark == BEGIN and not inside:
            inside = True
            kept.append(f'{line[: len(line) - len(line.lstrip())]}raise NotImplementedError("{words}")')
        elif mark == END and inside:
            inside = False
        elif mark in (BEGIN, END):
            raise ConfigError(f"the marks {BEGIN} and {END} do not pair in the cell of {words!r}")
        elif not inside:
            kept.append(line)
    if inside:
        raise ConfigError(f"{END} is missing in the cell of {words!r}")
    return "\n".join(kept)


def annotated(solution: nbformat.NotebookNode, tasks: tuple[Task, ...]) -> nbformat.NotebookNode:
    """A solution notebook with what nbgrader reads: which cells are answers, which check them, and their points.

    Raises: ConfigError if a cell with the tag `exercise` defines no task, or a task has no such cell or no cell that checks it.
    """
    written, checked = [], []
    for cell in solution.cells:
        tags = cell.metadata.get("tags", [])
        cell.metadata = nbformat.from_dict({"tags": tags} if tags else {})
        if TAG in tags:
            task = next((task for task in tasks if re.search(rf"^(def|class) {task.name}\b", cell.source, flags=re.MULTILINE)), None)
            if task is None:
                raise ConfigError(f"cell {cell.id} is tagged {TAG!r} and defines none of {', '.join(task.name for task in tasks)}")
            written.append(task.name)
            cell.metadata.nbgrader = _nbgrader(task.name, solution=True)
        elif TEACHER in tags:
            cell.metadata.nbgrader = _nbgrader(f"guide-{cell.id}", solution=True, points=0)
        elif (asked := re.search(r'^check\("(\w+)"\)$', cell.source, flags=re.MULTILINE)) and asked[1] in [task.name for task in tasks]:
            checked.append(asked[1])
            cell.metadata.nbgrader = _nbgrader(f"check-{asked[1]}", points=next(task.points for task in tasks if task.name == asked[1]))
    names = [task.name for task in tasks]
    for what, found in (("written", written), ("checked", checked)):
        if sorted(found) != sorted(names):
            raise ConfigError(f"each of {', '.join(names)} should be {what} in exactly one cell, found: {', '.join(found) or 'none'}")
    return solution


def exercise_of(solution: nbformat.NotebookNode) -> nbformat.NotebookNode:
    """The exercise notebook that an annotated solution makes."""
    made = nbformat.v4.new_notebook(metadata=KEPT)
    made.nbformat_minor = 5
    number = 0
    for cell in solution.cells:
        tags = cell.metadata.get("tags", [])
        if TEACHER in tags:
            continue
        source = cell.source
        if TAG in tags:
            number += 1
            source = blank_out(source, f"Exercise {number}: {cell.metadata.nbgrader.grade_id}")
        new = nbformat.v4.new_code_cell if cell.cell_type == "code" else nbformat.v4.new_markdown_cell
        made.cells.append(new(source, id=cell.id, metadata=cell.metadata))
    return made


def _nbgrader(name: str, solution: bool = False, points: int | None = None) -> dict[str, Any]:
    """nbgrader's metadata: an answer to write, a locked cell whose failing costs the points, or an answer that a person marks."""
    words = {"schema_version": 3, "grade_id": name, "grade": points is not None, "solution": solution, "locked": not solution, "task": False}
    return words if points is None else words | {"points": points}


def made(exercise: str, server: Server) -> dict[Path, str]:
    """The files that one solution makes: itself with nbgrader's metadata and no outputs, the exercise notebook, the public key."""
    path = ROOT / "solutions" / f"{exercise}.ipynb"
    notebook = annotated(nbformat.read(path, as_version=4), spec(exercise))
    for cell in notebook.cells:
        if cell.cell_type == "code":
            cell.outputs, cell.execution_count = [], None
    notebook.metadata = nbformat.from_dict(KEPT)
    notebooks = {path: notebook, ROOT / "exercises" / f"{exercise}.ipynb": exercise_of(notebook)}
    key = json.dumps(build(exercise, PUBLIC_SEED, server).public(), ensure_ascii=False, indent=1)
    return {path: nbformat.writes(one, version=4).rstrip("\n") + "\n" for path, one in notebooks.items()} | {PUBLIC / f"{exercise}.json": key + "\n"}


def drift(exercise: str, server: Server) -> list[tuple[Path, str]]:
    """The files of an exercise that are not as its solution makes them, with what they should hold."""
    return [(path, words) for path, words in made(exercise, server).items() if not _alike(path, words)]


def _alike(path: Path, words: str) -> bool:
    """Same words; in a key, same but for the last digits of numbers, which differ from processor to processor, and for what Python calls an error."""
    if not path.is_file():
        return False
    stored = path.read_text(encoding="utf-8")
    if stored == words or path.suffix != ".json":
        return stored == words
    try:
        return _close(json.loads(stored), json.loads(words))
    except ValueError:
        return False


def _close(one: Any, other: Any) -> bool:
    if isinstance(one, dict) and isinstance(other, dict):
        if "tensor" in one or "float" in one:
            return differ(one, other, 1e-5) is None
        if "error" in one and "error" in other:  # of a wrong answer: Python 3.12 words the min() of nothing otherwise than 3.11
            return all(one["error"][part] == other["error"][part] for part in ("type", "line"))
        return list(one) == list(other) and all(_close(one[key], other[key]) for key in one)
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(_close, one, other))
    return one == other


def release(check: bool = False) -> list[Path]:
    """Rebuild every exercise and public key that has drifted from its solution.

    Args:
        check: only compare.
    Returns: the files that were (or, with check, would be) written.
    """
    if not any((ROOT / "solutions").glob("*.ipynb")):
        raise ConfigError("there are no solutions here; exercises are made in a clone that has them")
    written = []
    with Server() as server:
        for exercise in progress(exercises(), description="exercises", unit=" notebooks"):
            for path, words in drift(exercise, server):
                written.append(path)
                if not check:
                    write(path, words)
    known = {path.stem for path in (ROOT / "solutions").glob("*.ipynb")}
    for path in sorted([*(ROOT / "exercises").glob("*.ipynb"), *PUBLIC.glob("*.json")]):
        if path.stem not in known:  # its solution was renamed or removed
            written.append(path)
            if not check:
                path.unlink()
    return written


def hand_out(folder: Path, solutions: bool = True) -> int:
    """Copy the course for a class.

    Args:
        folder: new or empty.
        solutions: False leaves out solutions, hidden tests and wrong answers.
    Returns: the number of files.
    Raises: ConfigError if the folder holds something; DataError if it cannot be written.
    """
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise ConfigError(f"{folder} is not empty; give a new folder")
    if ROOT.resolve() in [folder.resolve(), *folder.resolve().parents]:
        raise ConfigError(f"{folder} lies within the course itself; give a folder outside")

    def skip(place: str, names: list[str]) -> set[str]:
        secret = not solutions and Path(place) in (ROOT / "solutions", ROOT / "tests" / "exercises")
        return {name for name in names if name in LEFT_OUT or name.endswith((".egg-info", ".unfinished")) or (secret and name != "README.md")}

    try:
        shutil.copytree(ROOT, folder, ignore=skip, dirs_exist_ok=True)
        write(folder / ".github" / "classroom" / "autograding.json", json.dumps(classroom(), indent=1) + "\n")
    except OSError as problem:
        raise DataError(f"{folder} cannot be written: {problem.strerror or problem}") from None
    return sum(path.is_file() for path in folder.rglob("*"))


def classroom() -> dict[str, Any]:
    """GitHub Classroom's autograding.json: an entry for each exercise, since it knows no partial points within one."""
    tests = []
    for exercise in exercises():
        for task in load(exercise).tasks:
            run = f"minidelta grade {exercise} --task {task.name} --require-all"
            tests.append({"name": f"{exercise}: {task.name}", "setup": "pip install -e . --quiet", "run": run, "input": "", "output": "", "comparison": "included", "timeout": 10, "points": task.points})
    return {"tests": tests}
