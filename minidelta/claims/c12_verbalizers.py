"""C12: more words name a label better, words from a knowledge base best; learned labels catch up with data.

Five verbalizers read the same prompts of the same BERT:

    manual       one word a label, as in `prompt/builtin.py`
    expanded     with the five words whose embeddings lie nearest (words of two labels are left out)
    knowledge    with all that the lexicon of the embedded world lists for it (KPT).  Zero-shot: refined by frequency, relevance and
                 calibration on 200 texts without labels.  Few-shot: with trained weights instead, as in the paper
    vectors      one trained vector a label, which starts at the label's word (WARP)
    prototypes   one trained point a label, which knows no word and starts at its examples (ProtoVerb)

With examples, model and verbalizer train together, as in KPT and ProtoVerb: the same examples, steps, seeds and two learning
rates for all, of which the validation part (at most K examples per class) chooses.  The templates do not stand in the
pre-training text; zero-shot their mean counts, with examples they take turns over the seeds.  Each seed has a test sample of its own.

Sentiment is asked zero-shot alone: with up to 64 examples per class no arm of this model leaves guessing there (looks on seed 100,
see C8).  Question types are left out, because the lexicon lists no words for them.  In the same looks topic was near its ceiling
(0.95) from four examples on, so its curve can show who is behind at the start and hardly who is ahead at the end.
"""

import random
import statistics
from dataclasses import replace
from functools import partial
from typing import Any

from minidelta.claims.claim import Claim, Part, Run
from minidelta.claims.tuning import best_rate
from minidelta.data import Task, load_task
from minidelta.evaluate import evaluate
from minidelta.hub import load_model, load_tokenizer
from minidelta.prompt import KnowledgeVerbalizer, LabelVectors, PromptLearner, Prototypes, Verbalizer, WordVerbalizer, prompt_learner
from minidelta.prompt.builtin import LABEL_WORDS, TEMPLATES
from minidelta.prompt.expand import neighbours
from minidelta.prompt.knowledge import expand_words, refine, world_knowledge

MODEL = "bert-nano"
WORDS, LEARNED = ("manual", "expanded", "knowledge"), ("vectors", "prototypes")
SHOTS = {"topic": (0, 1, 4, 16, 64), "sentiment": (0,)}  # examples per class
FEW = (0, 1, 4)  # where more words should help
NEAREST, UNLABELLED = 5, 200  # words that are added; texts for the refinement
RATES = (1e-3, 3e-3)
STEPS, BATCH, TESTED = 60, 16, 500


def runs(light: bool) -> list[Run]:
    """Every task x amount of data x verbalizer x seed; light: topic with no, one and 16 examples, one rate, two seeds."""
    shots, rates, seeds = ({"topic": (0, 1, 16)}, RATES[:1], 2) if light else (SHOTS, RATES, 5)
    found = []
    for seed in range(seeds):
        for task, amounts in shots.items():
            names = [template.name for template in TEMPLATES[task] if not template.seen]
            for k in amounts:
                arms, mine = (WORDS + LEARNED, [names[seed % len(names)]]) if k else (WORDS, names)
                found += [{"task": task, "shots": k, "verbalizer": arm, "template": name, "rates": list(rates), "seed": seed} for arm in arms for name in mine]
    return found


def do(run: Run) -> dict[str, Any]:
    """Tune one prompt with its verbalizer; or, with no examples, ask it as it is."""
    task = load_task(run["task"], seed=run["seed"], shots=run["shots"] or None)
    task = replace(task, test=random.Random(run["seed"]).sample(task.test, TESTED))
    if run["shots"]:
        return best_rate(partial(_learner, run, task), task, run["rates"], run["seed"], steps=STEPS, batch_size=BATCH)
    learner = _learner(run, task)
    if run["verbalizer"] == "knowledge":
        refine(learner, learner.verbalizer.label_words, random.Random(run["seed"]).sample(task.train, UNLABELLED))
    return {"score": round(evaluate(learner, task.test, task.metric), 4)}


def _learner(run: Run, task: Task) -> PromptLearner:
    model, tokenizer, words = load_model(MODEL), load_tokenizer(MODEL), LABEL_WORDS[run["task"]]
    verbalizer: Verbalizer
    if run["verbalizer"] == "manual":
        verbalizer = WordVerbalizer(words)
    elif run["verbalizer"] == "expanded":
        near = {word: neighbours(model, tokenizer, word, 1 + NEAREST) for own in words.values() for word in own}
        verbalizer = WordVerbalizer(expand_words(words, near, tokenizer))
    elif run["verbalizer"] == "knowledge":
        verbalizer = KnowledgeVerbalizer(expand_words(words, world_knowledge(), tokenizer), weighted=run["shots"] > 0)
    elif run["verbalizer"] == "vectors":
        verbalizer = LabelVectors(words)
    else:
        verbalizer = Prototypes(task.labels, seed=run["seed"])
    return prompt_learner(model, tokenizer, task, run["template"], verbalizer, seed=run["seed"])


def score(runs: list[Run], verbalizers: tuple[str, ...], shots: tuple[int, ...]) -> float:
    """Mean over verbalizers, amounts and tasks; each task and amount counts alike."""
    cells: dict[tuple[str, int], list[float]] = {}
    for run in runs:
        if run["verbalizer"] in verbalizers and run["shots"] in shots:
            cells.setdefault((run["task"], run["shots"]), []).append(run["score"])
    return statistics.mean(map(statistics.mean, cells.values()))


def least(runs: list[Run]) -> tuple[int, ...]:
    """The smallest amount of examples, other than none."""
    return (min(run["shots"] for run in runs if run["shots"]),)


def most(runs: list[Run]) -> tuple[int, ...]:
    """The largest."""
    return (max(run["shots"] for run in runs),)


CLAIM = Claim(
    id="C12",
    section="prompt",
    claim="verbalizers: manual < expanded < knowledge-based with few examples; learned labels catch up with data",
    paper="Hu et al. 2022 (KPT), abstract: knowledgeable prompt-tuning is effective on zero- and few-shot text classification",
    parts=(
        Part("expanded", "with 0 to 4 examples per class several words beat one", 0.0, lambda runs: score(runs, ("expanded",), FEW) - score(runs, ("manual",), FEW)),
        Part("knowledge", "words of a knowledge base beat these", 0.0, lambda runs: score(runs, ("knowledge",), FEW) - score(runs, ("expanded",), FEW)),
        Part("behind", "with one example per class labels that know no word are at least 2 points behind the words", 0.02, lambda runs: score(runs, WORDS, least(runs)) - score(runs, ("prototypes",), least(runs))),
        Part("level", "with most examples they are at most 2 points behind", -0.02, lambda runs: score(runs, ("prototypes",), most(runs)) - score(runs, WORDS, most(runs))),
    ),
    runs=runs,
    do=do,
)
