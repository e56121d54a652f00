"""C6: larger models use the context better.

The curves of C5 for three sizes that read equal tokens of one mix.  What a model makes of the context is the accuracy with 16 examples
(8 of the unseen) less that with none, the mean over four kinds of questions (`in_context.py`).
"""

import statistics
from typing import Any

from minidelta.claims.c05_examples import KINDS, MOST
from minidelta.claims.claim import Claim, Part, Run
from minidelta.claims.in_context import SHOTS, SIZES, score

NANO, MICRO, MINI = SIZES
MAPPINGS = ["words", "unseen", "sentences", "verdicts"]


def runs(light: bool) -> list[Run]:
    """Three sizes, all kinds and numbers of examples.  Light: words alone, two seeds."""
    found = []
    for seed in range(2 if light else 5):
        for model in SIZES:
            for kind in ("words",) if light else KINDS:
                found += [{"model": model, "kind": kind, "shots": shots, "seed": seed} for shots in SHOTS if shots <= MOST.get(kind, max(SHOTS))]
    return found


def do(run: Run) -> dict[str, Any]:
    return {"score": score(run["model"], run["kind"], run["shots"], run["seed"])}


def _gain(runs: list[Run], model: str, kinds: list[str]) -> float:
    known = {(run["kind"], run["shots"]): run["score"] for run in runs if run["model"] == model}
    return statistics.mean(known[kind, min(16, MOST.get(kind, 16))] - known[kind, 0] for kind in kinds if (kind, 0) in known)


def larger(more: str, less: str, kinds: list[str] = MAPPINGS) -> Any:
    """What the larger model gains from the examples beyond what the smaller one gains."""
    return lambda runs: _gain(runs, more, kinds) - _gain(runs, less, kinds)


CLAIM = Claim(
    id="C6",
    section="GPT-3",
    claim="larger models use the context better",
    paper="Brown et al. 2020: figure 1.2, the curves of 1.3, 13 and 175 billion parameters grow steeper with size",
    parts=(
        Part("nano to mini", "three times the width and the depth: at least 5 points more from the same examples", 0.05, larger(MINI, NANO)),
        Part("nano to micro", "the first step of size gives at least 2 points more", 0.02, larger(MICRO, NANO)),
        Part("micro to mini", "the second step of size gives at least 2 points more", 0.02, larger(MINI, MICRO)),
    ),
    runs=runs,
    do=do,
)
