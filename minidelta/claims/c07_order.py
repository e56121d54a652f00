"""C7: order, format and label prior matter; calibration repairs part of it.

The three sizes, frozen, and mappings of words to two labels (`in_context.py`); figures are means over the sizes.  In every task the same
questions are asked

    order       with the same four examples in twelve orders
    format      with the same four examples, written in six ways that pre-training uses and two that it does not
    prior       with sixteen examples of which eight, or fourteen, have the first label
    labels      with eight examples that have their own labels, or labels drawn by lot (Min et al. 2022)

The first three once as they are and once with contextual calibration (Zhao et al. 2021), which looks at no label.  The best and the worst
order and format are named on one half of the questions and measured on the other, both ways, so that luck is not taken for a good order.

Margins were written down first, for the largest model alone.  A look at one other seed of the smallest showed what depends on size, so all
three are asked; parts and margins stayed.
"""

import statistics
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from itertools import permutations
from random import Random
from typing import Any

from minidelta.claims.claim import Claim, Part, Run
from minidelta.claims.in_context import ARROW, SIZES, ready, tasks
from minidelta.data import Example, Task
from minidelta.prompt.calibrate import calibrate
from minidelta.prompt.context import Format, choose
from minidelta.prompt.learners import in_context
from minidelta.prompt.template import Template
from minidelta.world.lists import HELD_LAYOUTS, LAYOUTS

FEW, SOME, MANY = 4, 8, 16  # examples
ORDERS = 12
MAJORITY = 14  # of MANY
SEEN_WAYS, NEW_WAYS = ([Format(Template(one.format(x="{text_a}", y="{mask}")), between) for one, between in layouts] for layouts in (LAYOUTS, HELD_LAYOUTS))
Ask = Callable[..., list[bool]]  # (task, shown, form) -> which questions are answered right
WHAT = ("order", "format", "prior", "labels")


def runs(light: bool) -> list[Run]:
    """All four, as they are and calibrated.  Light: order and prior on the smallest model, two seeds."""
    models, parts = (SIZES[:1], ("order", "prior")) if light else (SIZES, WHAT)
    return [{"model": model, "what": what, "calibrated": calibrated, "seed": seed} for seed in range(2 if light else 5) for model in models for what in parts for calibrated in (False, True)]


def do(run: Run) -> dict[str, Any]:
    """Means over the tasks of a seed."""
    each = {"order": order, "format": written, "prior": prior, "labels": lots}[run["what"]]
    ask = partial(right, run["model"], run["calibrated"])
    found = [each(task, ask, 1000 * run["seed"] + number) for number, (task, _) in enumerate(tasks("words", run["seed"]))]
    return {key: round(statistics.mean(one[key] for one in found), 4) for key in found[0]}


def right(model: str, calibrated: bool, task: Task, shown: list[Example], form: Format = ARROW) -> list[bool]:
    """Which questions are answered right."""
    learner = in_context(*ready(model), task, form, shown)
    if calibrated:
        calibrate(learner, "contextual", task.test)
    return [answer == example.label for answer, example in zip(learner.predict(task.test), task.test)]


def spread(hits: list[list[bool]]) -> float:
    """Accuracy of the best way less that of the worst, named on one half of the questions and measured on the other."""
    gaps = []
    for named, measured in ((slice(0, None, 2), slice(1, None, 2)), (slice(1, None, 2), slice(0, None, 2))):
        best, worst = (pick(hits, key=lambda way: statistics.mean(way[named])) for pick in (max, min))
        gaps.append(statistics.mean(best[measured]) - statistics.mean(worst[measured]))
    return statistics.mean(gaps)


def order(task: Task, ask: Ask, seed: int) -> dict[str, float]:
    shown = choose(task.train, FEW, seed=seed)
    orders = Random(seed).sample(list(permutations(shown)), ORDERS)
    hits = [ask(task, list(one)) for one in orders]
    return {"score": statistics.mean(map(statistics.mean, hits)), "spread": spread(hits)}


def written(task: Task, ask: Ask, seed: int) -> dict[str, float]:
    shown = choose(task.train, FEW, seed=seed)
    hits = [ask(task, shown, form) for form in (*SEEN_WAYS, *NEW_WAYS)]
    each = list(map(statistics.mean, hits))
    return {"score": statistics.mean(each), "spread": spread(hits), "seen": statistics.mean(each[: len(SEEN_WAYS)]), "new": statistics.mean(each[len(SEEN_WAYS) :])}


def prior(task: Task, ask: Ask, seed: int) -> dict[str, float]:
    found = {}
    for name, count in (("balanced", MANY // 2), ("leaning", MAJORITY)):
        own = [[example for example in task.train if example.label == label] for label in task.labels]
        shown = choose(own[0], count, "random", seed) + choose(own[1], MANY - count, "random", seed)
        found[name] = statistics.mean(ask(task, Random(seed).sample(shown, MANY)))
    return {"score": found["leaning"]} | found


def lots(task: Task, ask: Ask, seed: int) -> dict[str, float]:
    shown, rng = choose(task.train, SOME, seed=seed), Random(seed)
    by_lot = [replace(example, label=rng.choice(task.labels)) for example in shown]
    own, lot = (statistics.mean(ask(task, one)) for one in (shown, by_lot))
    return {"score": own, "own": own, "by lot": lot}


# -- the statistics, of one seed -----------------------------------------------------------------------------------------


def _of(runs: list[Run], what: str, key: str, calibrated: bool = False) -> float:
    """A figure, the mean over the sizes."""
    found = [run.get(key, 0.0) for run in runs if (run["what"], run["calibrated"]) == (what, calibrated)]
    return statistics.mean(found) if found else 0.0


def figure(what: str, key: str, less: str | None = None) -> Any:
    """One figure as it is, or one less another."""
    return lambda runs: _of(runs, what, key) - (_of(runs, what, less) if less else 0.0)


def repaired(what: str, key: str, sign: int = 1) -> Any:
    """What calibration adds to a figure, or takes off it."""
    return lambda runs: sign * (_of(runs, what, key, True) - _of(runs, what, key))


CLAIM = Claim(
    id="C7",
    section="GPT-3",
    claim="order, format and label prior matter; calibration repairs part of it",
    paper="Zhao et al. 2021: majority and recency bias of GPT-3, and contextual calibration; Lu et al. 2022: the order of the examples; Min et al. 2022: labels drawn by lot hurt little",
    parts=(
        Part("order", "the best of twelve orders of four examples beats the worst by at least 5 points", 0.05, figure("order", "spread")),
        Part("format", "the best of eight ways of writing beats the worst by at least 5 points", 0.05, figure("format", "spread")),
        Part("prior", "fourteen of sixteen examples with one label cost at least 3 points", 0.03, figure("prior", "balanced", "leaning")),
        Part("prior, calibrated", "calibration gives back at least 2 points of these", 0.02, repaired("prior", "leaning")),
        Part("order, calibrated", "calibration makes the gap between orders at least 2 points smaller", 0.02, repaired("order", "spread", -1)),
        Part("labels", "labels by lot cost at least 20 points: a new mapping is read off them", 0.20, figure("labels", "own", "by lot")),
    ),
    runs=runs,
    do=do,
)
