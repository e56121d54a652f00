"""C19: a side network outside the backbone saves most of the training memory; adapters and LoRA inside save some of it.

Memory: one training step (AdamW, dropout on) of four methods on three shapes with random weights, for memory does not
depend on their values; so it is measured once for all seeds.  `minidelta.costs.measure` counts weights, gradients, optimizer
states and what the forward pass saves for the backward pass.  The two micro models read 32 texts of 64 tokens (the T5
writes 4), the shape of BERT base reads 8 of 128.  BERT classifies with a new head on [CLS], T5 writes.

Score: saved memory at a lost score is no gain, and a method that never sends a gradient into the backbone has a cheap
rival, a new head on frozen features.  So the same ladder is trained on two tasks beside LoRA and beside the head
alone: same examples, batches and steps, two rates each (the tested rate and twice it; of the head alone that and half of it),
of which validation chooses; beside a delta the head keeps its tested rate.  The ladder (3,242 parameters) is a little smaller than the LoRA (4,096).

Looks at other seeds (100 and up) saw to it that everything runs and no arm is broken.  Recorded first with the head's rate
tuned where it stood alone, and left at a fifth of that beside a delta (score -0.20, worth +0.03, open).  That was no even
comparison of heads, so the head got the same rates in every arm (150 steps: score -0.22, worth +0.09).  Now that the tested rate of
a head is what it wants alone too, and there are 400 steps, for a ladder of new layers may just begin more slowly, it is measured
once more; parts and margins are as they were.
"""

import math
import statistics
from dataclasses import replace
from functools import cache
from typing import Any

import torch
import torch.nn.functional as F

from minidelta.claims.claim import Claim, Part, Run
from minidelta.claims.tuning import best_rate
from minidelta.costs import Ledger, measure
from minidelta.data import load_task
from minidelta.delta import METHODS
from minidelta.finetune import learner_for
from minidelta.finetune.learner import Head
from minidelta.hub import load_model, load_tokenizer
from minidelta.model import Transformer, bert_config

SHAPES = {"bert-micro": (32, 64), "t5-micro": (32, 64), "BERT base": (8, 128)}  # texts, tokens
BASE = {"vocab_size": 30522, "d_model": 768, "n_layers": 12, "n_heads": 12, "d_ff": 3072}
WRITTEN, CLASSES = 4, 6
INSIDE = ("lora", "houlsby")  # their gradients travel through the backbone
MEMORY = ("full", *INSIDE, "lst")
MODEL, TASKS, SCORES = "bert-nano", ("topic", "relation"), ("head", "lora", "lst")
RATES = {"head": (1e-2, 2e-2), "lora": (5e-3, 1e-2), "lst": (1e-2, 2e-2)}
STEPS, BATCH, VALIDATION, TEST = 400, 16, 200, 500


def runs(light: bool) -> list[Run]:
    """A measurement for every shape x method, a training for every task x method, for every seed; light: one shape, one task, two seeds."""
    shapes, tasks, tries, seeds = (["bert-micro"], TASKS[:1], 1, 2) if light else (SHAPES, TASKS, 2, 5)
    memory = [{"shape": shape, "method": method} for shape in shapes for method in MEMORY]
    scores = [{"task": task, "method": method, "rates": list(RATES[method][:tries])} for task in tasks for method in SCORES]
    return [run | {"seed": seed} for seed in range(seeds) for run in memory + scores]


def do(run: Run) -> dict[str, Any]:
    """Measure one step, or train with each rate and keep the one that is best on validation."""
    if "shape" in run:
        found = step(run["shape"], run["method"])
        return {"score": memory(found)} | {part: getattr(found, part) for part in ("trainable", "weights", "gradients", "optimizer", "activations")}
    task = load_task(run["task"])
    task = replace(task, train=task.train[: STEPS * BATCH], validation=task.validation[:VALIDATION], test=task.test[:TEST])
    learner = lambda: learner_for(load_model(MODEL), load_tokenizer(MODEL), task, seed=run["seed"])  # noqa: E731
    return best_rate(learner, task, run["rates"], run["seed"], "head", METHODS.get(run["method"]), steps=STEPS, batch_size=BATCH)


def hung(method: str, model: Transformer, seed: int) -> Any:
    """The delta of a method on a model; None where there is none."""
    if method not in METHODS:
        return None
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return METHODS[method]().attach(model)


@cache
def step(shape: str, method: str) -> Ledger:
    """The ledger of one training step of a random model on random tokens."""
    config = bert_config(**BASE) if shape == "BERT base" else load_model(shape).config  # the embedded models have sizes of their own
    model = Transformer(config, seed=0).train()
    ids = torch.randint(config.vocab_size, SHAPES[shape], generator=torch.Generator().manual_seed(0))
    delta = hung(method, model, 0)
    trained = list((delta or model).parameters())
    if config.shape == "encoder-decoder":
        written = ids[:, :WRITTEN]
        return measure(lambda: F.cross_entropy(model(ids, decoder_input_ids=written).flatten(0, 1), written.flatten()), model, trained)
    head = Head(config.d_model, CLASSES)
    return measure(lambda: F.cross_entropy(head(model.pool(model.hidden(ids))), ids[:, 0] % CLASSES), model, [*trained, *head.parameters()])


def memory(found: Ledger) -> int:
    """Bytes of a training step, all together."""
    return found.weights + found.gradients + found.optimizer + found.activations


def halvings(runs: list[Run]) -> float:
    """On the worst of the shapes: how often what the leaner of LoRA and adapter saves for the backward pass must be halved to get to the ladder's."""
    kept = {(run["shape"], run["method"]): run.get("activations", run["score"]) for run in runs if "shape" in run}
    return min(math.log2(min(kept[shape, inside] for inside in INSIDE) / kept[shape, "lst"]) for shape, method in kept if method == "lst")


def further(runs: list[Run]) -> float:
    """On the worst of the shapes: the share of full fine-tuning's memory that the ladder saves, minus the mean of what LoRA and adapter save."""
    whole = {(run["shape"], run["method"]): run["score"] for run in runs if "shape" in run}
    return min((statistics.mean(whole[shape, inside] for inside in INSIDE) - whole[shape, "lst"]) / whole[shape, "full"] for shape, method in whole if method == "lst")


def ahead(runs: list[Run], rival: str) -> float:
    """Test score of the ladder minus a rival's, mean over the tasks (of one seed)."""
    score = {method: statistics.mean(run["score"] for run in runs if "task" in run and run["method"] == method) for method in ("lst", rival)}
    return score["lst"] - score[rival]


CLAIM = Claim(
    id="C19",
    section="delta",
    claim="taking the side network out of the backbone saves most memory, at about LoRA's score",
    paper="Sung et al. 2022, abstract: ladder side-tuning saves 69 % of the memory of full fine-tuning, other methods of like size 26 %; in a low-memory regime it is more accurate than adapter and LoRA",
    parts=(
        Part("kept", "on each shape the ladder saves at most half of the activations that LoRA or the adapter saves (halvings)", 1.0, halvings),
        Part("saves", "on each shape it spares at least 20 points more of full fine-tuning's memory than they do", 0.20, further),
        Part("score", "its score is at most 3 points below LoRA's", -0.03, lambda runs: ahead(runs, "lora")),
        Part("worth", "it beats a new head on frozen features", 0.0, lambda runs: ahead(runs, "head")),
    ),
    runs=runs,
    do=do,
)
