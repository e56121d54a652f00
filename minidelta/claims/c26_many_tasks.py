"""C26: prompting several tasks from one backbone keeps each task's score, and computes less than a tuned copy each.

The same four tasks, templates, label words, examples and steps in three arms:

    prompts   one frozen backbone; each task has soft tokens before its template, and label vectors that start as its words
    joint     one backbone, tuned on all tasks by their templates, in turn
    copies    one backbone tuned for each task by its template

An arm chooses between two learning rates by validation (the joint one by its mean over the tasks: it is one model), and the
values that were best on validation are kept.  A look at the prompts beforehand (seed 100, 200 steps of 32, three rates: topic
.95, sentiment .53, question-type .31, relation .19) showed which rates train them, and that they are far behind on three tasks;
the margins are what one would ask of a prompt in use, and were not moved.

Compute is counted, not timed: the floating-point operations of forward and backward pass on the same examples, soft tokens
included.  That part is arithmetic more than experiment, and a look at single steps told its sign: without gradients of weights
a third is saved at most, and eight soft tokens take back half of it, because they make every text longer.  Seconds, bytes
and the time of a switch are written down beside it.
"""

import statistics
import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

from minidelta.claims.c03_text_to_text import shorter, taking_turns
from minidelta.claims.claim import Claim, Part, Run
from minidelta.claims.tuning import best_rate
from minidelta.costs import measure
from minidelta.data import Task, load_task
from minidelta.evaluate import evaluate
from minidelta.finetune.training import Batches, parameter_groups
from minidelta.hub import load_model, load_tokenizer
from minidelta.prompt import PromptLearner, prompt_learner
from minidelta.prompt.builtin import templates_for
from minidelta.train import fit

MODEL = "bert-nano"
TASKS = ("sentiment", "topic", "question-type", "relation")
SOFT = 8  # soft tokens of a task
STEPS, BATCH = 150, 16  # of each task; an example is seen once
RATES = {"prompts": (0.1, 0.3), "joint": (1e-3, 3e-3), "copies": (1e-3, 3e-3)}
ARMS = tuple(RATES)


def runs(light: bool) -> list[Run]:
    """Every arm x seed; light: two tasks, a third of the steps, two seeds."""
    tasks, steps, seeds = (TASKS[:2], STEPS // 3, 2) if light else (TASKS, STEPS, 5)
    return [{"arm": arm, "seed": seed, "tasks": list(tasks), "steps": steps} for seed in range(seeds) for arm in ARMS]


def do(run: Run) -> dict[str, Any]:
    """One arm on all tasks: the mean of their scores, each of them, and what it cost."""
    tasks = {name: shorter(load_task(name)) for name in run["tasks"]}
    tasks = {name: replace(task, train=task.train[: run["steps"] * BATCH]) for name, task in tasks.items()}
    if run["arm"] == "joint":
        found = together(tasks, run)
    else:
        found = {name: best_rate(partial(asked, run["arm"], task, run["seed"]), task, RATES[run["arm"]], run["seed"], method(run["arm"]), steps=run["steps"], batch_size=BATCH) for name, task in tasks.items()}
    costs = {name: cost(run["arm"], task) for name, task in tasks.items()}
    figures = {"flops": sum(one["flops"] for one in costs.values()), "held": max(one["held"] for one in costs.values()), "stored": stored(run["arm"], costs), "switch": switch(run["arm"], tasks)}
    return {"score": round(statistics.mean(one["score"] for one in found.values()), 4), "scores": {name: one["score"] for name, one in found.items()}, "lr": {name: one["lr"] for name, one in found.items()}, "seconds": round(sum(one["seconds"] for one in found.values()), 1)} | figures


def method(arm: str) -> str:
    """What `train_task` calls it: soft tokens and label vectors are all the head there is."""
    return "head" if arm == "prompts" else "full"


def asked(arm: str, task: Task, seed: int, model: Any = None) -> PromptLearner:
    """A learner of the task: its first built-in template and words; with soft tokens and label vectors for the arm "prompts"."""
    source = templates_for(task)[0].source
    soft = arm == "prompts"
    return prompt_learner(model or load_model(MODEL), load_tokenizer(MODEL), task, f"{{soft:{SOFT}}} {source}" if soft else source, tokens="vectors" if soft else None, seed=seed)


def together(tasks: dict[str, Task], run: Run) -> dict[str, dict[str, Any]]:
    """One model tuned on all tasks in turn, with the best of the rates."""
    tries = []
    for lr in RATES["joint"]:
        model = load_model(MODEL)
        learners = {name: asked("joint", task, run["seed"], model) for name, task in tasks.items()}
        batches = {name: Batches(learner, learner.encode(tasks[name].train), BATCH, run["seed"]) for name, learner in learners.items()}
        scored = lambda part: {name: evaluate(learner, getattr(tasks[name], part), tasks[name].metric) for name, learner in learners.items()}  # noqa: E731
        steps = run["steps"] * len(tasks)
        model.requires_grad_(True).train()
        history = fit(lambda named: learners[named[0]].loss(named[1]), taking_turns(batches), model.parameters(), steps=steps, lr=lr, weight_decay=0.01, seed=run["seed"], progress=False, validate=lambda: statistics.mean(scored("validation").values()), every=-(-steps // 4), patience=4)
        model.eval()
        best = max(next(iter(figures.values())) for _, figures in history.validations)
        tries.append((best, {name: {"score": round(score, 4), "lr": lr} for name, score in scored("test").items()}, history.seconds))
    found = max(tries, key=lambda one: one[0])[1]
    return {name: one | {"seconds": sum(seconds for *_, seconds in tries) / len(found)} for name, one in found.items()}


def cost(arm: str, task: Task) -> dict[str, int]:
    """Of one training step on the first examples: floating-point operations, and the bytes held beside the weights."""
    learner = asked(arm, task, 0)
    groups = parameter_groups(learner, method(arm))
    batch = learner.collate(task.train[:BATCH])
    learner.rest()
    ledger = measure(lambda: learner.loss(batch), learner.model, [p for group in groups for p in group["params"]], count=True)
    return {"flops": ledger.flops, "held": ledger.gradients + ledger.optimizer + ledger.activations, "weights": 4 * sum(p.numel() for p in learner.model.parameters()), "trained": ledger.stored}


def stored(arm: str, costs: dict[str, dict[str, int]]) -> int:
    """Bytes on the disk for all tasks: the backbone and what each task adds, the one model, or a model for each."""
    weights, trained = max(one["weights"] for one in costs.values()), [one["trained"] for one in costs.values()]
    return {"prompts": weights + sum(trained), "joint": weights, "copies": sum(trained)}[arm]


def switch(arm: str, tasks: dict[str, Task], times: int = 20) -> float:
    """Milliseconds from one task to the next, a median: hang its soft tokens in the model, or put its copy's values there."""
    model = load_model(MODEL)
    learners = [asked(arm, task, 0, model) for task in tasks.values()]
    kept = [{name: value.clone() for name, value in model.state_dict().items()} for _ in learners] if arm == "copies" else []
    taken = []
    for turn in range(times):
        started = time.perf_counter()
        if arm == "copies":
            model.load_state_dict(kept[turn % len(kept)])
        learners[turn % len(learners)].hang()
        taken.append(1000 * (time.perf_counter() - started))
    return round(statistics.median(taken), 4)


def behind(arm: str) -> Callable[[list[Run]], float]:
    """Mean over the tasks (of one seed): the arm's score minus the copies'."""

    def statistic(runs: list[Run]) -> float:
        score = {run["arm"]: run["score"] for run in runs}
        return score[arm] - score["copies"]

    return statistic


def worst(runs: list[Run]) -> float:
    """On the task that loses most: joint minus copies."""
    scores = {run["arm"]: run.get("scores", {"": run["score"]}) for run in runs}
    return min(scores["joint"][name] - scores["copies"][name] for name in scores["joint"])


def saved(runs: list[Run]) -> float:
    """The share of the copies' operations that the prompts do not need."""
    flops = {run["arm"]: run.get("flops", 1) for run in runs}
    return 1 - flops["prompts"] / flops["copies"]


CLAIM = Claim(
    id="C26",
    section="prompt",
    claim="prompting several tasks from one backbone keeps each task's score, with less compute than a tuned copy each",
    paper="Lester et al. 2021, abstract: one frozen model is reused for many tasks, and prompt tuning matches model tuning as models exceed billions of parameters",
    parts=(
        Part("switching", "soft prompts beside one frozen backbone score at most 5 points below tuned copies", -0.05, behind("prompts")),
        Part("joint", "one backbone tuned on all tasks scores at most 3 points below tuned copies", -0.03, behind("joint")),
        Part("each", "on its worst task it scores at most 5 points below the copy", -0.05, worst),
        Part("compute", "a training step of the prompts takes fewer operations (share saved)", 0.0, saved),
    ),
    runs=runs,
    do=do,
)
