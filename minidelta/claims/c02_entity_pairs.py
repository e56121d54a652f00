"""C2: in relation extraction it matters how the pair of entities is represented: the six ways of Matching the Blanks.

All six get the same examples, steps, seeds and three learning rates, of which the validation part chooses.
"""

import statistics
from typing import Any

from minidelta.claims.claim import Claim, Part, Run
from minidelta.claims.tuning import best_rate
from minidelta.data import load_task
from minidelta.finetune import learner_for
from minidelta.finetune.relation import REPRESENTATIONS
from minidelta.hub import load_model, load_tokenizer

MODEL = "bert-nano"  # 90 trainings
RATES = (3e-4, 1e-3, 3e-3)
SHOTS = 32  # examples per class


def runs(light: bool) -> list[Run]:
    """Every representation x seed; light: three representations, one rate, three seeds."""
    ways, rates, seeds = (("cls", "mention-pooling", "entity-start"), RATES[1:2], 3) if light else (REPRESENTATIONS, RATES, 5)
    return [{"representation": way, "rates": list(rates), "seed": seed} for seed in range(seeds) for way in ways]


def do(run: Run) -> dict[str, Any]:
    """Fine-tune with one representation."""
    task, tokenizer = load_task("relation", seed=run["seed"], shots=SHOTS), load_tokenizer(MODEL)

    def learner():
        return learner_for(load_model(MODEL), tokenizer, task, seed=run["seed"], representation=run["representation"])

    return best_rate(learner, task, run["rates"], run["seed"])


def scores(runs: list[Run]) -> dict[str, float]:
    """F1 by representation (of one seed)."""
    return {run["representation"]: run["score"] for run in runs}


def markers(runs: list[Run]) -> float:
    """Entity start minus [CLS] of the bare sentence."""
    return scores(runs)["entity-start"] - scores(runs)["cls"]


def mentions(runs: list[Run]) -> float:
    """Mention pooling minus [CLS], both without markers: the model is told which pair is meant only at the end."""
    return scores(runs)["mention-pooling"] - scores(runs)["cls"]


def start(runs: list[Run]) -> float:
    """Entity start minus the mean of the other ways that know the pair."""
    known = scores(runs)
    others = [score for way, score in known.items() if way not in ("entity-start", "cls")]
    return known["entity-start"] - statistics.mean(others)


CLAIM = Claim(
    id="C2",
    section="fine-tuning",
    claim="how the entity pair is represented matters in relation extraction",
    paper="Baldini Soares et al. 2019: entity markers with entity start are best of six (SemEval 2010 task 8, TACRED)",
    parts=(
        Part("pair", "entity start beats [CLS] of the bare sentence by at least 10 points of F1", 0.10, markers),
        Part("mentions", "pooling the mentions beats [CLS] by at least 5 points", 0.05, mentions),
        Part("start", "entity start is better than the mean of the other ways that know the pair", 0.0, start),
    ),
    runs=runs,
    do=do,
)
