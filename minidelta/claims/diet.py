"""Which part of the pre-training makes a small BERT useful?  One ingredient at a time is taken away.

    as it is         reviews and news name their verdict and topic in closing lines, a glossary explains words,
                     words of four letters or more are masked twice as often as shorter ones
    no closings      reviews and news without those lines
    no glossary      no documents that explain words
    no favour        every word is masked equally often

Every arm pre-trains a bert-nano from the same random weights for equally many tokens, and is then fine-tuned on K
examples per class of three tasks, with the same seeds, steps and learning rate.  Run it, or go on where it stopped:

    python -m minidelta.claims.diet              # about 25 minutes on one core; writes records/diet.json
    python -m minidelta.claims.diet --show       # prints the recorded table

Found at 3,000 steps: no ingredient by itself moves a task beyond its interval; topic is easy on every diet (.92 to .94),
sentiment out of reach on every one (.50).  So the mix is not what decides at this size; length and optimizer of the
pre-training do.

One pre-training run an arm: the interval is over fine-tuning seeds only, and does not tell how much another
pre-training seed would change.
"""

import argparse
import json
import os
import tempfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from random import Random

import torch

from minidelta.claims.claim import interval
from minidelta.data import load_task
from minidelta.finetune import learner_for, train_task
from minidelta.hub import train_tokenizer
from minidelta.model import Transformer
from minidelta.pretrain.corpus import WorldCorpus
from minidelta.pretrain.masked import MaskedLM
from minidelta.pretrain.recipes import RECIPES, configuration
from minidelta.pretrain.run import Batches, optimization
from minidelta.progress import progress
from minidelta.train import fit
from minidelta.world.documents import MIX, Document, definition, documents, news_document, review_document, told
from minidelta.world.news import news
from minidelta.world.reviews import review

RECORD = Path(__file__).parent / "records" / "diet.json"
MODEL, STEPS = "bert-nano", 3_000
TASKS, SHOTS, SEEDS = ("sentiment", "topic", "entailment"), 32, range(5)

Mix = Mapping[Callable[[Random], Document], int]


def bare_review(rng: Random) -> Document:
    """A review without the closing lines that name its verdict."""
    return Document("review", review("pretraining", rng)[0])


def bare_news(rng: Random) -> Document:
    """News without the lines that name its topic."""
    return Document("news", news(told()[0], "pretraining", rng)[0])


BARE = {review_document: bare_review, news_document: bare_news}
ARMS: dict[str, tuple[Mix, float]] = {  # the mix of documents; how much more often long words are masked
    "as it is": (MIX, 1.0),
    "no closings": ({BARE.get(make, make): share for make, share in MIX.items()}, 1.0),
    "no glossary": ({make: share for make, share in MIX.items() if make is not definition}, 1.0),
    "no favour": (MIX, 0.0),
}


class Diet(WorldCorpus):
    """The world in another mix of documents; the tokenizer and the held-out documents stay the world's."""

    def __init__(self, mix: Mix) -> None:
        self.mix = mix

    def stream(self, seed: int) -> Iterator[Document]:
        return documents(seed, self.mix)


def pretrained(arm: str, tokenizer, steps: int, checkpoint: Path) -> Transformer:
    """A bert-nano raised on the diet of one arm."""
    mix, favour = ARMS[arm]
    recipe = RECIPES[MODEL]
    objective = MaskedLM(tokenizer, favour=favour)
    batches = Batches(Diet(mix), tokenizer, objective, tokens=recipe.tokens)
    model = Transformer(configuration(recipe, tokenizer), seed=0)
    model.eval()  # no dropout, as in `pretrain`
    fit(lambda batch: objective.loss(model, batch), batches, steps=steps, **optimization(model, recipe), checkpoint=checkpoint, save_every=300, description=arm)
    return model


def few_shot_scores(model: Transformer, tokenizer) -> dict[str, list[float]]:
    """Test accuracy after fine-tuning on SHOTS examples per class: task -> one figure a seed."""
    start = {name: value.clone() for name, value in model.state_dict().items()}
    scores: dict[str, list[float]] = {}
    for name in progress(TASKS, description="few shots", unit="task"):
        for seed in SEEDS:
            model.load_state_dict(start)
            task = load_task(name, seed=seed, shots=SHOTS)
            result = train_task(learner_for(model, tokenizer, task, seed=seed), task, "full", seed=seed, progress=False)
            scores.setdefault(name, []).append(round(result.score, 4))
    return scores


def run(steps: int = STEPS, record: Path = RECORD) -> dict:
    """Run the arms that the record does not hold yet, and write each down when it is done."""
    known = json.loads(record.read_text(encoding="utf-8")) if record.exists() else {}
    if known.get("steps") != steps:
        known = {"model": MODEL, "steps": steps, "shots": SHOTS, "seeds": list(SEEDS), "torch": torch.__version__, "arms": {}}
    tokenizer = train_tokenizer("bert", WorldCorpus().texts(), RECIPES[MODEL].vocabulary)
    working = Path(tempfile.gettempdir()) / f"minidelta-diet-{steps}"
    for arm in ARMS:
        if arm not in known["arms"]:
            model = pretrained(arm, tokenizer, steps, working / arm.replace(" ", "-"))
            known["arms"][arm] = few_shot_scores(model, tokenizer)
            record.parent.mkdir(parents=True, exist_ok=True)
            beside = record.with_suffix(".partial")
            beside.write_text(json.dumps(known, indent=1) + "\n", encoding="utf-8")
            os.replace(beside, record)
    return known


def table(known: dict) -> str:
    """The record as a table: mean test accuracy and half its interval."""
    lines = [f"{known['model']}, {known['steps']:,} steps; then {known['shots']} examples per class, {len(known['seeds'])} seeds"]
    lines.append(f"{'':12}" + "".join(f"{name:>18}" for name in TASKS))
    for arm, scores in known["arms"].items():
        cells = [interval(scores[name]) for name in TASKS]
        lines.append(f"{arm:12}" + "".join(f"{f'{mean:.3f} ± {high - mean:.3f}':>18}" for mean, _, high in cells))
    return "\n".join(lines)


def main() -> None:
    """The command line of this experiment."""
    parser = argparse.ArgumentParser(prog="python -m minidelta.claims.diet", description="Take one ingredient of the pre-training away at a time.")
    parser.add_argument("--show", action="store_true", help="print the record; run nothing")
    parser.add_argument("--steps", type=int, default=STEPS, help=f"pre-training steps of each arm (default {STEPS:,})")
    options = parser.parse_args()
    if options.show and not RECORD.exists():
        parser.exit(2, "there is no record yet; run without --show\n")
    print(table(json.loads(RECORD.read_text(encoding="utf-8")) if options.show else run(options.steps)))


if __name__ == "__main__":
    main()
