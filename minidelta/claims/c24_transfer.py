"""C24: deltas transfer within a type of task, and they combine.

Transfer.  Nine small tasks of three types (what the news is about, what a question asks for, what is reviewed): two pairs of labels
and all labels with another template, of each type.  A LoRA is trained on each of them through template and label words, read at
the mask, so that no head ties it to its task; then it answers all nine, untrained for eight of them.  What it brings there is its
score minus that of the plain model.  A pair and all labels of a type share two labels, two pairs share none.

    within     on another task of its type
    across     on a task of another type

Combination.  Sums: the LoRAs of two types' all-label tasks are added (`TaskArithmetic`, both with weight 1), and the sum answers
both tasks.  Pairs: two families train together, beside a head, on two of the built-in tasks; each single family and each pair gets the same
examples, batches and steps, and two rates each (half and twice its tested one; a pair, those of both), of which the validation part
chooses.  A pair is compared with the better of its two single ones, the better on validation.
"""

import itertools
import random
import statistics
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import cache, partial
from typing import Any, Self

import torch
from torch import Tensor, nn

from minidelta.claims.c17_prompt_space import OWN, Variant, asked, examples
from minidelta.claims.claim import Claim, Part, Run
from minidelta.claims.tuning import best_rate
from minidelta.data import Task, load_task
from minidelta.delta import BitFit, Delta, HoulsbyAdapter, LoRA, PromptTuning, TaskArithmetic
from minidelta.evaluate import evaluate
from minidelta.finetune import Learner, learner_for, train_task
from minidelta.hub import load_model, load_tokenizer
from minidelta.prompt.builtin import LABEL_WORDS
from minidelta.world.lexicon import ASPECTS

MODEL = "bert-nano"
TYPES = {"topic": tuple(LABEL_WORDS["topic"]), "question-type": tuple(LABEL_WORDS["question-type"]), "review": tuple(ASPECTS)}
SMALL = tuple(variant for kind, labels in TYPES.items() for variant in (Variant(kind, labels[:2]), Variant(kind, labels[2:4]), Variant(kind, labels, 1)))
FAMILIES: dict[str, Callable[[], Delta]] = {"houlsby": HoulsbyAdapter, "bitfit": BitFit, "prompt": lambda: PromptTuning(20)}
SINGLE = tuple((name,) for name in FAMILIES)
TOGETHER = tuple(itertools.combinations(FAMILIES, 2))
TASKS = ("question-type", "relation")
STEPS, BATCH = 100, 8  # of a small task
LONG = {"steps": 300, "batch_size": 16}  # of a pair
VALIDATION, TEST = 100, 300  # examples


def runs(light: bool) -> list[Run]:
    """Every small task and every sum, every family and pair x task, for each seed; light: two types, half the steps, one task and rate, two seeds."""
    small, tasks, tries, steps, seeds = (SMALL[:6], TASKS[:1], 1, STEPS // 2, 2) if light else (SMALL, TASKS, 2, STEPS, 5)
    names, alls = [variant.name for variant in small], [variant.name for variant in small if variant.form == 1]
    transfer = [{"source": name, "targets": names, "steps": steps} for name in names] + [{"sum": list(two), "steps": steps} for two in itertools.combinations(alls, 2)]
    pairs = [{"task": task, "families": list(families), "rates": [0.5, 2.0][:tries], "steps": LONG["steps"] if tries > 1 else STEPS} for task in tasks for families in (*SINGLE, *TOGETHER)]
    return [run | {"seed": seed} for seed in range(seeds) for run in transfer + pairs]


def do(run: Run) -> dict[str, Any]:
    """A row of the transfer matrix, a sum, or one family or pair."""
    seed = run["seed"]
    if "source" in run:
        gains = {name: answered(name, seed, run["steps"], (run["source"],)) - answered(name, seed, run["steps"], ()) for name in run["targets"]}
        return {"score": answered(run["source"], seed, run["steps"], (run["source"],)), "gains": {name: round(gain, 4) for name, gain in gains.items()}}
    if "sum" in run:
        both = {name: answered(name, seed, run["steps"], tuple(run["sum"])) for name in run["sum"]}
        alone = {name: answered(name, seed, run["steps"], (name,)) for name in run["sum"]}
        plain = {name: answered(name, seed, run["steps"], ()) for name in run["sum"]}
        return {"score": round(statistics.mean(both.values()), 4), "both": both, "alone": alone, "plain": plain}
    task = load_task(run["task"], seed=seed)
    task = replace(task, train=task.train[: run["steps"] * LONG["batch_size"]], validation=task.validation[:VALIDATION], test=task.test[:500])
    learner = partial(_learner, task, seed)
    return best_rate(learner, task, run["rates"], seed, delta=partial(Together, tuple(run["families"])), steps=run["steps"], batch_size=LONG["batch_size"])


def _learner(task: Task, seed: int) -> Learner:
    return learner_for(load_model(MODEL), load_tokenizer(MODEL), task, seed=seed)


@dataclass
class Together:
    """Families that hang on one model and train at once; its rate is a factor of theirs."""

    families: tuple[str, ...]
    deltas: list[Delta] = field(default_factory=list)
    learning_rate = 1.0

    @property
    def name(self) -> str:
        return " + ".join(self.families)

    @property
    def prompt_length(self) -> int:
        return sum(getattr(delta, "prompt_length", 0) for delta in self.deltas)

    def attach(self, model: nn.Module) -> Self:
        self.deltas = [FAMILIES[name]().attach(model) for name in self.families]
        return self

    def groups(self, factor: float) -> list[dict[str, Any]]:
        return [group for delta in self.deltas for group in delta.groups(factor * delta.learning_rate)]

    def penalty(self) -> Tensor | float:
        return sum(delta.penalty() for delta in self.deltas)

    def after_step(self, done: int, steps: int) -> None:
        for delta in self.deltas:
            delta.after_step(done, steps)


def small_task(variant: Variant, seed: int, size: int) -> Task:
    """The examples of a small task; those for training, as many as `size` or all there are, are drawn by the seed."""
    own = {part: [one for one in examples(variant.kind, part) if one.label in variant.labels] for part in ("train", "validation", "test")}
    train = random.Random(seed).sample(own["train"], min(len(own["train"]), size))
    base = load_task("topic" if variant.kind in OWN else variant.kind)
    return replace(base, name=variant.name, labels=variant.labels, metric="accuracy", built_in=False, train=train, validation=own["validation"][:VALIDATION], test=own["test"][:TEST])


@cache
def posed(name: str, seed: int, steps: int) -> tuple[Variant, Task]:
    """One of the small tasks with its examples."""
    variant = next(one for one in SMALL if one.name == name)
    return variant, small_task(variant, seed, steps * BATCH)


@cache
def trained(name: str, seed: int, steps: int) -> LoRA:
    """The delta of a small task, detached."""
    variant, task = posed(name, seed, steps)
    learner = asked(variant, task)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        delta = LoRA().attach(learner.model)
    train_task(learner, replace(task, test=task.test[:1]), delta.name, delta, seed=seed, steps=steps, batch_size=BATCH, validations=2, progress=False)
    delta.detach()
    return delta


@cache
def answered(name: str, seed: int, steps: int, sources: tuple[str, ...]) -> float:
    """Test score on a small task of the plain model, of a delta, or of the sum of several."""
    variant, task = posed(name, seed, steps)
    learner = asked(variant, task)
    deltas = [trained(source, seed, steps).attach(learner.model) for source in sources]
    total = None
    if len(deltas) > 1:
        total = TaskArithmetic(deltas)
        for delta in deltas:
            delta.detach()
        total.attach(learner.model)
    score = evaluate(learner, task.test, task.metric)
    for delta in deltas if total is None else [total]:
        delta.detach()
    return round(score, 4)


def brought(runs: list[Run], within: bool) -> float:
    """What a delta brings to tasks that it was not trained on, of its own type or of others, a mean (of one seed)."""
    kind = lambda name: name.split(" ")[0]  # noqa: E731
    return statistics.mean(run.get("gains", {}).get(name, 0.0) for run in runs if "source" in run for name in run["targets"] if name != run["source"] and (kind(name) == kind(run["source"])) == within)


def added(runs: list[Run]) -> float:
    """Score of a sum on its tasks minus that of each delta alone, a mean (of one seed)."""
    return statistics.mean(run["score"] - statistics.mean(run.get("alone", {"": run["score"]}).values()) for run in runs if "sum" in run)


def paired(runs: list[Run]) -> float:
    """Test score of a pair minus that of the single family which is better on validation, mean over tasks and pairs (of one seed)."""
    found = {(run["task"], tuple(run["families"])): run for run in runs if "families" in run}
    better = lambda task, pair: max((found[task, (name,)] for name in pair), key=lambda run: run.get("validation", 0.0))  # noqa: E731
    return statistics.mean(run["score"] - better(task, pair)["score"] for (task, pair), run in found.items() if len(pair) > 1)


CLAIM = Claim(
    id="C24",
    section="scenarios",
    claim="deltas transfer within a type of task and combine",
    paper="Ding et al. 2023 transfer deltas between tasks of one category and of others, and combine adapters, BitFit and prompts; Ilharco et al. 2023 add what several tasks changed",
    parts=(
        Part("within", "on another task of its type a LoRA is at least 5 points better than the plain model", 0.05, lambda runs: brought(runs, True)),
        Part("type", "that is at least 5 points more than it brings to tasks of other types", 0.05, lambda runs: brought(runs, True) - brought(runs, False)),
        Part("sum", "two LoRAs added score at most 5 points below each alone on its task", -0.05, added),
        Part("pair", "two families trained together beat the better one of them alone", 0.0, paired),
    ),
    runs=runs,
    do=do,
)
