"""C25: delta-tuning gets better and converges faster as the backbone grows.

LoRA and Houlsby's adapter on three BERTs (nano, micro, mini: 0.4, 1.4 and 3.6 million parameters) and two tasks, answered through the same
template and label words at the mask, so that no new head learns beside them.  All sizes get the same examples, batches and steps,
and two rates, the tested default and three times as much, scaled to the width by the rule of `finetune.training.scaled`; of which the
rate counts whose validation curve has the highest mean.  (Looks at seed 100, at nano and micro, set the goals, and never chose half the
default over twice as much.)  The settings of a delta are its defaults, so that it grows with the model.

Compared are the test score at the end, and the steps until a fixed validation score is reached, at the first of two looks in a row; a run
that never reaches it counts as one look after its end, which flatters the small models.  The three models were not pre-trained
alike: bert-nano and micro read 26 million tokens, mini 18, so the largest one has read least.
"""

import math
import statistics
from dataclasses import replace
from typing import Any

import torch

from minidelta.claims.claim import Claim, Part, Run
from minidelta.claims.tuning import followed, steps_to
from minidelta.data import Task, load_task
from minidelta.delta import METHODS
from minidelta.finetune.training import FOUND_AT, scaled
from minidelta.hub import load_model, load_tokenizer
from minidelta.prompt import prompt_learner

SIZES = ("bert-nano", "bert-micro", "bert-mini")
GOALS = {"question-type": 0.4, "relation": 0.3}  # task -> the fixed score, on validation
DELTAS = ("lora", "houlsby")
STEPS, BATCH, EVERY = 150, 16, 10
VALIDATION, TEST = 60, 300  # examples


def runs(light: bool) -> list[Run]:
    """Every size x task x delta x seed; light: two sizes, LoRA on one task, one rate, two seeds."""
    sizes, tasks, deltas, tries, seeds = (SIZES[:2], list(GOALS)[:1], DELTAS[:1], slice(1), 2) if light else (SIZES, GOALS, DELTAS, slice(2), 5)
    return [{"model": size, "task": task, "delta": delta, "factors": [1.0, 3.0][tries], "seed": seed} for seed in range(seeds) for size in sizes for task in tasks for delta in deltas]


def do(run: Run) -> dict[str, Any]:
    """Train with each rate; the curve, the steps to the goal and the test score of the one that validation chooses."""
    task, tries = load_task(run["task"], seed=run["seed"]), []
    task = replace(task, train=task.train[: STEPS * BATCH], validation=task.validation[:VALIDATION], test=task.test[:TEST])
    for factor in run["factors"]:
        curve, score = train(run["model"], run["delta"], task, factor, run["seed"])
        tries.append({"factor": factor, "curve": [round(figure, 3) for figure in curve], "score": round(score, 4)})
    best = max(tries, key=lambda one: statistics.mean(one["curve"]))  # of equals the first: the smaller rate
    return best | {"took": steps_to(best["curve"], GOALS[run["task"]], EVERY, hold=2)}


def train(size: str, method: str, task: Task, factor: float, seed: int) -> tuple[list[float], float]:
    """One training: the validation score every few steps, and the test score at the end."""
    model = load_model(size)
    learner = prompt_learner(model, load_tokenizer(size), task, seed=seed)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        delta = METHODS[method]().attach(model)
    lr = scaled(factor * delta.learning_rate, model.config.d_model, FOUND_AT[model.config.shape])
    return followed(learner, task, method, delta, lr, seed, steps=STEPS, batch_size=BATCH, every=EVERY)


def score(runs: list[Run], size: str) -> float:
    """Test score of a size, mean over tasks and deltas (of one seed)."""
    return statistics.mean(run["score"] for run in runs if run["model"] == size)


def speed(runs: list[Run], size: str) -> float:
    """Minus the logarithm (base 2) of the steps to the goal, mean over tasks and deltas (of one seed)."""
    return -statistics.mean(math.log2(run.get("took", 1)) for run in runs if run["model"] == size)


def rise(runs: list[Run], figure: Any, whole: bool) -> float:
    """How much a figure grows from the smallest size to the largest, or at the smaller of its steps (of one seed)."""
    values = [figure(runs, size) for size in dict.fromkeys(run["model"] for run in runs)]
    return values[-1] - values[0] if whole else min(after - before for before, after in zip(values, values[1:]))


CLAIM = Claim(
    id="C25",
    section="scale",
    claim="delta-tuning gets better and faster to converge as the backbone grows",
    paper="Ding et al. 2023, figure 3: with T5 small, base and XXL, adapters, LoRA, prefixes, last-layer and selective-module tuning converge faster and score higher on MNLI, QNLI and SST-2",
    parts=(
        Part("better", "the largest model scores at least 5 points above the smallest", 0.05, lambda runs: rise(runs, score, True)),
        Part("each", "each step in size brings something", 0.0, lambda runs: rise(runs, score, False)),
        Part("faster", "the largest model reaches the fixed score in less than half the steps of the smallest (halvings)", 1.0, lambda runs: rise(runs, speed, True)),
        Part("sooner", "each step in size takes fewer steps (halvings)", 0.0, lambda runs: rise(runs, speed, False)),
    ),
    runs=runs,
    do=do,
)
