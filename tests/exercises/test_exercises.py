"""Every exercise: the solution has all points, the stub none, each wrong answer loses what it should and hears why; nothing leaks, nothing drifts."""

import json
import re

import nbformat
import pytest

from minidelta.errors import ConfigError
from minidelta.grading.grade import grade, judge
from minidelta.grading.key import PUBLIC, ROOT, _source, exercises, load, solution, spec
from minidelta.grading.notebook import BEGIN, END, TEACHER, Found, read
from minidelta.grading.release import _close, drift

NAMES = exercises()
SPECS = {name: spec(name) for name in NAMES}
WRONG = [pytest.param(name, task, place, id=f"{name}-{task.name}-{place}") for name in NAMES for task in SPECS[name] for place in range(len(task.wrong))]
TASKS = [pytest.param(name, task, id=f"{name}-{task.name}") for name in NAMES for task in SPECS[name]]
COURSE = {path.stem for path in (ROOT / "notebooks").glob("*.ipynb")}


@pytest.mark.parametrize("name", NAMES)
def test_the_solution_has_all_points_and_the_exercise_none(name, server, key_of):
    key = key_of(name)
    solved = grade(solution(name), key, server)
    assert {task.name: task.words for task in solved.tasks if task.points < task.of} == {}
    empty = grade(read(ROOT / "exercises" / f"{name}.ipynb"), key, server)
    assert empty.points == 0
    assert {test.words for task in empty.tasks for test in task.tests} == {"not done yet"}


@pytest.mark.parametrize("name, task, place", WRONG)
def test_a_wrong_answer_loses_its_points_and_hears_its_mistake(name, task, place, key_of):
    wrong, key = task.wrong[place], next(one for one in key_of(name).tasks if one.name == task.name)
    given = key.wrong[place]["answers"]
    result = judge(key, [answer or test.expected for answer, test in zip(given, key.tests)], Found(), "done")
    assert tuple(test.name for test in result.tests if test.words) == wrong.loses
    assert wrong.loses
    assert result.words == wrong.message


@pytest.mark.parametrize("name", NAMES)
def test_nothing_drifts_from_the_solution(name, server):
    assert [str(path) for path, _ in drift(name, server)] == []


def test_another_python_with_other_words_for_an_error_is_no_drift():
    one, other = ({"error": {"type": "ValueError", "words": words, "line": 12}} for words in ("min() arg is an empty sequence", "min() iterable argument is empty"))
    assert _close([one], [other]) and not _close(one, {"error": other["error"] | {"line": 13}}) and not _close(one, {"value": None})


@pytest.mark.parametrize("name", NAMES)
def test_no_line_of_the_solution_survives(name):
    notebook = nbformat.read(ROOT / "solutions" / f"{name}.ipynb", as_version=4)
    handed_out = (ROOT / "exercises" / f"{name}.ipynb").read_text(encoding="utf-8")
    text = "\n".join([cell["source"] for cell in json.loads(handed_out)["cells"] if isinstance(cell["source"], str)] or ["".join(cell["source"]) for cell in json.loads(handed_out)["cells"]])
    public = (PUBLIC / f"{name}.json").read_text(encoding="utf-8")
    secret = []
    for cell in notebook.cells:
        if TEACHER in cell.metadata.get("tags", []):
            secret += [line for line in cell.source.splitlines() if len(line) > 20]
        for region in re.findall(rf"{BEGIN}(.*?){END}", cell.source, flags=re.DOTALL):
            secret += [line for line in map(str.strip, region.splitlines()) if len(line) > 12 and not line.startswith(("for ", "if ", "with ", "else"))]
    assert secret
    specimens = "\n".join(cell.source for cell in notebook.cells if cell.cell_type == "code" and BEGIN not in cell.source)  # a bug zoo shows most of its answer
    kept = [line for line in secret if line not in specimens]
    assert [line for line in kept if line in text or line in public] == []
    assert BEGIN not in text and END not in text and TEACHER not in handed_out.replace("teacher_forc", "")


@pytest.mark.parametrize("name, task", TASKS)
def test_the_heading_tells_the_points(name, task):
    cells = json.loads((ROOT / "exercises" / f"{name}.ipynb").read_text(encoding="utf-8"))["cells"]
    sources = ["".join(cell["source"]) for cell in cells]
    place = next(place for place, source in enumerate(sources) if re.search(rf"^(def|class) {task.name}\b", source, flags=re.MULTILINE))
    heading = next(line for source in reversed(sources[:place]) for line in source.splitlines() if re.match(r"## \d", line))
    assert re.fullmatch(rf"## \d · [^·]+ · [^·]*[\u4e00-\u9fff][^·]* \(.*\b{task.points} points, \d+ minutes\)", heading)
    hints = [source for source in sources[:place] if "<details>" in source]
    assert hints, "a ladder of hints stands before the task"
    for hint in re.findall(r"</summary>(.*?)</details>", "".join(hints), flags=re.DOTALL):
        assert hint.startswith("\n\n") and hint.endswith("\n\n"), "without blank lines around it a hint is not read as markdown"


@pytest.mark.parametrize("name, task", TASKS)
def test_a_task_is_worth_something(name, task):
    assert len(task.tests) >= 3 and len(task.wrong) >= 3
    assert len({test.name for test in task.tests}) == len(task.tests)
    assert len({wrong.message for wrong in task.wrong}) == len(task.wrong)
    lost = {test for wrong in task.wrong for test in wrong.loses}
    assert {test.name for test in task.tests} == lost, "a test that no wrong answer fails tests nothing"


def test_names_are_unique_in_the_course_and_belong_to_a_notebook():
    tasks = [task.name for name in NAMES for task in SPECS[name]]
    assert sorted(tasks) == sorted(set(tasks))
    assert set(NAMES) <= COURSE


@pytest.mark.parametrize("name", NAMES)
def test_the_public_key_holds_no_hidden_test(name):
    shown = {task.name: task for task in load(name).tasks}
    for task in SPECS[name]:
        names = [test.name for test in shown[task.name].tests]
        assert names == [test.name for test in task.tests if not test.hidden] and names
        assert shown[task.name].hidden_points == sum(test.points for test in task.tests if test.hidden)


@pytest.mark.parametrize("name", NAMES)
def test_the_course_notebook_leads_to_its_exercises(name):
    assert f"(../exercises/{name}.ipynb)" in (ROOT / "notebooks" / f"{name}.ipynb").read_text(encoding="utf-8")


def test_a_lambda_is_no_way_to_use_an_answer():
    """Its source would be the line of the spec around it, and the solution would be blamed."""
    with pytest.raises(ConfigError, match="write a function with a name"):
        _source(lambda answer: answer(1))


def test_the_table_for_teachers_is_up_to_date():
    rows = ["| exercises | tasks | points | of these hidden | minutes | with the likeliest mistake in each |", "|---|---|---|---|---|---|"]
    for name in NAMES:
        tests = [test for task in SPECS[name] for test in task.tests]
        kept = sum(test.points for task in SPECS[name] for test in task.tests if test.name not in task.wrong[0].loses)
        minutes = sum(map(int, re.findall(r"points, (\d+) minutes", (ROOT / "exercises" / f"{name}.ipynb").read_text(encoding="utf-8"))))
        rows.append(f"| {name} | {len(SPECS[name])} | {sum(test.points for test in tests)} | {sum(test.points for test in tests if test.hidden)} | {minutes} | {kept} |")
    table = "\n".join(rows)
    assert table in (ROOT / "solutions" / "README.md").read_text(encoding="utf-8"), f"put this into solutions/README.md:\n{table}"
