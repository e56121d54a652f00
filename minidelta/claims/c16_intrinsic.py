"""C16: adaptation has a low intrinsic dimension; pre-training lowers it, larger models lower it.

All linear layers of a BERT move along one vector of d numbers (`DID`, a fixed random projection), and d90 is the least d whose
accuracy reaches 90 % of that of full fine-tuning of the same model, as with Aghajanyan et al. 2021.  Every model answers through the
same template and label words, at the mask, so that d numbers are all that trains.  Between two values of the grid d90 is interpolated on
the logarithm of d.  A model that reaches its bar with the smallest d counts with that, one that never does with the largest: either
way the differences below are understated.  One thing works the other way: full fine-tuning moves the embeddings too, theta_d the linear layers
only, so that random embeddings stay random.

    topic            the pre-training of bert-nano: random weights, after 6 % of the steps, and to its end
    question-type    the same without the middle, and bert-micro, 3.5 times as large

The bar is each model's own: random weights are fully tuned to a lower score, and have less to reach.  All get the same examples,
batches and steps.  A step of Adam moves theta_d by about its rate times sqrt(d), so the grid of rates is divided by sqrt(d); the
validation part chooses from it once for each model, task and d, with a seed of its own (100), and full fine-tuning chooses between as
many.  The seeds draw the order, the projection, and the random weights.

Looks at seed 100 set tasks, grids and steps, with these figures.  Topic, full / d = 4 / 16: bert-nano .95 / .85 / .94, after 6 % of the steps .18
with d = 4 and .22 with 64; random weights .60 / .18 / .17 with 1,024.  Question types, bert-nano .66 / .48 with 4,096 and a small rate, .65 with a larger one;
bert-micro .82 / .71 with 1,024; random weights .76 / .42 with 4,096.  Relations were out of reach of every d.

Most models that are far from their bar chose the larger rate.  A look at a third one afterwards, three times as large, on the tuning seed: it would have been
chosen by random weights at guessing, on topics, and by bert-nano with 128 numbers on question types, below its bar; no d90 would change.
"""

import functools
import math
from dataclasses import replace
from typing import Any

import torch

from minidelta.claims.claim import Claim, Part, Run
from minidelta.claims.tuning import best_rate
from minidelta.data import Task, load_task
from minidelta.delta import DID
from minidelta.finetune.training import FOUND_AT, scaled
from minidelta.hub import load_model, load_tokenizer
from minidelta.model import Transformer
from minidelta.prompt import PromptLearner, prompt_learner

RANDOM, EARLY, NANO, MICRO = "random", "bert-nano-step720", "bert-nano", "bert-micro"
GRID = {  # task -> models, values of d
    "topic": ((RANDOM, EARLY, NANO), (1, 4, 16, 64, 256, 1024)),
    "question-type": ((RANDOM, NANO, MICRO), (128, 512, 2048, 8192)),
}
FULL = (5e-4, 2e-3)  # at width 64, scaled to the size
REACH = (0.25, 0.75)  # rates of theta_d, times sqrt(d)
STEPS, BATCH = 150, 8
VALIDATION, TEST = 100, 300  # examples
TUNING_SEED = 100
SHARE = 0.9


def runs(light: bool) -> list[Run]:
    """Every model x d (0: full fine-tuning) x seed of both tasks; light: one task, few steps and values of d, two seeds."""
    grid, steps, seeds = ({"topic": ((RANDOM, EARLY, NANO, MICRO), (4, 64))}, STEPS // 3, 2) if light else (GRID, STEPS, 5)
    return [
        {"task": task, "model": model, "d": d, "steps": steps, "seed": seed}
        for seed in range(seeds) for task, (models, values) in grid.items() for model in models for d in (0, *values)
    ]  # fmt: skip


def do(run: Run) -> dict[str, Any]:
    """Tune one model along one vector, or in full (d = 0), with the rate that was best on the tuning seed."""
    place = run["model"], run["task"], run["d"], run["steps"]
    found = train(*place, (chosen_rate(*place),), run["seed"])
    weights = sum(p.numel() for p in fresh(run["model"], 0).parameters())
    return found | {"weights": weights}


@functools.cache
def chosen_rate(model: str, task: str, d: int, steps: int) -> float:
    """Of the two rates the one that is best on validation, with a seed that is not measured."""
    if d:
        rates = [reach / math.sqrt(d) for reach in REACH]
    else:
        config = fresh(model, 0).config
        rates = [scaled(rate, config.d_model, FOUND_AT[config.shape]) for rate in FULL]
    return train(model, task, d, steps, tuple(rates), TUNING_SEED)["lr"]


def train(model: str, task: str, d: int, steps: int, rates: tuple[float, ...], seed: int) -> dict[str, Any]:
    """Train with each of the rates and report the best, as `best_rate` does."""
    examples = load_task(task, seed=seed)
    examples = replace(examples, train=examples.train[: steps * BATCH], validation=examples.validation[:VALIDATION], test=examples.test[:TEST])
    return best_rate(lambda: asked(model, examples, seed), examples, rates, seed, delta=(lambda: DID(d, seed=seed)) if d else None, steps=steps, batch_size=BATCH, validations=1)


def asked(model: str, task: Task, seed: int) -> PromptLearner:
    """A learner that asks the model by the first built-in template of the task."""
    return prompt_learner(fresh(model, seed), load_tokenizer(NANO if model == RANDOM else model), task, seed=seed)


def fresh(model: str, seed: int) -> Transformer:
    """An embedded model, or one of random weights in the shape of bert-nano."""
    if model != RANDOM:
        return load_model(model)
    like = load_model(NANO)
    with torch.random.fork_rng(devices=[]):
        return Transformer(like.config, seed=seed).to(like.device).eval()


def d90(runs: list[Run], task: str, model: str) -> float:
    """The least d that reaches 90 % of full fine-tuning, interpolated on log d (of one seed)."""
    scores = {run["d"]: run["score"] for run in runs if (run["task"], run["model"]) == (task, model)}
    bar = SHARE * scores.pop(0)
    below = None
    for d, score in sorted(scores.items()):
        if score >= bar:
            if below is None:
                return d
            share = (bar - below[1]) / (score - below[1])
            return math.exp(math.log(below[0]) + share * math.log(d / below[0]))
        below = d, score
    return max(scores)


def fewer(runs: list[Run], model: str, other: str) -> float:
    """How many times d90 is halved from `model` to `other`: mean over the tasks that both were given (of one seed)."""
    places = {(run["task"], run["model"]) for run in runs}
    shared = sorted(task for task, one in places if one == model and (task, other) in places)
    return sum(math.log2(d90(runs, task, model) / d90(runs, task, other)) for task in shared) / len(shared)


def spared(runs: list[Run]) -> float:
    """log10 of (weights / d90) where it is least, over the tasks of the two finished models (of one seed)."""
    full = {(run["task"], run["model"]): run for run in runs if run["d"] == 0 and run["model"] in (NANO, MICRO)}
    found = {place: d90(runs, *place) for place in full}
    return min(math.log10(run.get("weights", found[place]) / found[place]) for place, run in full.items())


CLAIM = Claim(
    id="C16",
    section="delta",
    claim="adaptation has a low intrinsic dimension, which pre-training lowers, and size too",
    paper="Aghajanyan et al. 2021, abstract: 200 parameters bring RoBERTa to 90 % of full fine-tuning on MRPC; pre-training and larger models lower the intrinsic dimension",
    parts=(
        Part("low", "d90 of the finished models is below 1 % of their weights on either task (log10 of weights per dimension)", 2.0, spared),
        Part("pre-training", "from random weights to the finished model d90 is at least halved (times halved)", 1.0, lambda runs: fewer(runs, RANDOM, NANO)),
        Part("early", "from 6 % of the pre-training to its end it is at least halved", 1.0, lambda runs: fewer(runs, EARLY, NANO)),
        Part("size", "from bert-nano to bert-micro it falls", 0.0, lambda runs: fewer(runs, NANO, MICRO)),
    ),
    runs=runs,
    do=do,
)
