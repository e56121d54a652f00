"""Reviews: judgements with negation, double negation and concession.

The verdict of a review is the verdict of its main clauses.  Words of praise stand in bad reviews ("far from
charming", "although the music was lovely") and words of blame in good ones, so that counting words is not enough.
"""

from random import Random

from . import forms, lexicon
from .grammar import a, pick, render, sentence
from .lexicon import held_out, seen


# How often a judgement is plain, flipped, doubly flipped, conceded (in %).  Pre-training reads more of the hard ones
# than the task shows: a word of praise alone is right two times in three there, six times in seven here.
SHAPES = {"pretraining": (40, 22, 10, 28), "task": (68, 12, 2, 18)}


def choose(words: list[str], split: str, rng: Random) -> str:
    """A word of a labelled group that a split may show: the test takes a held-out word one time in four."""
    if split == "pretraining":
        return rng.choice(words)
    if split == "test" and rng.random() < 0.25:
        return rng.choice(held_out(words))
    return rng.choice(seen(words))


def judgement(good: bool, kind: str, split: str, rng: Random) -> str:
    """One sentence whose verdict is `good`, about an aspect of a thing of `kind` (film, book, ...)."""
    own, other = (lexicon.PRAISE, lexicon.BLAME) if good else (lexicon.BLAME, lexicon.PRAISE)
    own_verbs, other_verbs = (lexicon.PRAISE_VERBS, lexicon.BLAME_VERBS) if good else (lexicon.BLAME_VERBS, lexicon.PRAISE_VERBS)
    group = rng.choices((forms.PLAIN, forms.FLIPPED, forms.DOUBLED, forms.CONCEDED), weights=SHAPES["pretraining" if split == "pretraining" else "task"])[0]
    x, y = rng.sample(lexicon.ASPECTS[kind], 2)
    if rng.random() < 0.3:
        x = rng.choice(lexicon.JUDGED[kind].split())
    word = choose(own, split, rng)
    noun = rng.choice(lexicon.PRAISE_NOUNS if good else lexicon.BLAME_NOUNS)
    return render(
        pick(group, split, rng), rng, x=x, y=y, good=word, bad=choose(other, split, rng), a_good=a(word), a_treat=a(noun), very=rng.choice(lexicon.INTENSIFIERS),
        liked=choose(own_verbs, split, rng), disliked=choose(other_verbs, split, rng),
    )  # fmt: skip


def review(split: str, rng: Random) -> tuple[list[str], bool]:
    """One to three sentences that agree in their verdict.

    Args:
        split: "pretraining", "train", "validation" or "test": decides which forms and words may be used.
        rng: the source of chance.
    Returns: the sentences, and True for a good review.

    >>> review("train", Random(3))
    (['The crowd was a treasure.'], True)
    """
    good, kind = rng.random() < 0.5, rng.choice(list(lexicon.ASPECTS))
    count = rng.choice((1, 1, 2, 2, 3))
    return [sentence(judgement(good, kind, split, rng)) for _ in range(count)], good


def verdicts(good: bool, rng: Random) -> list[str]:
    """Two closing lines that name the verdict outright; they stand in pre-training only."""
    words = lexicon.PRAISE if good else lexicon.BLAME
    lines = []
    for form in rng.sample(forms.VERDICTS[good], 2):
        word = rng.choice(words)
        lines.append(sentence(render(form, rng, good=word, a_good=a(word), thing=rng.choice(("work", "evening", "thing", "experience")))))
    return lines
