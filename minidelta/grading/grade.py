"""Grade notebooks: run each exercise behind fences, compare, give points for each test.

One submission can neither stop nor change the grading of another: each exercise runs in a process of its own, and what it
returns are values.  The points are counted here.
"""

import csv
import io
import json
import os
import secrets
from collections import Counter
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from minidelta.errors import ConfigError, DataError, MinideltaError, near_misses
from minidelta.grading.key import ROOT, Answer, Key, KeyTask, answer, build, find, has_solution, load
from minidelta.grading.notebook import Cell, Found, extract, read
from minidelta.grading.server import Server
from minidelta.progress import progress

WORKERS = 2  # servers beside each other in a class


@dataclass
class TestResult:
    """One test: its name, its points, those that were given, and what is said of it."""

    __test__ = False

    name: str
    of: int
    points: int
    hidden: bool
    words: str = ""


@dataclass
class TaskResult:
    """One exercise: its tests, and what is said of the whole ("" if all is well)."""

    name: str
    tests: list[TestResult]
    words: str = ""

    @property
    def of(self) -> int:
        return sum(test.of for test in self.tests)

    @property
    def points(self) -> int:
        return sum(test.points for test in self.tests)


@dataclass
class Result:
    """One notebook."""

    student: str
    exercise: str
    file: str
    seed: str
    tasks: list[TaskResult] = field(default_factory=list)
    fences: list[str] = field(default_factory=list)
    problem: str = ""  # why nothing could be graded
    hidden: int = 0  # points of hidden tests that are not here to be run

    @property
    def of(self) -> int:
        return sum(task.of for task in self.tasks)

    @property
    def points(self) -> int:
        return sum(task.points for task in self.tasks)

    def as_json(self) -> dict[str, Any]:
        """Plain values for a file."""
        return {
            "student": self.student, "exercise": self.exercise, "file": self.file, "points": self.points, "of": self.of, "hidden": self.hidden, "seed": self.seed, "problem": self.problem, "fences": self.fences,
            "tasks": [{"name": task.name, "points": task.points, "of": task.of, "words": task.words, "tests": [vars(test) for test in task.tests]} for task in self.tasks],
        }  # fmt: skip


def judge(task: KeyTask, answers: list[Answer | None], found: Found, end: str) -> TaskResult:
    """Answers to points and words.

    Args:
        task: with its tests and the expected answers.
        answers: of the child, one for each test or None.
        found: the code, for the places of errors.
        end: how the job ended.
    """
    late = {"time": f"it did not finish within {task.seconds:g} s: an endless loop?", "memory": "it took too much memory", "too much": "it returned far too much"}
    result = TaskResult(task.name, [])
    for test, one in zip(task.tests, answers):
        words = test.complaint(one)
        if one is None:
            words = late.get(end, "the process ended before it answered (os._exit, or a crash)")
        elif words and "error" in one:
            words = in_words(one, found)
        result.tests.append(TestResult(test.name, test.points, 0 if words else test.points, test.hidden, words or ""))
    if result.points < result.of:
        known = task.known(answers)
        first = next(test for test in result.tests if test.words)
        result.words = known or first.words
    return result


def in_words(answer: Answer, found: Found) -> str:
    """An error as a line: what was raised, and where in the notebook."""
    problem = answer["error"]
    if problem.get("type") == "NotImplementedError" and "Exercise" in str(problem.get("words")):
        return "not done yet"
    where = found.where(problem.get("line")) if found.lines and isinstance(problem.get("line"), int) else problem.get("text")
    words = " ".join(str(problem.get("words", "")).split())[:200]
    return f"{problem.get('type')}: {words}" + (f" ({where})" if where else "")


def grade(cells: list[Cell], key: Key, server: Server, student: str = "", file: str = "") -> Result:
    """Grade the cells of one notebook against a key."""
    result = Result(student, key.exercise, file, key.seed, hidden=key.hidden_points)
    for task in key.tasks:
        found = extract(cells, task.name)
        if found.problem:
            tests = [TestResult(test.name, test.points, 0, test.hidden, found.problem) for test in task.tests]
            result.tasks.append(TaskResult(task.name, tests, found.problem))
            continue
        answers = answer(found, task, server)
        result.fences = answers.fences or result.fences
        result.tasks.append(judge(task, answers.tests, found, answers.end))
    return result


def blank(key: Key, student: str, file: str, problem: str) -> Result:
    """No points, and why."""
    tasks = [TaskResult(task.name, [TestResult(test.name, test.points, 0, test.hidden, problem) for test in task.tests], problem) for task in key.tasks]
    return Result(student, key.exercise, file, key.seed, tasks, problem=problem, hidden=key.hidden_points)


def grade_files(files: Iterable[tuple[str, str, Path]], seed: str | None = None, public: bool = False, task: str | None = None) -> list[Result]:
    """Grade many notebooks; nothing that one of them holds stops the rest.

    Args:
        files: (student, exercise, path) of each.
        seed: of the hidden inputs, the same for all; default drawn anew.
        public: only the public tests, as where no solution is.
        task: only this exercise of each.
    Raises: ConfigError for an unknown task.
    """
    files = list(files)
    seed = seed or secrets.token_hex(4)
    with Server() as first, Server() as second:
        keys = {}
        for exercise in sorted({exercise for _, exercise, _ in files}):
            known = [one.name for one in load(exercise).tasks]
            if task is not None and task not in known:
                raise ConfigError(f"{exercise} has no exercise {task!r}. {near_misses(task, known)}")
            key = load(exercise) if public or not has_solution(exercise) else build(exercise, seed, first)
            keys[exercise] = replace(key, tasks=[one for one in key.tasks if task in (None, one.name)])
        servers = [first, second]

        def one(job: tuple[str, str, Path]) -> Result:
            student, exercise, path = job
            server = servers.pop()
            try:
                if not path.exists():
                    return blank(keys[exercise], student, str(path), "no notebook was handed in")
                return grade(read(path), keys[exercise], server, student, str(path))
            except MinideltaError as problem:
                return blank(keys[exercise], student, str(path), str(problem))
            except Exception as problem:  # one notebook never stops a class
                return blank(keys[exercise], student, str(path), f"could not be graded ({type(problem).__name__}: {problem}); please report this")
            finally:
                servers.append(server)

        with ThreadPoolExecutor(WORKERS) as pool:
            return list(progress(pool.map(one, files), total=len(files), description="grading", unit=" notebooks"))


def one_file(what: str, exercise: str | None = None) -> tuple[str, str, Path]:
    """The notebook that a word means: a file, or the number or name of one in exercises/ (here, or in the course's folder).

    Raises: ConfigError for an unknown exercise or a missing file.
    """
    if what.endswith(".ipynb"):
        path = Path(what)
        try:
            name = find(exercise or path.name)
        except ConfigError:
            if exercise:
                raise
            raise ConfigError(f"{path.name} does not say by its name which exercises it answers; add them: minidelta grade {what} --exercise 11") from None
    else:
        name = find(what)
        path = next((place for place in (Path("exercises") / f"{name}.ipynb", ROOT / "exercises" / f"{name}.ipynb") if place.is_file()), ROOT / "exercises" / f"{name}.ipynb")
    if not path.is_file():
        raise ConfigError(f"{path} does not exist; give the path of your notebook: minidelta grade PATH.ipynb --exercise {name}")
    return "", name, path


def class_files(folder: Path, exercise: str | None) -> list[tuple[str, str, Path]]:
    """The notebooks of a class: FOLDER/STUDENT/*.ipynb (also deeper, as nbgrader keeps them) or FOLDER/STUDENT.ipynb.

    Raises: ConfigError if the folder is missing or holds no notebook whose exercise is known.
    """
    if not folder.is_dir():
        raise ConfigError(f"{folder} is no folder; give the one that holds the submissions")
    exercise = exercise and find(exercise)
    found, unknown = [], []
    for path in sorted(folder.rglob("*.ipynb")):
        parts = path.relative_to(folder).parts
        if ".ipynb_checkpoints" in parts:
            continue
        student = parts[0].removesuffix(".ipynb")
        try:
            found.append((student, exercise or find(path.name), path))
        except ConfigError:
            unknown.append(path)
    for path in sorted(folder.iterdir()):  # who handed in no notebook is in the list as well
        if path.is_dir() and exercise and not any(student == path.name for student, _, _ in found):
            found.append((path.name, exercise, path / f"{exercise}.ipynb"))
    if not found:
        asked = f"; {unknown[0].name} tells no exercise by its name: say which, `minidelta grade 11 --class {folder}`" if unknown else ""
        raise ConfigError(f"{folder} holds no notebook to grade{asked}")
    return found


# -- files ---------------------------------------------------------------------------------------------------


def write(path: Path, words: str) -> None:
    """Write beside and move into place.  Raises: DataError where that cannot be."""
    beside = path.with_name(f".{path.name}.new")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        beside.write_text(words, encoding="utf-8", newline="")
        os.replace(beside, path)
    except OSError as problem:
        raise DataError(f"{path} cannot be written: {problem.strerror}") from None


def as_csv(results: list[Result]) -> str:
    """One line a notebook: student, exercise, points, what they are of, then each task's points, and what is said."""
    tasks = list(dict.fromkeys(f"{task.name}" for result in results for task in result.tasks))
    file = io.StringIO()
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow(["student", "exercise", "points", "of", *tasks, "remarks"])
    for result in results:
        points = {task.name: task.points for task in result.tasks}
        remarks = "; ".join(f"{task.name}: {task.words}" for task in result.tasks if task.words) if not result.problem else result.problem
        row = [result.student, result.exercise, result.points, result.of, *(points.get(name, "") for name in tasks), remarks]
        writer.writerow([_plain(cell) for cell in row])
    return file.getvalue()


def _plain(cell: Any) -> Any:
    """A spreadsheet takes what begins with = + - @ for a formula; a quote in front stops that."""
    return f"'{cell}" if isinstance(cell, str) and cell[:1] in ("=", "+", "-", "@") else cell


def as_gradescope(result: Result) -> str:
    """The results.json that Gradescope reads: a case for each test, the hidden ones shown after the grades are published."""
    cases = [
        {"name": f"{task.name}: {test.name}", "score": test.points, "max_score": test.of, "output": test.words, "status": "passed" if test.points == test.of else "failed", "visibility": "after_published" if test.hidden else "visible"}
        for task in result.tasks for test in task.tests
    ]  # fmt: skip
    words = result.problem or "\n".join(f"{task.name}: {task.words}" for task in result.tasks if task.words) or "all points"
    return json.dumps({"score": result.points, "output": words, "tests": cases}, ensure_ascii=False, indent=1)


def class_table(results: list[Result]) -> str:
    """A class for the terminal: a line for each notebook, then what was lost most often."""
    width = max(len(result.student) for result in results)
    lines = [f"{result.student.ljust(width)}  {result.exercise}  {result.points:3d} of {result.of}  {result.problem or _lost(result)}".rstrip() for result in results]
    said = Counter(f"{task.name}: {task.words}" for result in results for task in result.tasks if task.words and not result.problem)
    lines += ["", "said most often:", *(f"  {count} x {words}" for words, count in said.most_common(5))] if said else []
    fences = next((result.fences for result in results if result.fences), [])
    return "\n".join([*lines, "", f"fences: {', '.join(fences) or 'none was needed'}; inputs drawn with --seed {results[0].seed}"])


def _lost(result: Result) -> str:
    return ", ".join(f"{task.name} {task.points}/{task.of}" for task in result.tasks if task.points < task.of)


def in_table(result: Result) -> str:
    """The rubric of one notebook for the terminal.

    >>> result = Result("ann", "11_adapters", "a.ipynb", "0", [TaskResult("bottleneck", [TestResult("forward", 2, 2, False), TestResult("zero start", 1, 0, True, "W_up is not zero")], "start W_up at zero")])
    >>> print(in_table(result))
    11_adapters  ann  2 of 3 points
      bottleneck  2 of 3
        + 2/2  forward
        - 0/1  zero start (hidden)  W_up is not zero
        start W_up at zero
    """
    more = f" public points; {result.hidden} more in hidden tests, not run here" if result.hidden else " points"
    lines = [f"{result.exercise}  {result.student or result.file}  {result.points} of {result.of}{more}"]
    if result.problem:
        return "\n".join([*lines, f"  {result.problem}"])
    width = max(len(task.name) for task in result.tasks)
    for task in result.tasks:
        lines.append(f"  {task.name.ljust(width)}  {task.points} of {task.of}")
        if len({test.words for test in task.tests}) == 1 and task.words:  # nothing in it runs: one line says so
            lines[-1] += f"  {task.words}"
            continue
        lines += [f"    {'+' if test.points == test.of else '-'} {test.points}/{test.of}  {test.name}{' (hidden)' if test.hidden else ''}{f'  {test.words}' if test.words else ''}" for test in task.tests]
        if task.words and not any(task.words == test.words for test in task.tests):
            lines.append(f"    {task.words}")
    if result.fences:
        lines.append(f"  fences: {', '.join(result.fences)}; inputs drawn with --seed {result.seed}")
    return "\n".join(lines)
