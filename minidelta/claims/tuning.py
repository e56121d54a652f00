"""Training inside a claim: every arm gets the same number of learning rates to choose from, on validation alone; and curves along it."""

from collections.abc import Callable, Sequence
from typing import Any

import torch

from minidelta.data import Task
from minidelta.delta import Delta
from minidelta.evaluate import evaluate
from minidelta.finetune import Learner, train_task
from minidelta.finetune.training import Batches, parameter_groups
from minidelta.train import fit


def best_rate(learner: Callable[[], Learner], task: Task, rates: Sequence[float], seed: int, method: str = "full", delta: Callable[[], Delta] | None = None, **settings: Any) -> dict[str, Any]:
    """Train once with each rate, keep the one that is best on validation, report its test score.

    Args:
        learner: makes a fresh one for each try.
        task: in few-shot work with a validation part of at most K per class.
        rates: of the backbone, of the head where it trains alone, or of the delta; all arms of a claim get as many.
        seed: of order, dropout and new weights.
        method: "full" or "head"; with a delta its own name counts.
        delta: makes a fresh one for each try; None: without.
        settings: as of `train_task`, such as steps.
    Returns: score (of the test part), validation, lr, trainable (head included), seconds (of all tries).
    """
    tries = []
    for lr in rates:
        trained, fresh = learner(), None
        if delta is not None:
            with torch.random.fork_rng(devices=[]):
                torch.manual_seed(seed)
                fresh = delta().attach(trained.model)
        result = train_task(trained, task, method if fresh is None else fresh.name, fresh, lr=lr, seed=seed, progress=False, **settings)
        validation = max(next(iter(figures.values())) for _, figures in result.history.validations)
        tries.append({"score": round(result.score, 4), "validation": round(validation, 4), "lr": lr, "trainable": result.trainable, "seconds": result.seconds})
    best = max(tries, key=lambda one: one["validation"])  # of equals the first: the smallest rate
    return best | {"seconds": round(sum(one["seconds"] for one in tries), 1)}


def followed(learner: Learner, task: Task, method: str, delta: Delta | None, lr: float, seed: int, *, steps: int, batch_size: int, every: int) -> tuple[list[float], float]:
    """Train once and look at the validation part every few steps.

    Args:
        learner: fresh.
        method: "full", "head", or the name of the attached delta.
        lr: of the backbone or delta, as it is; a head keeps its own.
    Returns: the validation scores, and the test score of the values at the end (not of the best ones).
    """
    groups = parameter_groups(learner, method, delta, lr)
    learner.make_room(getattr(delta, "prompt_length", 0))
    batches = Batches(learner, learner.encode(task.train), batch_size, seed)
    learner.train()
    history = fit(learner.loss, batches, groups, steps=steps, lr=lr, seed=seed, progress=False, validate=lambda: evaluate(learner, task.validation, task.metric), every=every)
    learner.rest()
    return [figures["score"] for _, figures in history.validations], evaluate(learner, task.test, task.metric)


def steps_to(curve: list[float], goal: float, every: int, hold: int = 1) -> int:
    """The first of `hold` looks in a row at which the goal is reached, in steps; one look after the end if there is none.

    >>> steps_to([0.2, 0.7, 0.3, 0.7, 0.9], 0.7, 10), steps_to([0.2, 0.7, 0.3, 0.7, 0.9], 0.7, 10, hold=2), steps_to([0.2, 0.3], 0.7, 10)
    (20, 40, 30)
    """
    return every * next((look for look in range(1, len(curve) - hold + 2) if min(curve[look - 1 : look - 1 + hold]) >= goal), len(curve) + 1)
