"""C8: a prompt is worth many data points.  The same BERT, tuned through a prompt and through a new head, on ever more examples.

Both arms get the same examples, steps, seeds and two learning rates, of which the validation part (at most K examples per
class) chooses.  What could favour the prompt is taken away.  Its templates do not stand in the pre-training text, there are
two for each task, and their mean counts, not the better one.  The label words are those of `prompt/builtin.py`, chosen before.
The head reads what served it best in a look at another seed (100): of texts the mean over all tokens, which learnt
far faster than [CLS] (topic at K = 16: 0.96 against 0.62 at one rate); of relations the two entity marks, best in C2 too.

How many examples a prompt is worth is measured as in the paper: both curves are made monotone, and the examples which the
head needs, less those which the prompt needs, are averaged over the accuracies that both reach.  A control as in the paper,
drawn but no part of the claim: the same prompt with first names in the place of the label words, which mean nothing (null).

Tasks: those that this model can learn from some dozens of examples.  Sentiment and entailment are left out, because neither arm
leaves guessing there (seed 100, K = 64: sentiment 0.46 to 0.55, entailment 0.39 to 0.45 for all heads, templates and rates),
and a distance between two flat curves means nothing; question types take their place.

Measured first with 60 updates, 4 to 32 examples per class and a head that learnt at the backbone's rate: gain -0.010, worth -21.
Topics had then nothing left to gain from 8 examples on, and relations were cut short.  So there are 150 updates now, one and two
examples per class as well, and the head learns ten times as fast, as by default; arms, parts and margins are as they were.
"""

import random
import statistics
from dataclasses import replace
from functools import partial
from itertools import accumulate
from typing import Any

from minidelta.claims.claim import Claim, Part, Run
from minidelta.claims.tuning import best_rate
from minidelta.data import Task, load_task
from minidelta.evaluate import evaluate
from minidelta.finetune import Learner, learner_for
from minidelta.hub import load_model, load_tokenizer
from minidelta.prompt import WordVerbalizer, prompt_learner
from minidelta.prompt.builtin import TEMPLATES
from minidelta.prompt.verbalizer import LabelWords, word_tokens
from minidelta.world import lexicon

MODEL = "bert-nano"
TASKS = ("topic", "question-type", "relation")
SHOTS = (1, 2, 4, 8, 16, 32)  # examples per class, of both arms
FURTHER = 64  # of the head alone, so that it can reach what the prompt reached
NULL_SHOTS = (4, 16)
RATES = (1e-3, 3e-3)
STEPS, BATCH, TESTED = 150, 16, 500  # updates, examples an update, test examples

Curve = list[tuple[float, float]]  # (examples, score)


def runs(light: bool) -> list[Run]:
    """Every task x arm x amount of data x template x seed; light: topic with few examples and one rate, three seeds."""
    tasks, shots, further, rates, seeds = (("topic",), (4, 16), (), RATES[1:], 3) if light else (TASKS, SHOTS, (FURTHER,), RATES, 5)
    found = []
    for seed in range(seeds):
        for task in tasks:
            names = [template.name for template in TEMPLATES[task] if not template.seen]
            arms = [("head", k, None) for k in (*shots, *further)]
            arms += [("prompt", k, name) for k in (0, *shots) for name in names]
            arms += [("null", k, names[seed % len(names)]) for k in NULL_SHOTS]
            found += [{"task": task, "arm": arm, "shots": k, "template": name, "rates": list(rates), "seed": seed} for arm, k, name in arms]
    return found


def do(run: Run) -> dict[str, Any]:
    """Tune one arm; or, with no examples, ask the prompt as it is."""
    task = load_task(run["task"], seed=run["seed"], shots=run["shots"] or None)
    task, tokenizer = replace(task, test=task.test[:TESTED]), load_tokenizer(MODEL)
    if not run["shots"]:
        return {"score": round(evaluate(_learner(run, task, tokenizer), task.test, task.metric), 4), "examples": 0}
    return best_rate(partial(_learner, run, task, tokenizer), task, run["rates"], run["seed"], steps=STEPS, batch_size=BATCH) | {"examples": len(task.train)}


def _learner(run: Run, task: Task, tokenizer: Any) -> Learner:
    model = load_model(MODEL)
    if run["arm"] == "head":
        return learner_for(model, tokenizer, task, seed=run["seed"], representation="entity-start" if task.kind == "relation" else "mean")
    words = WordVerbalizer(null_words(task, tokenizer, run["seed"])) if run["arm"] == "null" else None
    return prompt_learner(model, tokenizer, task, run["template"], words, seed=run["seed"])


def null_words(task: Task, tokenizer: Any, seed: int) -> LabelWords:
    """A first name for each label, drawn by the seed: words that say nothing about it.

    >>> null_words(load_task("topic", shots=1), load_tokenizer(MODEL), seed=0)["sport"] != null_words(load_task("topic", shots=1), load_tokenizer(MODEL), seed=1)["sport"]
    True
    """
    names = [name for name in lexicon.FEMALE + lexicon.MALE if len(word_tokens(name, tokenizer, True)) == 1]
    return {label: [name] for label, name in zip(task.labels, random.Random(seed).sample(names, len(task.labels)))}


def curve(runs: list[Run], task: str, arm: str) -> Curve:
    """Score over examples, a mean over the templates; without the prompt that saw none."""
    chosen = [run for run in runs if run["task"] == task and run["arm"] == arm and run["shots"]]
    shots = sorted({run["shots"] for run in chosen})
    at = {k: [run for run in chosen if run["shots"] == k] for k in shots}
    return [(at[k][0].get("examples", k), statistics.mean(run["score"] for run in at[k])) for k in shots]


def reach(monotone: Curve, score: float) -> float:
    """The examples with which a rising curve first reaches a score, straight lines between its points.

    >>> reach([(10, 0.5), (20, 0.5), (40, 0.7)], 0.6)
    30.0
    """
    before = monotone[0]
    for point in monotone:
        if point[1] >= score:
            rise = point[1] - before[1]
            return before[0] + (point[0] - before[0]) * ((score - before[1]) / rise if rise else 0.0)
        before = point
    return monotone[-1][0]


def worth(head: Curve, prompt: Curve) -> float:
    """The examples that the head needs more, averaged over all scores which both arms reach (Le Scao and Rush 2021).

    If one arm begins above all that the other reaches, the two ends are as far apart at least, and that is returned.

    >>> round(worth([(10, 0.4), (110, 0.8)], [(10, 0.6), (60, 0.8)]), 1)  # 50 at 0.6 and at 0.8
    50.0
    """
    head, prompt = rising(head), rising(prompt)
    low, high = max(head[0][1], prompt[0][1]), min(head[-1][1], prompt[-1][1])
    if low > high:
        return head[-1][0] - prompt[0][0] if prompt[0][1] > head[-1][1] else head[0][0] - prompt[-1][0]
    scores = [low + (high - low) * i / 100 for i in range(101)]
    return statistics.mean(reach(head, score) - reach(prompt, score) for score in scores)


def rising(points: Curve) -> Curve:
    """Each score the best so far."""
    return list(zip((n for n, _ in points), accumulate((score for _, score in points), max)))


def mean_worth(runs: list[Run]) -> float:
    """Mean over the tasks (of one seed)."""
    return statistics.mean(worth(curve(runs, task, "head"), curve(runs, task, "prompt")) for task in sorted({run["task"] for run in runs}))


def gain(runs: list[Run]) -> float:
    """Prompt minus head, a mean over tasks and over the amounts that both arms had."""
    differences = []
    for task in {run["task"] for run in runs}:
        head, prompt = dict(curve(runs, task, "head")), dict(curve(runs, task, "prompt"))
        differences.append(statistics.mean(prompt[n] - head[n] for n in prompt))
    return statistics.mean(differences)


CLAIM = Claim(
    id="C8",
    section="prompt",
    claim="a prompt is worth many data points",
    paper="Le Scao and Rush 2021: worth 3,506 examples on MNLI, 752 on BoolQ, 282 on RTE, 90 on CB, and -424 on WiC (RoBERTa-large)",
    parts=(
        Part("gain", "with 1 to 32 examples per class the prompt gains at least 3 points over the head", 0.03, gain),
        Part("worth", "the head needs at least 20 examples more to reach the same score", 20.0, mean_worth),
    ),
    runs=runs,
    do=do,
)
