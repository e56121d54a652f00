"""What C5, C6 and C7 share: the questions that are asked in context, and how many are right.

    words        a category of words to each label; the words asked are in no list of pre-training        data/lists.py
    unseen       as words, but categories, labels and the way of writing stand in no list either
    sentences    questions by type, or news by topic, to each label
    verdicts     good and bad reviews, of which no list ever speaks, each with a label drawn anew
    functions    a function of a word, written; one in five of the examples shown is another function's
    kept words   the same of words that no list asks about

Nothing trains.  A seed draws tasks, labels, examples and their order.
"""

import statistics
from collections.abc import Iterator
from dataclasses import replace
from functools import lru_cache
from random import Random
from typing import Any

from minidelta.data import Task, function_task, load_task, new_task
from minidelta.data.lists import LABEL_SETS, QUESTIONS
from minidelta.evaluate import evaluate
from minidelta.hub import load_model, load_tokenizer
from minidelta.prompt.context import FORMATS, Format, choose
from minidelta.prompt.learners import in_context
from minidelta.prompt.template import Template
from minidelta.world.lists import functions

SIZES = ("gpt-icl-nano", "gpt-icl-micro", "gpt-icl-mini")
SHOTS = (0, 1, 2, 4, 8, 16, 32)
TASKS = 20  # drawn by a seed
NOISE = 0.2
ARROW, NEW_WAY = FORMATS["arrow"], Format(Template("Input: {text_a|shorten} Output: {mask}"), "\n")
EACH = [(name, group) for group, known in functions().items() for name in known if name != "copy"]


@lru_cache(maxsize=1)
def ready(name: str) -> tuple[Any, Any]:
    """Model and tokenizer."""
    return load_model(name).eval().requires_grad_(False), load_tokenizer(name)


def tasks(kind: str, seed: int) -> Iterator[tuple[Task, Format]]:
    """The tasks of a seed, and how they are written."""
    for number in range(len(EACH) if kind in ("functions", "kept words") else TASKS):
        own = 1000 * seed + number
        if kind in ("functions", "kept words"):
            yield function_task(*EACH[number], own, NOISE, kind == "kept words"), ARROW
        elif kind == "verdicts":
            yield verdicts(own), ARROW
        elif kind == "unseen":
            yield new_task(own, "kinds", "held"), NEW_WAY
        else:
            yield new_task(own, kind, "seen"), ARROW


def verdicts(seed: int) -> Task:
    """The built-in reviews with two labels drawn anew in place of negative and positive."""
    rng, task = Random(seed), load_task("sentiment")
    names = dict(zip(task.labels, rng.sample(LABEL_SETS["seen"], 2)))
    train, test = ([replace(example, label=names[example.label]) for example in rng.sample(part, 100)] for part in (task.train, task.test))
    return replace(task, labels=tuple(names.values()), train=train, validation=[], test=test[:QUESTIONS], built_in=False)


def score(model: str, kind: str, shots: int, seed: int, description: bool = False) -> float:
    """Share of right answers, the mean over the tasks of a seed; of the "unseen", all that there is is shown at most."""
    found = []
    for number, (task, form) in enumerate(tasks(kind, seed)):
        shown = choose(task.train, min(shots, len(task.train)), seed=1000 * seed + number)
        learner = in_context(*ready(model), task, form, shown, description=task.description if description else "")
        found.append(evaluate(learner, task.test, task.metric))
    return round(statistics.mean(found), 4)
