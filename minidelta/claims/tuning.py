"""Training inside a claim: every arm gets the same number of learning rates to choose from, on validation alone."""

from collections.abc import Callable, Sequence
from typing import Any

import torch

from minidelta.data import Task
from minidelta.delta import Delta
from minidelta.finetune import Learner, train_task


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
