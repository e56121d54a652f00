"""C21: against full fine-tuning a delta takes less memory and less storage, scores comparably, and is switched faster.

LoRA and Houlsby's adapter, with their defaults, beside full fine-tuning, in four measurements:

    memory     one training step (AdamW, dropout on) of three shapes with random weights, counted by `minidelta.costs.measure`:
               weights, gradients, optimizer states, activations.  The same steps as in C19, which had told their figures before
               this margin was set (LoRA spares 28 to 58 %, the adapter 34 to 57 %): the part is arithmetic more than experiment
    storage    the folder that a task leaves on the disk, against the safetensors file of its own copy of the model (no head in either)
    score      four tasks; all arms get the same examples, steps and seeds, and two rates each, half and twice the tested default,
               of which the validation part chooses; a head trains in every arm
    switch     from one task to the next in memory: detach a delta and attach the next, or copy the other model's values into
               place, medians of turns that alternate, on the three embedded BERTs, and on BERT base with random weights

Comparable is at most 3 points below.  Switching is asked for on each size, although copying half a million numbers is quick.
"""

import math
import statistics
import tempfile
import time
from dataclasses import replace
from functools import cache, partial
from pathlib import Path
from typing import Any

import torch

from minidelta.claims.c19_side_network import BASE, memory, step
from minidelta.claims.claim import Claim, Part, Run
from minidelta.claims.tuning import best_rate
from minidelta.data import Task, load_task
from minidelta.delta import METHODS
from minidelta.finetune import Learner, learner_for
from minidelta.finetune.training import RATES
from minidelta.hub import load_model, load_tokenizer
from minidelta.model import Transformer, bert_config

DELTAS = ("lora", "houlsby")
ARMS = ("full", *DELTAS)
SHAPES = ("bert-micro", "t5-micro", "BERT base")
SIZES = ("bert-nano", "bert-micro", "bert-mini")
MODEL, TASKS = "bert-micro", ("topic", "question-type", "relation", "sentiment")
BASES = {"full": RATES["encoder"]["full"][0]} | {name: METHODS[name].learning_rate for name in DELTAS}
STEPS, BATCH = 300, 16
VALIDATION, TEST = 200, 500  # examples
TURNS = 30  # switches that are timed


def runs(light: bool) -> list[Run]:
    """Every arm x (shape for memory, size for storage and switching, task for the score) x seed; light: one of each, one rate, few steps, two seeds."""
    shapes, sizes, tasks, tries, steps, seeds = (SHAPES[:1], SIZES[:1], TASKS[:1], 1, 100, 2) if light else (SHAPES, SIZES, TASKS, 2, STEPS, 5)
    places = {"memory": shapes, "storage": sizes, "switch": sizes if light else (*sizes, "BERT base")}
    costs = [{what: place, "arm": arm} for what in places for place in places[what] for arm in ARMS]
    scores = [{"task": task, "arm": arm, "rates": [BASES[arm] / 2, BASES[arm] * 2][:tries], "steps": steps} for task in tasks for arm in ARMS]
    return [run | {"seed": seed} for seed in range(seeds) for run in costs + scores]


def do(run: Run) -> dict[str, Any]:
    """One of the four measurements."""
    arm = run["arm"]
    if "memory" in run:
        found = step(run["memory"], arm)
        return {"score": memory(found)} | {part: getattr(found, part) for part in ("weights", "gradients", "optimizer", "activations")}
    if "storage" in run:
        return {"score": stored(run["storage"], arm)}
    if "switch" in run:
        return {"score": switching(run["switch"], run["seed"])[arm]}
    task = load_task(run["task"], seed=run["seed"])
    task = replace(task, train=task.train[: run["steps"] * BATCH], validation=task.validation[:VALIDATION], test=task.test[:TEST])
    return best_rate(partial(_learner, task, run["seed"]), task, run["rates"], run["seed"], delta=METHODS.get(arm), steps=run["steps"], batch_size=BATCH)


def _learner(task: Task, seed: int) -> Learner:
    return learner_for(load_model(MODEL), load_tokenizer(MODEL), task, seed=seed)


@cache
def stored(size: str, arm: str) -> int:
    """Bytes on the disk for one task."""
    model = load_model(size)
    with tempfile.TemporaryDirectory() as folder:
        if arm == "full":
            model.save_pretrained(folder)
            return sum(file.stat().st_size for file in Path(folder).glob("*.safetensors"))
        METHODS[arm]().attach(model).save(folder)
        return sum(file.stat().st_size for file in Path(folder).iterdir())


@cache
@torch.no_grad()
def switching(size: str, seed: int) -> dict[str, float]:
    """Milliseconds of a switch, a median for each arm."""
    model = (Transformer(bert_config(**BASE), seed=seed) if size == "BERT base" else load_model(size)).eval()
    values = [{name: value.clone() for name, value in model.state_dict().items()} for _ in range(2)]
    deltas = {name: [METHODS[name]() for _ in range(2)] for name in DELTAS}
    for delta in sum(deltas.values(), []):
        delta.attach(model).detach()  # built once, when its task is loaded
    taken: dict[str, list[float]] = {arm: [] for arm in ARMS}
    for turn in range(TURNS):
        for arm in ARMS:
            if arm != "full":
                deltas[arm][turn % 2].attach(model)  # the task of before
            started = time.perf_counter()
            if arm == "full":
                model.load_state_dict(values[turn % 2])
            else:
                deltas[arm][turn % 2].detach()
                deltas[arm][1 - turn % 2].attach(model)
            taken[arm].append(1000 * (time.perf_counter() - started))
            if arm != "full":
                deltas[arm][1 - turn % 2].detach()
    return {arm: round(statistics.median(times), 4) for arm, times in taken.items()}


def of(runs: list[Run], what: str) -> dict[tuple[str, str], float]:
    """What was measured of one kind: (place, arm) -> figure (of one seed)."""
    return {(run[what], run["arm"]): run["score"] for run in runs if what in run}


def spared(runs: list[Run]) -> float:
    """The share of full fine-tuning's memory that the worse delta spares on the worst shape."""
    found = of(runs, "memory")
    return min(1 - found[shape, arm] / found[shape, "full"] for shape, arm in found if arm != "full")


def halvings(runs: list[Run], what: str) -> float:
    """How often full fine-tuning's figure must be halved to get to that of the worse delta, in the worst place."""
    found = of(runs, what)
    return min(math.log2(found[place, "full"] / found[place, arm]) for place, arm in found if arm != "full")


def behind(runs: list[Run], arm: str) -> float:
    """Score of a delta minus that of full fine-tuning, mean over the tasks (of one seed)."""
    found = of(runs, "task")
    return statistics.mean(found[task, arm] - found[task, "full"] for task in {task for task, _ in found})


CLAIM = Claim(
    id="C21",
    section="delta vs full",
    claim="a delta takes less memory and storage than full fine-tuning, scores comparably, and is switched faster",
    paper="Hu et al. 2022, section 4.2: LoRA on GPT-3 175B takes 350 GB of memory in training instead of 1.2 TB, and 35 MB a task instead of 350 GB",
    parts=(
        Part("memory", "on each shape LoRA and the adapter spare at least a quarter of a training step's memory", 0.25, spared),
        Part("storage", "on each size a task takes less than a tenth of the copy's bytes (halvings)", math.log2(10), lambda runs: halvings(runs, "storage")),
        Part("lora", "LoRA scores at most 3 points below full fine-tuning, mean over four tasks", -0.03, lambda runs: behind(runs, "lora")),
        Part("adapter", "so does Houlsby's adapter", -0.03, lambda runs: behind(runs, "houlsby")),
        Part("switch", "on each size a delta is switched faster than a copy's values (halvings)", 0.0, lambda runs: halvings(runs, "switch")),
    ),
    runs=runs,
    do=do,
)
