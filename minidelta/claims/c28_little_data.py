"""C28: deltas over-fit less with little data.

The same BERT on few examples of two tasks, in five arms: everything trains, LoRA, or the biases (BitFit), each below a new head; and
everything, or LoRA, through a template and label words, with no head: prompt-learning, and prompt plus delta.  Same examples, batches, steps
and seeds, and two rates each, half and twice the tested default, of which the validation part chooses; it has at most K examples per
class where the training part has K.  All train to the end, for stopping early would hide what is asked.

Over-fitting is what the training score has above the test score.  An arm that learns nothing has no gap either: so the test scores
are asked for as well.  Topics are left out, since all arms learn them from a handful of examples (C8, C13).
"""

import statistics
from dataclasses import replace
from typing import Any

import torch

from minidelta.claims.claim import Claim, Part, Run
from minidelta.data import load_task
from minidelta.delta import METHODS
from minidelta.evaluate import evaluate
from minidelta.finetune import learner_for, train_task
from minidelta.finetune.training import RATES
from minidelta.hub import load_model, load_tokenizer
from minidelta.prompt import prompt_learner

MODEL = "bert-nano"
TASKS = ("question-type", "relation")
SHOTS = (4, 16, 64)  # examples per class
LITTLE = (4, 16)
ARMS = ("full", "lora", "bitfit", "prompt", "prompt lora")
BASES = {"full": RATES["encoder"]["full"][0], "lora": METHODS["lora"].learning_rate, "bitfit": METHODS["bitfit"].learning_rate}
STEPS, BATCH = 200, 16
VALIDATION, TEST, TRAIN = 100, 500, 500  # examples that are looked at, where there are as many


def runs(light: bool) -> list[Run]:
    """Every arm x amount of data x task x seed; light: one task, two amounts, one rate, half the steps, two seeds."""
    tasks, shots, tries, steps, seeds = (TASKS[:1], SHOTS[1:], 1, STEPS // 2, 2) if light else (TASKS, SHOTS, 2, STEPS, 5)
    return [
        {"task": task, "shots": k, "arm": arm, "rates": [BASES[method(arm)] / 2, BASES[method(arm)] * 2][:tries], "steps": steps, "seed": seed}
        for seed in range(seeds) for task in tasks for k in shots for arm in ARMS
    ]  # fmt: skip


def method(arm: str) -> str:
    """What trains.

    >>> method("prompt"), method("prompt lora"), method("bitfit")
    ('full', 'lora', 'bitfit')
    """
    return arm.removeprefix("prompt").strip() or "full"


def do(run: Run) -> dict[str, Any]:
    """Train with each rate; the scores of the one that validation chooses."""
    task = load_task(run["task"], seed=run["seed"], shots=run["shots"])
    task = replace(task, validation=task.validation[:VALIDATION], test=task.test[:TEST])
    tries = []
    for lr in run["rates"]:
        model, tokenizer = load_model(MODEL), load_tokenizer(MODEL)
        learner = (prompt_learner if run["arm"].startswith("prompt") else learner_for)(model, tokenizer, task, seed=run["seed"])
        delta = None
        if method(run["arm"]) != "full":
            with torch.random.fork_rng(devices=[]):
                torch.manual_seed(run["seed"])
                delta = METHODS[method(run["arm"])]().attach(model)
        result = train_task(learner, task, method(run["arm"]), delta, lr=lr, seed=run["seed"], steps=run["steps"], batch_size=BATCH, validations=1, progress=False)
        validation = next(iter(result.history.validations[-1][1].values()))
        tries.append({"score": round(result.score, 4), "train": round(evaluate(learner, task.train[:TRAIN], task.metric), 4), "validation": round(validation, 4), "lr": lr})
    return max(tries, key=lambda one: one["validation"])  # of equals the first: the smaller rate


def mean(runs: list[Run], arm: str, little: bool, figure: str) -> float:
    """A figure of an arm with little data, or with the largest amount, mean over tasks and amounts (of one seed)."""
    most = max(run["shots"] for run in runs)
    chosen = [run for run in runs if run["arm"] == arm and (run["shots"] in LITTLE if little else run["shots"] == most)]
    return statistics.mean(run.get(figure, run["score"]) for run in chosen)


def gap(runs: list[Run], arm: str, little: bool = True) -> float:
    """Training minus test score (of one seed)."""
    return mean(runs, arm, little, "train") - mean(runs, arm, little, "score")


def closer(runs: list[Run], arm: str, little: bool = True) -> float:
    """By how much the gap of full fine-tuning is wider (of one seed)."""
    return gap(runs, "full", little) - gap(runs, arm, little)


def ahead(runs: list[Run], arm: str, rival: str) -> float:
    """Test score with little data minus a rival's (of one seed)."""
    return mean(runs, arm, True, "score") - mean(runs, rival, True, "score")


CLAIM = Claim(
    id="C28",
    section="delta vs full",
    claim="deltas over-fit less with little data",
    paper="Li and Liang 2021, abstract: with little data prefixes outperform full fine-tuning; Ben Zaken et al. 2022, abstract: so may biases alone, with small to medium data",
    parts=(
        Part("lora", "with 4 and 16 examples a class LoRA's training and test scores lie at least 2 points closer together", 0.02, lambda runs: closer(runs, "lora")),
        Part("bitfit", "so do those of the biases", 0.02, lambda runs: closer(runs, "bitfit")),
        Part("trend", "the difference is larger there than with 64 examples a class (mean of both)", 0.0, lambda runs: statistics.mean(closer(runs, arm) - closer(runs, arm, False) for arm in ("lora", "bitfit"))),
        Part("worth", "there the better of both on average scores higher on the test than full fine-tuning", 0.0, lambda runs: max(ahead(runs, "lora", "full"), ahead(runs, "bitfit", "full"))),
        Part("prompt", "there LoRA with a prompt scores higher than LoRA below a new head", 0.0, lambda runs: ahead(runs, "prompt lora", "lora")),
    ),
    runs=runs,
    do=do,
)
