"""C22: full fine-tuning, adapters and LoRA converge faster than prefixes, prefixes faster than prompts.

Five ways to adapt the same BERT (nano) through the same template and label words, read at the mask, so that nothing trains beside the way
itself: a new head would learn the task while a slow prompt still stands.  All get the same examples, batches, steps and schedule,
and three learning rates each, a factor of three or so apart, of which the validation part chooses: the rate whose curve has the
highest mean, for that rewards both getting there soon and getting far.  Compared are the steps until a fixed validation score is
reached, at the first of two looks in a row; a run that never reaches it counts as one look after its end, which flatters the slow.

The prefix is P-tuning v2's, 10 vectors in every attention that train directly; the prompt has 20 vectors before the text.

Looks at seed 100 chose tasks, goals and grids: topics are answered to 0.81 before anything trains, so every arm was there at the first
look; and the first grids of full fine-tuning and of the prefix ended at the rate that was best.
"""

import math
import statistics
from typing import Any

import torch

from minidelta.claims.c17_prompt_space import Variant, asked
from minidelta.claims.c24_transfer import small_task
from minidelta.claims.claim import Claim, Part, Run
from minidelta.claims.tuning import followed, steps_to
from minidelta.data import Task
from minidelta.delta import HoulsbyAdapter, LoRA, PromptTuning, PTuningV2
from minidelta.prompt import PromptLearner
from minidelta.prompt.builtin import LABEL_WORDS
from minidelta.world.lexicon import ASPECTS

TASKS = {"question-type": Variant("question-type", tuple(LABEL_WORDS["question-type"])), "review": Variant("review", tuple(ASPECTS))}  # what a question asks for, what a review is about
GOALS = {"question-type": 0.4, "review": 0.8}  # the fixed score, on validation
ARMS = {"full": None, "houlsby": HoulsbyAdapter, "lora": LoRA, "prefix": lambda: PTuningV2(prefix_length=10), "prompt": lambda: PromptTuning(20)}
RATES = {"full": (1e-3, 3e-3, 1e-2), "houlsby": (2e-3, 6e-3, 2e-2), "lora": (2e-3, 6e-3, 2e-2), "prefix": (2e-2, 6e-2, 2e-1), "prompt": (1e-1, 3e-1, 1.0)}
STEPS, BATCH, EVERY = 240, 16, 10


def runs(light: bool) -> list[Run]:
    """Every arm x task x seed; light: one task, one rate, half the steps, two seeds."""
    tasks, tries, steps, seeds = (["review"], slice(1, 2), STEPS // 2, 2) if light else (GOALS, slice(3), STEPS, 5)
    return [{"task": task, "arm": arm, "rates": list(RATES[arm][tries]), "steps": steps, "seed": seed} for seed in range(seeds) for task in tasks for arm in ARMS]


def do(run: Run) -> dict[str, Any]:
    """Train with each rate; the curve, the steps to the goal and the test score of the one that validation chooses."""
    variant, tries = TASKS[run["task"]], []
    task = small_task(variant, run["seed"], run["steps"] * BATCH)
    for lr in run["rates"]:
        curve, score = train(run["arm"], asked(variant, task), task, lr, run["seed"], run["steps"])
        tries.append({"lr": lr, "curve": [round(figure, 3) for figure in curve], "score": round(score, 4)})
    best = max(tries, key=lambda one: statistics.mean(one["curve"]))  # of equals the first: the smallest rate
    return best | {"took": steps_to(best["curve"], GOALS[run["task"]], EVERY, hold=2), "means": [round(statistics.mean(one["curve"]), 3) for one in tries]}


def train(arm: str, learner: PromptLearner, task: Task, lr: float, seed: int, steps: int) -> tuple[list[float], float]:
    """One training: the validation score every few steps, and the test score at the end."""
    delta = None
    if ARMS[arm] is not None:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            delta = ARMS[arm]().attach(learner.model)
    return followed(learner, task, "full" if delta is None else delta.name, delta, lr, seed, steps=steps, batch_size=BATCH, every=EVERY)


def sooner(runs: list[Run], first: str, second: str) -> float:
    """How often the steps of `second` must be halved to get to those of `first`, mean over the tasks (of one seed)."""
    took = {arm: [math.log2(run.get("took", run["score"])) for run in runs if run["arm"] == arm] for arm in (first, second)}
    return statistics.mean(took[second]) - statistics.mean(took[first])


CLAIM = Claim(
    id="C22",
    section="delta vs full",
    claim="full fine-tuning, adapters and LoRA converge faster than prefixes, and prefixes faster than prompts",
    paper="Ding et al. 2023 compare how these methods converge, over more than 100 tasks with T5 base",
    parts=(
        Part("full", "full fine-tuning reaches the fixed score in fewer steps than the prefix (halvings)", 0.0, lambda runs: sooner(runs, "full", "prefix")),
        Part("adapter", "so does the adapter (halvings)", 0.0, lambda runs: sooner(runs, "houlsby", "prefix")),
        Part("lora", "so does LoRA (halvings)", 0.0, lambda runs: sooner(runs, "lora", "prefix")),
        Part("prefix", "the prefix reaches it in fewer steps than the prompt (halvings)", 0.0, lambda runs: sooner(runs, "prefix", "prompt")),
    ),
    runs=runs,
    do=do,
)
