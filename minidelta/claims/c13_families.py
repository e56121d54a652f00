"""C13: adapters, LoRA and prefixes reach about full fine-tuning with a few per cent of the parameters or less.

Eighteen families with their defaults, beside full fine-tuning and a new head on the frozen backbone, on two tasks.  All get the same
examples, steps and seeds, and two learning rates each, half and twice the tested default, of which the validation part chooses.
A head trains in every arm, at one rate; it is the same for all and not counted in the share.

The parts ask it of one family of each kind that the lecture names: Houlsby's adapters, LoRA, and prefixes that train directly (P-tuning
v2; those made by a network train more numbers and keep as many).  "About" is at most 3 points below full fine-tuning.  The other families
are drawn, and no part of the claim: a low point there may be the fault of a default that was found on few tries.

Measured so, topics are learnt by all but the ladder, and relations by none as by full fine-tuning, which is 4 to 16 points ahead there.
"""

import statistics
from dataclasses import replace
from functools import partial
from typing import Any

from minidelta.claims.claim import Claim, Part, Run
from minidelta.claims.tuning import best_rate
from minidelta.data import Task, load_task
from minidelta.delta import METHODS
from minidelta.finetune import Learner, learner_for
from minidelta.finetune.training import RATES
from minidelta.hub import load_model, load_tokenizer

MODEL = "bert-nano"
TASKS = ("topic", "relation")
NAMED = ("houlsby", "lora", "p-tuning-v2")
OTHERS = ("pfeiffer", "parallel-adapter", "compacter", "ia3", "prompt-tuning", "prefix", "lst", "mam", "bitfit", "ln-tuning", "last-layers", "dora", "vera", "oft", "said")
BASES = {"full": RATES["encoder"]["full"][0], "head": RATES["encoder"]["head"][1]}  # rates of what is no delta
STEPS, BATCH = 300, 16
VALIDATION, TEST = 200, 500  # examples
FEW = 0.03


def runs(light: bool) -> list[Run]:
    """Every arm x task x seed; light: the named ones on one task, one rate, two seeds."""
    arms, tasks, tries, seeds = (NAMED, TASKS[:1], 1, 2) if light else ((*NAMED, *OTHERS), TASKS, 2, 5)
    rates = {arm: [base / 2, base * 2][:tries] for arm, base in (BASES | {name: METHODS[name].learning_rate for name in arms}).items()}
    return [{"task": task, "arm": arm, "rates": rates[arm], "seed": seed} for seed in range(seeds) for task in tasks for arm in rates]


def do(run: Run) -> dict[str, Any]:
    """Train one arm."""
    task, arm = load_task(run["task"], seed=run["seed"]), run["arm"]
    task = replace(task, train=task.train[: STEPS * BATCH], validation=task.validation[:VALIDATION], test=task.test[:TEST])
    learner = partial(_learner, task, run["seed"])
    found = best_rate(learner, task, run["rates"], run["seed"], "head" if arm == "head" else "full", METHODS.get(arm), steps=STEPS, batch_size=BATCH)
    model, head = learner().model, sum(p.numel() for p in learner().parameters())
    return found | {"share": round((found["trainable"] - head) / sum(p.numel() for p in model.parameters()), 5)}


def _learner(task: Task, seed: int) -> Learner:
    return learner_for(load_model(MODEL), load_tokenizer(MODEL), task, seed=seed)


def behind(runs: list[Run], arm: str) -> float:
    """Score of an arm minus that of full fine-tuning, mean over the tasks (of one seed)."""
    score = {name: statistics.mean(run["score"] for run in runs if run["arm"] == name) for name in (arm, "full")}
    return score[arm] - score["full"]


def spare(runs: list[Run]) -> float:
    """By how much the largest share of parameters that a named family trains stays below 3 % (of one seed)."""
    return FEW - max(run.get("share", FEW) for run in runs if run["arm"] in NAMED)


CLAIM = Claim(
    id="C13",
    section="delta",
    claim="adapters, LoRA and prefix reach about full fine-tuning with a few per cent of the parameters or less",
    paper="Houlsby et al. 2019: within 0.4 % of full fine-tuning on GLUE with 3.6 % of the parameters; Li and Liang 2021, abstract: prefixes of 0.1 % are comparable with full data",
    parts=(
        Part("adapter", "Houlsby's adapters are at most 3 points below full fine-tuning", -0.03, lambda runs: behind(runs, "houlsby")),
        Part("lora", "so is LoRA", -0.03, lambda runs: behind(runs, "lora")),
        Part("prefix", "so are prefixes in every attention", -0.03, lambda runs: behind(runs, "p-tuning-v2")),
        Part("few", "each of them trains less than 3 % of the parameters (share to spare)", 0.0, spare),
    ),
    runs=runs,
    do=do,
)
