"""`check("name")`: the public tests of one exercise, in the notebook, at once."""

import os
import sys
from textwrap import fill
from typing import Any

import torch

from minidelta.errors import ConfigError, near_misses
from minidelta.grading import child
from minidelta.grading.grade import TaskResult, judge
from minidelta.grading.key import Key, KeyTask, exercises, load
from minidelta.grading.notebook import Found
from minidelta.grading.values import describe, written


def check(name: str) -> None:
    """Run the public tests of one exercise, or of a whole notebook of exercises, and print what they found.

    Args:
        name: of the function or class of an exercise, as it stands in your notebook, such as "lora_forward"; or of the
            notebook, such as "11_adapters", for a table of all of them.
    Raises: AssertionError for lost points, but only under nbgrader; a learner's notebook is never stopped.
        ConfigError for an unknown name.
    """
    space = sys._getframe(1).f_globals
    keys = {exercise: load(exercise) for exercise in exercises()}
    if name in keys:
        results = [_look(task, space) for task in keys[name].tasks]
        print(_table(keys[name], results))
    else:
        tasks = {task.name: task for key in keys.values() for task in key.tasks}
        if name not in tasks:
            raise ConfigError(f"there is no exercise {name!r}. {near_misses(name, [*tasks, *keys])}")
        results = [_look(tasks[name], space)]
        print(_card(tasks[name], results[0]))
    lost = sum(result.of - result.points for result, _ in results)
    if lost and os.environ.get("NBGRADER_EXECUTION"):
        raise AssertionError(f"{lost} points lost")


Looked = tuple[TaskResult, list[Any]]


def _look(task: KeyTask, space: dict[str, Any]) -> Looked:
    answer = space.get(task.name)
    if answer is None:
        missing = {"error": {"type": "NameError", "words": f"there is no `{task.name}` yet: run the cell that defines it", "line": None}}
        answers: list[Any] = [missing for _ in task.tests]
    else:
        with torch.random.fork_rng(devices=[]):
            answers = [child.outcome(answer, {"use": test.use, "inputs": test.inputs}, task.forbidden) for test in task.tests]
    return judge(task, answers, Found(), "done"), answers


def _card(task: KeyTask, looked: Looked) -> str:
    """What one exercise has, test by test."""
    result, answers = looked
    hidden = f"; {task.hidden_points} more in hidden tests, which run when it is graded" if task.hidden_points else ""
    lines = [f"{task.name}: {result.points} of {result.of} points (public{hidden})"]
    if all(test.words == "not done yet" for test in result.tests):
        return f"{lines[0]}\n  not done yet: put your code in place of the line that raises NotImplementedError, run the cell, and check again"
    for test, key, answer in zip(result.tests, task.tests, answers):
        lines.append(f"  {'✓' if not test.words else '✗'} {test.points}/{test.of}  {test.name}")
        if test.words:
            call = ", ".join(f"{name}={written(value)}" for [name, value] in key.inputs["dict"])
            lines.append(fill(call, 116, initial_indent="         called with  ", subsequent_indent=" " * 22))
            if "value" in answer:
                lines += [f"         came back    {describe(answer['value'])}", f"         expected     {describe(key.expected['value'], numbers=False)}"]
            lines.append(f"         so           {test.words}")
    if result.words and not any(result.words == test.words for test in result.tests):
        lines.append(f"  Likely: {result.words}")
    hint = next((key.hint for test, key in zip(result.tests, task.tests) if test.words and key.hint), "")
    return "\n".join([*lines, f"  Hint: {hint}"] if hint else lines)


def _table(key: Key, looked: list[Looked]) -> str:
    """Where a learner stands in a notebook of exercises."""
    width = max(len(task.name) for task in key.tasks)
    lines = [f"{task.name.ljust(width)}  {result.points:2d} of {result.of:2d}  {result.words}".rstrip() for task, (result, _) in zip(key.tasks, looked)]
    total, most, hidden = sum(result.points for result, _ in looked), key.points, key.hidden_points
    return "\n".join([*lines, f"{key.exercise}: {total} of {most} public points" + (f"; {hidden} more in hidden tests, not run here" if hidden else "")])
