"""C3: one text-to-text model does every task, against a model with a head of its own for each task.

One T5 learns four tasks of four kinds in one run, in which they take turns; a BERT of the same width and depth is
fine-tuned once for each task.  A task sees the same examples in equally many steps in both arms, and both arms choose
among three learning rates on validation (the T5 by its mean over the tasks: it is one model).  What differs beside
the idea is the pre-training: the two checkpoints are the embedded ones of their families.
"""

import statistics
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

from minidelta.claims.claim import Claim, Part, Run
from minidelta.claims.tuning import best_rate
from minidelta.data import Task, load_task
from minidelta.data.baselines import majority
from minidelta.evaluate import evaluate
from minidelta.finetune import learner_for
from minidelta.finetune.training import Batches
from minidelta.hub import load_model, load_tokenizer
from minidelta.train import fit

ONE, HEADS = "t5-nano", "bert-nano"
TASKS = ("sentiment", "entailment", "relation", "tagging")
STEPS, BATCH = 300, 32  # of each task
VALIDATION, TEST = 200, 500  # examples
RATES = (5e-4, 1e-3, 2e-3)
ARMS = ("one", "heads", "majority")


def runs(light: bool) -> list[Run]:
    """Every arm x seed; light: two tasks, a third of the steps, two seeds."""
    tasks, steps, seeds = (TASKS[:2], STEPS // 3, 2) if light else (TASKS, STEPS, 5)
    return [{"arm": arm, "seed": seed, "tasks": list(tasks), "steps": steps} for seed in range(seeds) for arm in ARMS]


def do(run: Run) -> dict[str, Any]:
    """One arm on all tasks: the mean of their scores, and each of them."""
    tasks = {name: shorter(load_task(name)) for name in run["tasks"]}
    if run["arm"] == "majority":
        scores, more = {name: evaluate(majority(task), task.test, task.metric) for name, task in tasks.items()}, {}
    elif run["arm"] == "one":
        scores, more = one_model(tasks, run)
    else:
        scores, more = own_heads(tasks, run)
    return {"score": round(statistics.mean(scores.values()), 4), "scores": {name: round(score, 4) for name, score in scores.items()}} | more


def shorter(task: Task) -> Task:
    """The task with fewer examples to look at."""
    return replace(task, validation=task.validation[:VALIDATION], test=task.test[:TEST])


def one_model(tasks: dict[str, Task], run: Run) -> tuple[dict[str, float], dict[str, Any]]:
    """One T5 for all tasks, with the best of the rates."""
    tries = []
    for lr in RATES:
        model, tokenizer = load_model(ONE), load_tokenizer(ONE)
        learners = {name: learner_for(model, tokenizer, task, seed=run["seed"]) for name, task in tasks.items()}
        batches = {name: Batches(learner, learner.encode(tasks[name].train), BATCH, run["seed"]) for name, learner in learners.items()}
        fit(lambda named: learners[named[0]].loss(named[1]), taking_turns(batches), model.parameters(), steps=run["steps"] * len(tasks), lr=lr, weight_decay=0.01, seed=run["seed"], progress=False)
        model.eval()
        validation = statistics.mean(evaluate(learner, tasks[name].validation, tasks[name].metric) for name, learner in learners.items())
        scores = {name: evaluate(learner, tasks[name].test, tasks[name].metric) for name, learner in learners.items()}
        tries.append((validation, scores, {"lr": lr, "unreadable": {name: learner.unreadable for name, learner in learners.items()}}))
    _, scores, more = max(tries, key=lambda one: one[0])
    return scores, more


def taking_turns(batches: dict[str, Callable[[int], Any]]) -> Callable[[int], tuple[str, Any]]:
    """The batch of a step: (task, batch), the tasks in turn.

    >>> at = taking_turns({"a": lambda n: n, "b": lambda n: -n})
    >>> [at(step) for step in range(4)]
    [('a', 0), ('b', 0), ('a', 1), ('b', -1)]
    """
    names = list(batches)

    def at(step: int) -> tuple[str, Any]:
        name = names[step % len(names)]
        return name, batches[name](step // len(names))

    return at


def own_heads(tasks: dict[str, Task], run: Run) -> tuple[dict[str, float], dict[str, Any]]:
    """A BERT with a head for each task, each with the best of the rates."""
    tokenizer = load_tokenizer(HEADS)
    best = {}
    for name, task in tasks.items():
        learner = partial(_with_head, tokenizer, task, run["seed"])
        best[name] = best_rate(learner, task, RATES, run["seed"], steps=run["steps"])
    return {name: one["score"] for name, one in best.items()}, {"lr": {name: one["lr"] for name, one in best.items()}}


def _with_head(tokenizer: Any, task: Task, seed: int) -> Any:
    return learner_for(load_model(HEADS), tokenizer, task, seed=seed)


def scores(runs: list[Run]) -> dict[str, float]:
    """Mean over the tasks, by arm (of one seed)."""
    return {run["arm"]: run["score"] for run in runs}


def worst(runs: list[Run]) -> float:
    """On the worst of the tasks: the T5 minus the most common answer."""
    arm = {run["arm"]: run.get("scores", {"": run["score"]}) for run in runs}
    return min(arm["one"][name] - arm["majority"][name] for name in arm["one"])


CLAIM = Claim(
    id="C3",
    section="fine-tuning",
    claim="one text-to-text model does every task, as well as a head for each",
    paper="Raffel et al. 2020, section 1: the same model, objective, training procedure and decoding process for every task",
    parts=(
        Part("every", "one model beats the most common answer by at least 10 points on each of the tasks", 0.10, worst),
        Part("heads", "its mean over the tasks is at most 3 points below that of separate heads", -0.03, lambda runs: scores(runs)["one"] - scores(runs)["heads"]),
    ),
    runs=runs,
    do=do,
)
