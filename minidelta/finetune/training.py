"""One recipe to adapt a model to a task, whatever the model, the task and the parameters that train.

    learner = learner_for(model, tokenizer, task)
    result = train_task(learner, task, "full")                 # every parameter
    result = train_task(learner, task, "head")                 # backbone frozen
    result = train_task(learner, task, "lora", delta=delta)    # an attached delta, and the head
"""

import random
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from minidelta.data import Task
from minidelta.errors import ConfigError
from minidelta.evaluate import evaluate
from minidelta.finetune.learner import Item, Learner
from minidelta.train import History, fit

# Learning rates per step of AdamW, found on the embedded models: (backbone, head).  Those of a head hold at width 128,
# those of a backbone (and of a delta) at FOUND_AT: a BERT, whose norms stand behind the sums, bears less than the others.
# A head begins at nothing and wants ten times the rate of a backbone: on relations, with 11 classes and 200 to 400 steps, it is worth 4 to 8 points.
RATES = {
    "encoder": {"full": (1e-3, 1e-2), "head": (None, 2e-2), "delta": (None, 2e-2)},
    "decoder": {"full": (1e-3, 1e-2), "head": (None, 2e-2), "delta": (None, 2e-2)},
    "encoder-decoder": {"full": (1e-3, None), "head": (None, 3e-3), "delta": (None, None)},
}
FOUND_AT = {"encoder": 64, "decoder": 128, "encoder-decoder": 128}
WIDEST = 192  # of the embedded BERTs, on which the rates of deltas were seen to hold
PASSES = 5  # times through the training part, where nothing is said
FEWEST_STEPS, MOST_STEPS = 150, 750  # however little data there is; however much, unless one pass is longer


@dataclass(frozen=True)
class Result:
    """What a run brought.

    score: of `metric` on the test part (0 to 1).
    trainable, total: parameters that trained, and all that there are, head and delta included.
    seconds: training and validation; not the final test.
    truncated: training and test examples that had to be shortened.  unreadable: test answers in no known form.
    """

    metric: str
    score: float
    trainable: int
    total: int
    steps: int
    seconds: float
    truncated: int
    unreadable: int
    history: History


def scaled(rate: float, d_model: int, width: int = 128) -> float:
    """A rate found at one width for another one: wider models want smaller steps.

    rate * (width / d)^(3/2), never more than `rate`.  At width 768 it carries 1e-3 of the embedded BERT to 2.4e-5
    (Devlin et al. 2019: 2e-5 to 5e-5) and 1e-3 of the embedded GPT to 6.8e-5 (Radford et al. 2018: 6.25e-5).

    >>> round(scaled(1e-3, 768, 64), 6), round(scaled(1e-3, 768), 6), scaled(1e-3, 64)
    (2.4e-05, 6.8e-05, 0.001)
    """
    return rate * min(1.0, (width / d_model) ** 1.5)


def delta_rate(rate: float, shape: str, d_model: int, slowing: float = 1.5) -> float:
    """A delta's rate, found on embedded models, for a model of any shape and width.

    As `scaled`; beyond the widest embedded BERT, one of a BERT falls by (192 / d)^slowing.  With 3/2, the law of whole models, LoRA,
    adapters and BitFit have hardly begun after a pass over a real data set; at width 768 and 1/2, LoRA's 5e-3 becomes 4.8e-4
    (Hu et al. 2021, table 9: 4e-4 to 5e-4 for RoBERTa-base).

    >>> [round(delta_rate(5e-3, "encoder", d, slowing=0.5), 5) for d in (64, 192, 384, 768)], round(delta_rate(5e-3, "encoder", 768), 5)
    ([0.005, 0.00096, 0.00068, 0.00048], 0.00012)
    """
    known = min(d_model, WIDEST) if shape == "encoder" else d_model
    return scaled(rate, known, FOUND_AT[shape]) * (known / d_model) ** slowing


def parameter_groups(learner: Learner, method: str, delta: Any = None, lr: float | None = None) -> list[dict[str, Any]]:
    """Freeze and unfreeze for a method, and list what trains with its rates.

    Args:
        learner: whose model and head are meant.
        method: "full" (everything), "head" (the backbone is frozen), or the name of the attached delta's family.
        delta: an attached delta; anything with `groups(lr)`, `learning_rate` (and `slowing`) and its parameters.
        lr: rate for the backbone or delta (of "head": for the head); default the tested one.
    """
    if method not in ("full", "head") and delta is None:
        raise ConfigError(f"The method {method!r} trains a delta, and none was given. Attach one and pass delta=..., or choose full or head.")
    d_model, width = learner.model.config.d_model, FOUND_AT[learner.shape]
    backbone, head = RATES[learner.shape][method if method in ("full", "head") else "delta"]
    head_rate = learner.rate if learner.rate and method != "full" else head and scaled(head, d_model)
    if method == "full":
        learner.model.requires_grad_(True)
        groups = [{"params": list(learner.model.parameters()), "lr": lr or scaled(backbone, d_model, width)}]
    elif method == "head":
        learner.model.requires_grad_(False)
        for p in learner.open_head():
            p.requires_grad_(True)
        groups, head_rate = [], lr or head_rate
    else:
        groups = delta.groups(lr or delta_rate(delta.learning_rate, learner.shape, d_model, getattr(delta, "slowing", 1.5)))
        for p in learner.parameters():  # a part of the head that hangs in the model was frozen with it
            p.requires_grad_(True)
    if learner.parameters():
        groups.append({"params": learner.parameters(), "lr": head_rate})
    if not groups:
        raise ConfigError(f"Nothing to train: the backbone is frozen (method {method!r}) and this task adds no parameters of its own. Train the whole model, or give a template soft tokens.")
    return groups


class Batches:
    """The batch of every step, as a pure function of its number: each pass goes once through all items, shuffled.

    Texts of like length share a batch (the items are sorted within chunks of sixteen batches), which saves padding.
    """

    def __init__(self, learner: Learner, items: Sequence[Item], size: int, seed: int = 0) -> None:
        self.learner, self.items, self.seed = learner, items, seed
        self.size = min(size, len(items))
        self.drawn: tuple[int, list[list[int]]] = (-1, [])  # the last pass asked for

    def __call__(self, number: int) -> dict[str, Any]:
        turn, place = divmod(number, len(self.items) // self.size)
        if self.drawn[0] != turn:
            self.drawn = (turn, self.draw(turn))
        return self.learner.pad([self.items[i] for i in self.drawn[1][place]])

    def draw(self, turn: int) -> list[list[int]]:
        """The batches of one pass, as places of the items; what does not fill a batch waits for another pass."""
        rng = random.Random(self.seed * 1_000_003 + turn)
        order = rng.sample(range(len(self.items)), len(self.items))
        order = order[: len(order) // self.size * self.size]
        batches = []
        for start in range(0, len(order), 16 * self.size):
            chunk = sorted(order[start : start + 16 * self.size], key=lambda i: self.items[i]["size"])
            batches += [chunk[i : i + self.size] for i in range(0, len(chunk), self.size)]
        rng.shuffle(batches)
        return batches


def train_task(
    learner: Learner,
    task: Task,
    method: str = "full",
    delta: Any = None,
    *,
    steps: int | None = None,
    lr: float | None = None,
    batch_size: int = 32,
    seed: int = 0,
    validations: int = 4,
    weight_decay: float = 0.01,
    checkpoint: str | Path | None = None,
    progress: bool = True,
    **settings: Any,
) -> Result:
    """Train on the task's training part, keep the values that were best on validation, report the test score.

    Args:
        learner: from `learner_for`.
        task: its three parts.
        method: "full", "head", or the family of the attached `delta`.
        delta: an attached delta that trains beside the head.
        steps: updates; default see `usual_steps`.
        lr: rate of the backbone or delta; default the tested one (`RATES`, `Delta.learning_rate`).
        batch_size: examples per step.
        seed: of order and dropout (the head's start values come from the learner's seed).
        validations: how often the validation part is looked at; 0 to train blindly to the end.
        weight_decay: of matrices.
        checkpoint: folder to resume from and save to; see `fit`.
        settings: anything else that `fit` takes, such as amp=True for a large model on a GPU.  It is off here and in
            `minidelta run`, so that a score is that of float32 everywhere: a step of the embedded models is as long on a GPU
            as it takes to start its kernels, and bfloat16 adds half as many again.
    """
    started = time.perf_counter()
    groups = parameter_groups(learner, method, delta, lr)
    learner.make_room(getattr(delta, "prompt_length", 0))
    learner.truncated = 0
    items = learner.encode(task.train)
    truncated = learner.truncated
    steps = steps or usual_steps(len(items), batch_size)
    watched = task.validation if validations else []
    if watched:
        settings = {"validate": lambda: evaluate(learner, watched, task.metric), "every": max(1, -(-steps // validations)), "patience": validations} | settings
    loss = learner.loss
    if delta is not None:  # some families add to the loss, and some act after each step
        loss = lambda batch: learner.loss(batch) + delta.penalty()  # noqa: E731
        settings = {"on_step": lambda done: delta.after_step(done, steps)} | settings
    learner.train()
    history = fit(loss, Batches(learner, items, batch_size, seed), groups, steps=steps, lr=groups[0]["lr"], weight_decay=weight_decay, seed=seed, checkpoint=checkpoint, progress=progress, description=f"{task.name} {method}", **settings)
    learner.rest()
    seconds = time.perf_counter() - started
    trainable, total = count_parameters(learner)
    learner.truncated = 0  # validations counted theirs again and again
    score = evaluate(learner, task.test, task.metric)
    return Result(task.metric, score, trainable, total, steps, seconds, truncated + learner.truncated, learner.unreadable, history)


def usual_steps(examples: int, batch_size: int) -> int:
    """Updates where nothing is said: five passes, cut at 750 updates; at least 150, and never less than one pass.

    >>> usual_steps(64, 32), usual_steps(4000, 32), usual_steps(8000, 32), usual_steps(64000, 32)
    (150, 625, 750, 2000)
    """
    one_pass = examples // batch_size
    return max(FEWEST_STEPS, min(PASSES * one_pass, MOST_STEPS), one_pass)


def count_parameters(learner: Learner) -> tuple[int, int]:
    """(trainable, all) parameters of model and head; shared ones count once."""
    every = {id(p): p for p in [*learner.model.parameters(), *learner.parameters()]}.values()
    return sum(p.numel() for p in every if p.requires_grad), sum(p.numel() for p in every)
