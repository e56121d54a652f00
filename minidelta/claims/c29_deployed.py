"""C29: deployed small, an int8 backbone under a bfloat16 delta keeps the quality.

A LoRA and its head are trained on three tasks above bert-mini in float32, and are then deployed in four ways:

    float      as they were trained
    bfloat16   the delta stored in bfloat16, the backbone in float32
    int8       the same delta above a backbone with int8 weights (`quantize`)
    dynamic    the same delta above `quantize(dynamic=True)`, where what a layer reads is int8 as well

and for comparison another LoRA is trained above int8 weights from the start, the idea of QLoRA.  Bytes are those of backbone and stored
delta; embeddings and norms stay as they were.  Latency is that of one batch (8 texts of 32 tokens) through backbone and delta, each of many rounds
a ratio of its own.  Whether int8 is faster is the processor's doing: with instructions for it (AVX-512 VNNI here), not without.
"""

import math
import statistics
import tempfile
import time
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import torch

from minidelta.claims.claim import Claim, Part, Run
from minidelta.data import Task, load_task
from minidelta.delta import LoRA, load_delta
from minidelta.delta.int8 import quantize, weight_bytes
from minidelta.evaluate import evaluate
from minidelta.finetune import Learner, learner_for, train_task
from minidelta.hub import load_model, load_tokenizer

MODEL = "bert-mini"
TASKS = ("question-type", "relation", "sentiment")
WAYS = ("float", "bfloat16", "int8", "dynamic")
STEPS, BATCH, TEST = 200, 16, 500
TEXTS, ROUNDS = (8, 32), 40


def runs(light: bool) -> list[Run]:
    """Every task in both trainings, and bytes and latency, for each seed; light: a smaller model, one task, half the steps, two seeds."""
    model, tasks, steps, seeds = ("bert-nano", TASKS[:1], STEPS // 2, 2) if light else (MODEL, TASKS, STEPS, 5)
    trainings = [{"model": model, "task": task, "above": above, "steps": steps} for task in tasks for above in ("float", "int8")]
    return [run | {"seed": seed} for seed in range(seeds) for run in [*trainings, {"model": model, "above": "none"}]]


def do(run: Run) -> dict[str, Any]:
    """Train once and deploy in every way, or weigh and time."""
    if run["above"] == "none":
        return weighed(run["model"]) | timed(run["model"], run["seed"])
    task = load_task(run["task"], seed=run["seed"])
    task = replace(task, train=task.train[: run["steps"] * BATCH], validation=task.validation[:100], test=task.test[:TEST])
    learner = _learner(run["model"], task, run["seed"], "int8" if run["above"] == "int8" else "float")
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(run["seed"])
        delta = LoRA().attach(learner.model)
    score = train_task(learner, task, delta.name, delta, seed=run["seed"], steps=run["steps"], batch_size=BATCH, progress=False).score
    if run["above"] == "int8":
        return {"score": round(score, 4)}
    deployed = {"float": score}
    with tempfile.TemporaryDirectory() as folder:
        delta.save(folder, dtype="bfloat16")
        for way in WAYS[1:]:
            other = _learner(run["model"], task, run["seed"], way)
            for mine, trained in zip(other.parameters(), learner.parameters(), strict=True):
                mine.data.copy_(trained.data)
            with load_delta(folder, check_backbone=False).attach(other.model):
                deployed[way] = evaluate(other, task.test, task.metric)
    return {"score": round(score, 4), "deployed": {way: round(figure, 4) for way, figure in deployed.items()}}


def _learner(model: str, task: Task, seed: int, way: str) -> Learner:
    backbone = load_model(model)
    if way in ("int8", "dynamic"):
        quantize(backbone, dynamic=way == "dynamic")
    learner = learner_for(backbone, load_tokenizer(model), task, seed=seed)
    learner.rest()
    return learner


@cache
def weighed(name: str) -> dict[str, Any]:
    """Bytes of backbone and stored delta, for each way."""
    model, stored = load_model(name), {}
    with LoRA().attach(model) as delta:
        for dtype in (None, "bfloat16"):
            with tempfile.TemporaryDirectory() as folder:
                delta.save(folder, dtype=dtype)
                stored[dtype] = sum(file.stat().st_size for file in Path(folder).iterdir())
    whole, small = weight_bytes(model), weight_bytes(quantize(model))
    return {"bytes": {"float": whole + stored[None], "bfloat16": whole + stored["bfloat16"], "int8": small + stored["bfloat16"], "dynamic": small + stored["bfloat16"]}}


@torch.no_grad()
def timed(name: str, seed: int) -> dict[str, Any]:
    """Milliseconds of a batch, medians, and as score how many times as long as dynamic the floats take, a median of the rounds' own ratios."""
    models = {way: load_model(name, device="cpu").eval() for way in ("float", "int8", "dynamic")}
    for way in ("int8", "dynamic"):
        quantize(models[way], dynamic=way == "dynamic")
    for model in models.values():
        LoRA().attach(model)
    ids = torch.randint(5, models["float"].config.vocab_size, TEXTS, generator=torch.Generator().manual_seed(seed))
    found = []
    for _ in range(ROUNDS + 3):
        times = {}
        for way, model in models.items():
            started = time.perf_counter()
            model.hidden(ids)
            times[way] = 1000 * (time.perf_counter() - started)
        found.append(times)
    found = found[3:]  # the first ones warm up
    ratio = {way: statistics.median(times["float"] / times[way] for times in found) for way in models}
    return {"score": round(ratio["dynamic"], 3), "ratio": {way: round(figure, 3) for way, figure in ratio.items()}, "milliseconds": {way: round(statistics.median(times[way] for times in found), 3) for way in models}}


def lost(runs: list[Run], way: str) -> float:
    """Score deployed in one way minus the float's, mean over the tasks (of one seed)."""
    return statistics.mean(run.get("deployed", {way: run["score"]})[way] - run["score"] for run in runs if run["above"] == "float")


def above(runs: list[Run]) -> float:
    """Score of a delta trained above int8 minus that of one trained above floats, mean over the tasks (of one seed)."""
    score = {kind: statistics.mean(run["score"] for run in runs if run["above"] == kind) for kind in ("float", "int8")}
    return score["int8"] - score["float"]


def smaller(runs: list[Run]) -> float:
    """How often the bytes must be halved from float to int8 (of one seed)."""
    bytes_ = next(run.get("bytes", {"float": 1, "int8": 1}) for run in runs if run["above"] == "none")
    return math.log2(bytes_["float"] / bytes_["int8"])


def faster(runs: list[Run]) -> float:
    """How often the float's time must be halved to get to that of the dynamic way (of one seed)."""
    return next(math.log2(run["score"]) if "ratio" in run else 0.0 for run in runs if run["above"] == "none")


CLAIM = Claim(
    id="C29",
    section="scenarios",
    claim="deployed small, an int8 backbone under a bfloat16 delta keeps the quality",
    paper="Dettmers et al. 2022, abstract: int8 products halve the memory of inference without loss, up to 175 B parameters; Dettmers et al. 2023, abstract: LoRA above a 4-bit backbone keeps the quality of 16 bits",
    parts=(
        Part("weights", "above int8 weights the score is at most 1 point lower", -0.01, lambda runs: lost(runs, "int8")),
        Part("dynamic", "so it is where what layers read is int8 as well", -0.01, lambda runs: lost(runs, "dynamic")),
        Part("above", "a delta trained above int8 weights is at most 1 point below one trained above floats", -0.01, above),
        Part("bytes", "backbone and delta take less than half the bytes (halvings)", 1.0, smaller),
        Part("latency", "a batch takes less time above a dynamic int8 backbone (halvings)", 0.0, faster),
    ),
    runs=runs,
    do=do,
)
