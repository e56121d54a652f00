"""K examples of each class: the low-resource setting of the few-shot literature.

Source: Gao, Fisch, Chen 2021, "Making Pre-trained Language Models Better Few-shot Learners", section 3: K
examples per class for training, a validation part of the same size, several seeds, the whole test part.
"""

import random
from collections import Counter

from minidelta.data.example import Example
from minidelta.errors import DataError


def few_shot(examples: list[Example], k: int, seed: int = 0) -> list[Example]:
    """Draw K examples of each class, in a shuffled order; the same seed draws the same ones.

    With one seed, the draw for a smaller K lies inside the draw for a larger one, so that a curve over K adds
    examples instead of exchanging them.  Tasks without classes (answers in words, tags, a choice among options
    that differ from example to example) give K examples in all.

    Args:
        examples: the pool to draw from.
        k: examples per class, at least 1.
        seed: of the draw.
    Returns: K examples per class.
    Raises: DataError when a class has fewer than K (it names the class), or K is below 1.

    >>> pool = [Example(f"text {i}", label="yes" if i % 3 else "no") for i in range(9)]
    >>> sorted(example.label for example in few_shot(pool, 2))
    ['no', 'no', 'yes', 'yes']
    """
    if isinstance(k, bool) or not isinstance(k, int) or k < 1:
        raise DataError(f"shots is {k!r}; expected a whole number of examples per class, at least 1")
    counts = Counter(example.label if isinstance(example.label, str) else "" for example in examples)
    short = [f"{label or 'the task'} has {counts[label]}" for label in sorted(counts) if counts[label] < k]
    if short or not examples:
        raise DataError(f"{k} examples per class were asked for, but {', '.join(short) or 'there are no examples'}; ask for fewer shots")
    drawn = []
    for label in sorted(counts):
        members = [example for example in examples if not label or example.label == label]
        random.Random(f"{seed} {label}").shuffle(members)
        drawn += members[:k]
    random.Random(f"{seed} order").shuffle(drawn)
    return drawn


def at_most(examples: list[Example], k: int, seed: int = 0) -> list[Example]:
    """K per class where there are as many, else all of the class: a validation part as small as the training part."""
    kept = []
    for label in sorted({str(example.label) if isinstance(example.label, str) else "" for example in examples}):
        members = [example for example in examples if not label or example.label == label]
        kept += few_shot(members, min(k, len(members)), seed)
    return kept
