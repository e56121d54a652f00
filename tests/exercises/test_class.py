"""Thirty submissions in one command, some good, some wrong, some broken, some hostile: each gets its own grade and nobody else's."""

import csv
import io
import json
import shutil

import pytest

from minidelta import cli
from minidelta.grading.grade import class_files, grade_files
from minidelta.grading.key import ROOT, spec
from tests.exercises.test_attacks import ATTACKS

NAME = "11_adapters"
TASKS = {task.name: task for task in spec(NAME)}
WHOLE = sum(task.points for task in TASKS.values())
SOLUTION = json.loads((ROOT / "solutions" / f"{NAME}.ipynb").read_text(encoding="utf-8"))
EXERCISE = json.loads((ROOT / "exercises" / f"{NAME}.ipynb").read_text(encoding="utf-8"))
HOSTILE = ("exit when imported", "an endless loop", "8 GiB", "forks", "the keeper killed", "the result pipe flooded", "a daemon", "torch itself broken")


def source(cell) -> str:
    return "".join(cell["source"])


def with_cell(notebook: dict, name: str, code: str, tags: list[str] | None = None) -> dict:
    """A copy of a notebook in which the cell that defines a task holds other code."""
    copy = json.loads(json.dumps(notebook))
    cell = next(cell for cell in copy["cells"] if cell["cell_type"] == "code" and f" {name}(" in source(cell) and source(cell).startswith(("def ", "class ")))
    cell["source"] = code
    if tags is not None:
        cell["metadata"]["tags"] = tags
    return copy


def answer_of(name: str) -> str:
    return next(source(cell) for cell in SOLUTION["cells"] if "exercise" in cell["metadata"].get("tags", []) and f" {name}(" in source(cell))


def attacked(name: str) -> dict:
    return with_cell(SOLUTION, "bottleneck", ATTACKS[name].replace("def target(x):", "def bottleneck(h, down_weight, down_bias, up_weight, up_bias):\n    x = h"))


def wrong(task: str, place: int) -> tuple[dict, int]:
    """The solution with one wrong answer, and what it should have."""
    mistake = TASKS[task].wrong[place]
    code = mistake.code or answer_of(task)
    for piece, instead in mistake.edits.items():
        code = code.replace(piece, instead)
    return with_cell(SOLUTION, task, code), WHOLE - sum(test.points for test in TASKS[task].tests if test.name in mistake.loses)


@pytest.fixture(scope="module")
def submissions(tmp_path_factory):
    """A folder of a class, and the points that each student should have."""
    folder = tmp_path_factory.mktemp("class")
    expected = {}

    def hand_in(student: str, notebook: dict | str, points: int, place: str = f"{NAME}.ipynb") -> None:
        path = folder / student / place
        path.parent.mkdir(parents=True)
        path.write_text(notebook if isinstance(notebook, str) else json.dumps(notebook), encoding="utf-8")
        expected[student] = points

    first = TASKS["bottleneck"].points
    for number in range(5):
        hand_in(f"good-{number}", SOLUTION, WHOLE)
    hand_in("deep", SOLUTION, WHOLE, f"{NAME}/{NAME}.ipynb")  # as nbgrader collects
    hand_in("renamed", SOLUTION, WHOLE, f"{NAME} (final, really).ipynb")
    for number, task in enumerate(TASKS):
        hand_in(f"wrong-{number}", *wrong(task, number % 3))
    for number, attack in enumerate(HOSTILE):
        hand_in(f"hostile-{number}", attacked(attack), WHOLE - first)
    hand_in("empty", EXERCISE, 0)
    hand_in("no-cells", {"cells": [], "metadata": {}, "nbformat": 4, "nbformat_minor": 5}, 0)
    hand_in("no-json", "{ this is no notebook", 0)
    hand_in("no-bytes", "", 0)
    hand_in("syntax", with_cell(SOLUTION, "bottleneck", "def bottleneck(h, down_weight, down_bias, up_weight, up_bias):\n    return h +"), WHOLE - first)
    hand_in("tags-lost", json.loads(json.dumps(SOLUTION).replace('"exercise"', '"lost"')), WHOLE)
    hand_in("magics", with_cell(SOLUTION, "bottleneck", "%matplotlib inline\n!ls\n" + answer_of("bottleneck")), WHOLE)
    moved = json.loads(json.dumps(SOLUTION))
    moved["cells"].reverse()
    hand_in("upside-down", moved, WHOLE)
    (folder / "nothing").mkdir()
    expected["nothing"] = 0
    assert len(expected) == 30
    return folder, expected


def test_a_class_is_graded_in_one_command(submissions, tmp_path, capsys):
    folder, expected = submissions
    assert cli.main(["grade", "11", "--class", str(folder), "--csv", str(tmp_path / "grades.csv"), "--json"]) == 0
    results = {row["student"]: row for row in json.loads(capsys.readouterr().out)}
    assert {student: row["points"] for student, row in results.items()} == expected
    assert len({row["seed"] for row in results.values()}) == 1
    rows = {row["student"]: row for row in csv.DictReader(io.StringIO((tmp_path / "grades.csv").read_text(encoding="utf-8")))}
    assert {student: int(row["points"]) for student, row in rows.items()} == expected
    assert all(int(row["of"]) == WHOLE for row in rows.values())
    for student, words in {"no-json": "no notebook", "no-bytes": "no notebook", "nothing": "no notebook was handed in", "syntax": "cell 5, line 2", "wrong-0": TASKS["bottleneck"].wrong[0].message, "hostile-1": "did not finish"}.items():
        assert words in rows[student]["remarks"], rows[student]["remarks"]


def test_a_class_of_files_and_a_class_of_several_exercises(tmp_path):
    for student in ("ann", "bob"):
        shutil.copy(ROOT / "solutions" / f"{NAME}.ipynb", tmp_path / f"{student}.ipynb")
    assert [(student, exercise) for student, exercise, _ in class_files(tmp_path, "11")] == [("ann", NAME), ("bob", NAME)]
    assert [result.points for result in grade_files(class_files(tmp_path, "11"), task="bottleneck")] == [TASKS["bottleneck"].points] * 2


def test_the_seed_gives_the_same_inputs_again(capsys):
    outs = []
    for _ in range(2):
        assert cli.main(["grade", str(ROOT / "solutions" / f"{NAME}.ipynb"), "--seed", "7", "--json"]) == 0
        outs.append(json.loads(capsys.readouterr().out))
    assert outs[0] == outs[1] and outs[0]["seed"] == "7" and outs[0]["points"] == WHOLE


def test_a_rubric_for_people_and_a_file_for_gradescope(capsys, tmp_path):
    path = tmp_path / "mine.ipynb"
    notebook, points = wrong("bottleneck", 0)
    path.write_text(json.dumps(notebook), encoding="utf-8")
    results = tmp_path / "results.json"
    assert cli.main(["grade", str(path), "--exercise", "11", "--gradescope", str(results), "--require-all"]) == 1
    words = capsys.readouterr().out
    assert f"{points} of {WHOLE} points" in words and TASKS["bottleneck"].wrong[0].message in words and "(hidden)" in words and "fences:" in words
    file = json.loads(results.read_text(encoding="utf-8"))
    assert file["score"] == points == sum(test["score"] for test in file["tests"])
    assert {test["visibility"] for test in file["tests"]} == {"visible", "after_published"}
    assert [test for test in file["tests"] if test["status"] == "failed"]


def test_without_solutions_the_public_tests_remain(capsys, tmp_path):
    assert cli.main(["grade", str(ROOT / "solutions" / f"{NAME}.ipynb"), "--public", "--json"]) == 0
    result = json.loads(capsys.readouterr().out)
    hidden = sum(test.points for task in TASKS.values() for test in task.tests if test.hidden)
    assert result["points"] == result["of"] == WHOLE - hidden


def test_a_formula_in_a_name_stays_words():
    from minidelta.grading.grade import Result, as_csv

    assert as_csv([Result("=cmd()", NAME, "x", "0")]).splitlines()[1].startswith("'=cmd()")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["grade"], "nothing was given to grade"),
        (["grade", "99"], "there is no exercise '99'"),
        (["grade", "nowhere.ipynb", "--exercise", "11"], "nowhere.ipynb does not exist"),
        (["grade", "homework_zhang.ipynb"], "homework_zhang.ipynb does not say by its name which exercises it answers; add them"),
        (["grade", "11", "--class", "nowhere"], "nowhere is no folder"),
        (["grade", "11", "--class", "."], "holds no notebook to grade"),
        (["grade", "11", "--task", "botleneck"], "has no exercise 'botleneck'"),
        (["grade", "--class", ".", "--gradescope", "x.json"], "--gradescope writes the result of one notebook"),
        (["release", "--without-solutions"], "needs a folder"),
        (["release", "new", "--check"], "leave out the folder"),
        (["release", "."], "is not empty"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_a_mistake_is_one_line(words, message, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    if words == ["release", "."]:
        (tmp_path / "file").write_text("mine")
    assert cli.main(words) == 2
    out, error = capsys.readouterr()
    assert out == "" and error.count("\n") == 1 and message in error


def test_a_copy_for_a_class_holds_no_answer_and_still_grades(tmp_path, capsys):
    course = tmp_path / "course"
    assert cli.main(["release", str(course), "--without-solutions"]) == 0
    assert "without solutions" in capsys.readouterr().out
    assert [path.name for path in (course / "solutions").iterdir()] == ["README.md"] and not any((course / "tests" / "exercises").iterdir())
    assert (course / "exercises" / f"{NAME}.ipynb").is_file() and (course / "minidelta" / "grading" / "public" / f"{NAME}.json").is_file()
    shim = json.loads((course / ".github" / "classroom" / "autograding.json").read_text(encoding="utf-8"))
    public = sum(test.points for task in TASKS.values() for test in task.tests if not test.hidden)
    assert sum(test["points"] for test in shim["tests"] if test["name"].startswith(NAME)) == public
    secret = answer_of("hypercomplex").splitlines()[4].strip()
    assert len(secret) > 40
    assert [path for path in course.rglob("*") if path.suffix in (".py", ".json", ".ipynb", ".md") and secret in path.read_text(encoding="utf-8")] == []
