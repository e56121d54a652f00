"""C14: prompt tuning lags on small models, and the gap closes with size.

Three BERTs (nano, micro, mini: 0.4, 1.4 and 3.6 million parameters), two tasks, two arms.  Both answer through the same template and
label words, at the mask, so that nothing new trains beside the arm itself and the output is the model's own, as with Lester et al.:
full fine-tuning moves all parameters, prompt tuning 20 vectors before the text (theirs are 1 to 150).  Same examples, batches,
steps and seeds; two rates each, of which the validation part chooses: for full fine-tuning half and twice the tested default of the
size, for the prompt 0.3 and 1 (0.1 and 0.3 were tried first, and the larger one was better at once).

Looks at seed 100, with nano and micro alone, set tasks and rates.  On topics both arms are level at once; sentiment, entailment and
paraphrase stay near guessing for both in 150 steps; of relations and question types both arms learn something.  Rates on micro, question
types: 0.46 with 0.3, 0.58 with 1.  Four times the steps (600 of 16 examples) help the prompt little on nano (question types 0.33 after
150 steps, 0.44 after 600, full 0.80 and 0.82; relations 0.14 both times), so it is not speed alone that is compared.  On question types the gap was
about 0.4 on nano and 0.3 on micro.  The largest model was not looked at.
"""

import statistics
from dataclasses import replace
from functools import partial
from typing import Any

from minidelta.claims.claim import Claim, Part, Run
from minidelta.claims.tuning import best_rate
from minidelta.data import load_task
from minidelta.delta import PromptTuning
from minidelta.finetune.training import FOUND_AT, scaled
from minidelta.hub import load_model, load_tokenizer
from minidelta.prompt import PromptLearner, prompt_learner

SIZES = ("bert-nano", "bert-micro", "bert-mini")
TASKS = ("question-type", "relation")
RATES = {"full": (5e-4, 2e-3), "prompt": (3e-1, 1.0)}  # those of full at width 64, scaled to the size
STEPS, BATCH, LENGTH = 150, 8, 20
VALIDATION, TEST = 100, 300  # examples


def runs(light: bool) -> list[Run]:
    """Every size x task x arm x seed; light: two sizes, one task, one rate, two seeds."""
    sizes, tasks, tries, seeds = (SIZES[:2], TASKS[:1], slice(1, 2), 2) if light else (SIZES, TASKS, slice(2), 5)
    return [
        {"model": size, "task": task, "arm": arm, "rates": list(RATES[arm][tries]), "seed": seed}
        for seed in range(seeds) for size in sizes for task in tasks for arm in RATES
    ]  # fmt: skip


def do(run: Run) -> dict[str, Any]:
    """Tune one model on one task in one way."""
    task = load_task(run["task"], seed=run["seed"])
    task = replace(task, train=task.train[: STEPS * BATCH], validation=task.validation[:VALIDATION], test=task.test[:TEST])
    learner, rates, delta = partial(_learner, run["model"], task, run["seed"]), run["rates"], partial(PromptTuning, LENGTH)
    if run["arm"] == "full":
        config = load_model(run["model"]).config
        rates, delta = [scaled(rate, config.d_model, FOUND_AT[config.shape]) for rate in rates], None
    return best_rate(learner, task, rates, run["seed"], delta=delta, steps=STEPS, batch_size=BATCH, validations=2)


def _learner(model: str, task: Any, seed: int) -> PromptLearner:
    return prompt_learner(load_model(model), load_tokenizer(model), task, seed=seed)


def gap(runs: list[Run], size: int) -> float:
    """Full fine-tuning minus prompt tuning, mean over the tasks (of one seed); size: place among the sizes that were run."""
    model = list(dict.fromkeys(run["model"] for run in runs))[size]
    score = {arm: statistics.mean(run["score"] for run in runs if (run["model"], run["arm"]) == (model, arm)) for arm in RATES}
    return score["full"] - score["prompt"]


CLAIM = Claim(
    id="C14",
    section="delta",
    claim="prompt tuning lags on small models, and the gap closes with size",
    paper="Lester et al. 2021, abstract: as models exceed billions of parameters the method closes the gap to model tuning (figure 1: T5, five sizes)",
    parts=(
        Part("lags", "on the smallest model prompt tuning is at least 5 points behind", 0.05, lambda runs: gap(runs, 0)),
        Part("narrows", "on the largest model the gap is at least 2 points smaller", 0.02, lambda runs: gap(runs, 0) - gap(runs, -1)),
        Part("halves", "it is less than half of that on the smallest", 0.0, lambda runs: gap(runs, 0) / 2 - gap(runs, -1)),
    ),
    runs=runs,
    do=do,
)
