"""The answer key of an exercise notebook: for each test the inputs, what the solution returns, and what each wrong answer returns.

It is computed, never written: the solution and the wrong answers run in the child like any submission, on inputs drawn
with a seed.  A part of it, made with a fixed seed and without the hidden tests, is stored in `public/` as JSON, so that
`check` works where no solution is.
"""

import importlib.util
import inspect
import json
import re
import textwrap
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch

from minidelta.errors import ConfigError, DataError, near_misses
from minidelta.grading.child import decode, encode
from minidelta.grading.notebook import Cell, Found, bindings, choose, extract, parse, read
from minidelta.grading.server import Answers, Job, Server
from minidelta.grading.spec import Draw, Task, Wrong
from minidelta.grading.values import changed, differ

ROOT = Path(__file__).parents[2]
PUBLIC = Path(__file__).parent / "public"
PUBLIC_SEED = "public"

Answer = dict[str, Any]  # {"value": encoded} or {"error": {"type", "words", "line"}}, with "inputs" as they are afterwards


@dataclass
class KeyTest:
    """One test with its answer.  use, judge: sources or None; inputs, expected: encoded."""

    name: str
    points: int
    hidden: bool
    hint: str
    tolerance: float
    changes: list[str]
    use: str | None
    judge: str | None
    inputs: Any
    expected: Answer

    def complaint(self, answer: Answer | None) -> str | None:
        """What is wrong with an answer, in words, or None if it is right."""
        if answer is None:
            return "nothing came back"
        if "error" in answer:
            return None if same_error(answer, self.expected) else str(answer["error"].get("type"))
        if "error" in self.expected:
            return f"expected {self.expected['error']['type']}, and nothing was raised"
        if self.judge:
            words = _call(self.judge, decode(answer["value"]), decode(self.expected["value"]), **decode(self.inputs))
        else:
            words = differ(answer["value"], self.expected["value"], self.tolerance)
        return words or changed(self.inputs, answer.get("inputs"), tuple(self.changes))


@dataclass
class KeyTask:
    """One exercise: its tests, and its wrong answers as {"message", "answers"} with None where an answer passes."""

    name: str
    forbidden: list[str]
    seconds: float
    tests: list[KeyTest]
    wrong: list[dict[str, Any]]
    hidden_points: int = 0  # of tests that are not among these (in a public key)

    @property
    def points(self) -> int:
        return sum(test.points for test in self.tests)

    def known(self, answers: list[Answer | None]) -> str | None:
        """The message of the wrong answer that agrees with these answers in most of the tests that fail, if any does."""
        failed = [place for place, test in enumerate(self.tests) if test.complaint(answers[place])]
        best, message = 0, None
        for wrong in self.wrong:
            agree = sum(same(answers[place], wrong["answers"][place], self.tests[place]) for place in failed)
            if agree > best:
                best, message = agree, wrong["message"]
        return message


@dataclass
class Key:
    """All of an exercise notebook."""

    exercise: str
    seed: str
    tasks: list[KeyTask]

    @property
    def points(self) -> int:
        return sum(task.points for task in self.tasks)

    @property
    def hidden_points(self) -> int:
        """Of tests that are not here, since this is a public key."""
        return sum(task.hidden_points for task in self.tasks)

    def public(self) -> dict[str, Any]:
        """As JSON, without the hidden tests."""
        words = asdict(self)
        for task, mine in zip(words["tasks"], self.tasks):
            shown = [place for place, test in enumerate(mine.tests) if not test.hidden]
            task["hidden_points"] = sum(test.points for test in mine.tests if test.hidden)
            task["tests"] = [task["tests"][place] for place in shown]
            for wrong in task["wrong"]:
                wrong["answers"] = [wrong["answers"][place] and {name: item for name, item in wrong["answers"][place].items() if name != "inputs"} for place in shown]
            for test in task["tests"]:
                test["expected"] = {name: item for name, item in test["expected"].items() if name != "inputs"}
            task["wrong"] = [wrong for wrong in task["wrong"] if any(wrong["answers"])]
        return words


def same(answer: Answer | None, known: Answer | None, test: KeyTest) -> bool:
    """Whether an answer is the one that a known wrong answer gives."""
    if answer is None or known is None:
        return False
    if "error" in answer or "error" in known:
        return same_error(answer, known)
    if differ(answer["value"], known["value"], test.tolerance) is not None:
        return False
    mutes = [changed(test.inputs, one.get("inputs"), tuple(test.changes)) is not None for one in (answer, known) if "inputs" in one]
    return len(set(mutes)) < 2


def same_error(answer: Answer, known: Answer) -> bool:
    """Both raise, the same type with the same words."""
    return "error" in answer and "error" in known and all(answer["error"].get(part) == known["error"].get(part) for part in ("type", "words"))


def _call(source: str, *arguments: Any, **inputs: Any) -> Any:
    space: dict[str, Any] = {"torch": torch}
    exec(source, space)  # noqa: S102  (our own words, from the test)
    return next(item for name, item in space.items() if name not in ("torch", "__builtins__"))(*arguments, **inputs)


# -- where things are ----------------------------------------------------------------------------------------


def exercises() -> list[str]:
    """Names of the exercises that there are, such as 11_adapters, in order."""
    return sorted({path.stem for path in PUBLIC.glob("*.json")} | {path.stem for path in (ROOT / "solutions").glob("[0-9]*.ipynb")})


def find(word: str) -> str:
    """An exercise by its number, its name, or the path of a notebook.

    Raises: ConfigError for an unknown one.
    """
    stem = Path(word).stem
    known = exercises()
    hits = [name for name in known if name == stem or name.split("_")[0] == stem.zfill(2)]
    hits = hits or [name for name in known if re.search(rf"(^|[^0-9a-z]){re.escape(name)}([^0-9a-z]|$)", stem.lower())]
    if len(hits) != 1:
        raise ConfigError(f"there is no exercise {word!r}. {near_misses(stem, known)}")
    return hits[0]


def has_solution(exercise: str) -> bool:
    """Whether the solution and its hidden tests are on this computer."""
    return (ROOT / "solutions" / f"{exercise}.ipynb").is_file() and _spec_path(exercise).is_file()


def _spec_path(exercise: str) -> Path:
    return ROOT / "tests" / "exercises" / f"{exercise}.py"


def spec(exercise: str) -> tuple[Task, ...]:
    """The tasks of an exercise, from its file in tests/exercises.

    Raises: ConfigError if the file is not there.
    """
    path = _spec_path(exercise)
    if not path.is_file():
        raise ConfigError(f"{path} is missing: each solution has its tests there")
    description = importlib.util.spec_from_file_location(f"exercise_{exercise}", path)
    module = importlib.util.module_from_spec(description)
    description.loader.exec_module(module)
    return module.TASKS


def solution(exercise: str) -> list[Cell]:
    """The code cells of a solution notebook."""
    return read(ROOT / "solutions" / f"{exercise}.ipynb")


def spoil(cells: list[Cell], task: Task, wrong: Wrong) -> Found:
    """The code of a wrong answer.

    Raises: ConfigError if a piece to edit does not stand in the solution's cell exactly once.
    """
    target = choose(bindings(cells)[task.name])
    cell = target[0]
    source = wrong.code or cell.source
    for piece, instead in wrong.edits.items():
        if source.count(piece) != 1:
            raise ConfigError(f"wrong answer {wrong.message!r} of {task.name}: {piece!r} stands {source.count(piece)} times in the solution, not once")
        source = source.replace(piece, instead)
    spoilt = parse(Cell(cell.place, source, cell.tags))
    if spoilt.tree is None:
        raise ConfigError(f"wrong answer {wrong.message!r} of {task.name} is no Python: {spoilt.problem}")
    return extract([spoilt if other is cell else other for other in cells], task.name)


# -- computing and reading -----------------------------------------------------------------------------------


def build(exercise: str, seed: str, server: Server) -> Key:
    """Compute the key of an exercise.

    Args:
        exercise: its name; the solution and its tests must be here.
        seed: of the inputs; PUBLIC_SEED for those that learners see.
        server: where code runs.
    Raises: ConfigError if the solution does not answer a test.
    """
    cells = solution(exercise)
    tasks = []
    for task in spec(exercise):
        found = extract(cells, task.name)
        if found.problem:
            raise ConfigError(f"solutions/{exercise}.ipynb: {found.problem}")
        tests = [KeyTest(test.name, test.points, test.hidden, test.hint, test.tolerance, list(test.changes), _source(test.use), _source(test.judge), encode(test.inputs(Draw(f"{seed} {task.name} {test.name}"))), {}) for test in task.tests]
        key = KeyTask(task.name, list(task.forbidden), task.seconds, tests, [])
        answers = answer(found, key, server)
        for test, words in zip(tests, answers.tests):
            if words is None or "error" in words:
                raise ConfigError(f"solutions/{exercise}.ipynb does not answer the test {test.name!r} of {task.name}: {words['error'] if words else answers.end}")
            test.expected = words
        for wrong in task.wrong:
            given = answer(spoil(cells, task, wrong), key, server).tests
            key.wrong.append({"message": wrong.message, "answers": [None if test.complaint(one) is None else one for test, one in zip(tests, given)]})
        tasks.append(key)
    return Key(exercise, seed, tasks)


def answer(found: Found, task: KeyTask, server: Server) -> Answers:
    """Run the code of one exercise on all tests of a task."""
    job = Job(found.code, task.name, [{"use": test.use, "inputs": test.inputs} for test in task.tests], task.forbidden, task.seconds)
    return server.run(job)


def _source(function: Callable | None) -> str | None:
    """A function's source, which stands by itself.  Raises: ConfigError for a lambda, whose source is the whole line around it."""
    if function is not None and function.__name__ == "<lambda>":
        raise ConfigError(f"line {function.__code__.co_firstlineno} of {function.__code__.co_filename} gives a test a lambda to use or to judge by; write a function with a name, whose source can be sent along")
    return None if function is None else textwrap.dedent(inspect.getsource(function))


def load(exercise: str) -> Key:
    """The public key of an exercise.

    Raises: DataError if it is missing or damaged.
    """
    path = PUBLIC / f"{exercise}.json"
    try:
        words = json.loads(path.read_text(encoding="utf-8"))
        tasks = [KeyTask(**task | {"tests": [KeyTest(**test) for test in task["tests"]]}) for task in words["tasks"]]
        return Key(words["exercise"], words["seed"], tasks)
    except (OSError, ValueError, KeyError, TypeError) as problem:
        raise DataError(f"{path} cannot be used ({type(problem).__name__}); install minidelta again, or run `minidelta release` in a clone with solutions") from None
