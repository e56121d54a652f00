"""C23: deltas for many tasks live beside one backbone and do not disturb each other; their tasks can share a batch.

Four tasks are learnt one after another, each with a head of its own, in two arms with the same examples, batches and steps:

    deltas     one frozen backbone; each task trains a delta of another family (LoRA, Houlsby's adapter, IA3, BitFit)
    sequence   one backbone, fully fine-tuned on each task in turn, as people do who keep one model and no copies

Then every task is tested again.  `forgotten` is what the first three lost since they were learnt.  The four deltas also answer in one
batch, 8 rows of each task in random order: a row counts if its logits equal to the bit those of the whole batch under its delta
alone.  Throughput is timed by `minidelta.delta.mixed_speed`: switching from task to task takes so many times as long as
mixing.  Trials while that was written told that mixing wins with two rows of each of four tasks (2.2 to 2.7 times) and may lose with
eight (0.8 to 0.9, one busy core): both are asked for.
"""

import math
import statistics
from dataclasses import replace
from typing import Any

import torch

from minidelta.claims.claim import Claim, Part, Run
from minidelta.data import Task, load_task
from minidelta.delta import IA3, BitFit, Delta, HoulsbyAdapter, LoRA, Mixed
from minidelta.delta.mixed_speed import race
from minidelta.evaluate import evaluate
from minidelta.finetune import Learner, learner_for, train_task
from minidelta.hub import load_model, load_tokenizer

MODEL = "bert-nano"
FAMILIES = {"topic": LoRA, "question-type": HoulsbyAdapter, "relation": IA3, "sentiment": BitFit}
TASKS = tuple(FAMILIES)
STEPS, BATCH, TEST = 200, 16, 500
ROWS = {"few": 2, "many": 8}  # of each task, in a batch that is timed
TOKENS, ROUNDS = 32, 20


def runs(light: bool) -> list[Run]:
    """Both arms and the two races x seed; light: two tasks, few steps, two seeds."""
    tasks, steps, seeds = (TASKS[:2], STEPS // 4, 2) if light else (TASKS, STEPS, 5)
    arms = [{"arm": arm, "tasks": list(tasks), "steps": steps} for arm in ("deltas", "sequence")]
    return [run | {"seed": seed} for seed in range(seeds) for run in [*arms, *({"race": rows, "tasks": list(tasks)} for rows in ROWS)]]


def do(run: Run) -> dict[str, Any]:
    """Learn the tasks in one arm, or time a batch."""
    if "race" in run:
        return timed(run)
    tasks = {name: _shorter(load_task(name, seed=run["seed"]), run["steps"]) for name in run["tasks"]}
    model = load_model(MODEL)
    learners = {name: learner_for(model, load_tokenizer(MODEL), task, seed=run["seed"]) for name, task in tasks.items()}
    if run["arm"] == "sequence":
        told = {name: train_task(learners[name], task, "full", seed=run["seed"], **_settings(run)).score for name, task in tasks.items()}
        kept = {name: evaluate(learners[name], task.test, task.metric) for name, task in tasks.items()}
        return figures(told, kept)
    deltas, told, kept = {}, {}, {}
    for name, task in tasks.items():
        delta = deltas[name] = _new(FAMILIES[name], run["seed"]).attach(model)
        told[name] = train_task(learners[name], task, delta.name, delta, seed=run["seed"], **_settings(run)).score
        delta.detach()
    for name, task in tasks.items():
        with deltas[name].attach(model):
            kept[name] = evaluate(learners[name], task.test, task.metric)
    return figures(told, kept) | {"equal": equal_rows(deltas, learners, tasks, run["seed"])}


def _shorter(task: Task, steps: int) -> Task:
    return replace(task, train=task.train[: steps * BATCH], validation=task.validation[:100], test=task.test[:TEST])


def _settings(run: Run) -> dict[str, Any]:
    return {"steps": run["steps"], "batch_size": BATCH, "progress": False}


def _new(family: type[Delta], seed: int) -> Delta:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return family()


def figures(told: dict[str, float], kept: dict[str, float]) -> dict[str, Any]:
    """The mean score in the end, each task's when it was learnt and in the end, and what all but the last have forgotten."""
    earlier = list(told)[:-1]
    return {
        "score": round(statistics.mean(kept.values()), 4),
        "learnt": {name: round(score, 4) for name, score in told.items()},
        "kept": {name: round(score, 4) for name, score in kept.items()},
        "forgotten": round(statistics.mean(told[name] - kept[name] for name in earlier), 4),
    }


@torch.no_grad()
def equal_rows(deltas: dict[str, Delta], learners: dict[str, Learner], tasks: dict[str, Task], seed: int) -> float:
    """The share of the rows of a mixed batch whose hidden states are to the bit those of the whole batch under the row's delta alone."""
    model = next(iter(learners.values())).model
    rows = [(name, place) for name in tasks for place in range(ROWS["many"])]
    order = torch.randperm(len(rows), generator=torch.Generator().manual_seed(seed)).tolist()
    rows = [rows[i] for i in order]
    items = [learners[name].collate([tasks[name].test[place]])["inputs"]["input_ids"][0] for name, place in rows]
    longest = max(len(ids) for ids in items)
    ids = torch.stack([torch.nn.functional.pad(each, (0, longest - len(each))) for each in items])
    mask = torch.stack([torch.arange(longest, device=ids.device) < len(each) for each in items]).long()
    alone = {}
    for name, delta in deltas.items():
        with delta.attach(model):
            alone[name] = model.hidden(ids, mask)
    with Mixed(deltas).attach(model) as mixed, mixed.rows([name for name, _ in rows]):
        together = model.hidden(ids, mask)
    return statistics.mean(float(torch.equal(together[b], alone[name][b])) for b, (name, _) in enumerate(rows))


def timed(run: Run) -> dict[str, Any]:
    """How many times as long as mixing the tasks takes switching between them, a median of rounds."""
    model, names = load_model(MODEL).eval(), run["tasks"]
    tasks = [name for _ in range(ROWS[run["race"]]) for name in names]
    ids = torch.randint(5, model.config.vocab_size, (len(tasks), TOKENS), generator=torch.Generator().manual_seed(run["seed"])).to(model.device)
    found = race(model, {name: _new(FAMILIES[name], run["seed"]) for name in names}, ids, tasks, ROUNDS)
    return {"score": round(found.switching_ratio, 3), "mixed": found.mixed, "switching": found.switching}


def of(runs: list[Run], arm: str, figure: str, otherwise: float) -> float:
    """A figure of one arm (of one seed)."""
    return next(run.get(figure, otherwise) for run in runs if run.get("arm") == arm)


def faster(runs: list[Run], rows: str) -> float:
    """How often switching's time must be halved to get to mixing's (of one seed)."""
    return math.log2(next(run["score"] if "mixed" in run else 1.0 for run in runs if run.get("race") == rows))


CLAIM = Claim(
    id="C23",
    section="scenarios",
    claim="deltas of many tasks live beside one backbone and do not disturb each other; their tasks can share a batch",
    paper="Ding et al. 2023: deltas let one frozen backbone serve many tasks; Chen et al. 2023 (Punica) batch the requests of many LoRAs",
    parts=(
        Part("equal", "every row of a mixed batch is to the bit what its delta alone makes of it (share of rows)", 0.999, lambda runs: of(runs, "deltas", "equal", 0.0)),
        Part("kept", "with a delta each, no task forgets more than a tenth of a point", -0.001, lambda runs: -of(runs, "deltas", "forgotten", 0.0)),
        Part("lost", "one backbone fine-tuned on them in turn forgets at least 10 points", 0.10, lambda runs: of(runs, "sequence", "forgotten", 0.0)),
        Part("few", "a mixed batch of 2 rows a task is faster than switching (halvings)", 0.0, lambda runs: faster(runs, "few")),
        Part("many", "so is one of 8 rows a task (halvings)", 0.0, lambda runs: faster(runs, "many")),
    ),
    runs=runs,
    do=do,
)
