"""Calibration: take off what a prompt prefers before it has read anything.

A prompt leans towards labels whose words are frequent, whatever the text says.  All four methods estimate that lean as one number a
label, and subtract it:  s'(y|x) = s(y|x) - prior(y).  They differ in where they look:

    contextual      log of the mean p(y | content-free text)         Zhao et al. 2021: "N/A", "[MASK]" and the empty text
    domain          log of the mean p(y | random words of the domain)    Fei et al. 2023: as long as the task's texts
    pmi             the score of y for the prompt without its texts  Holtzman et al. 2021: log p(y|x) - log p(y|domain prompt)
    batch           log of the mean p(y | x) over a batch of inputs  Zhou et al. 2023: no label is looked at

Zhao et al. multiply the probabilities by diag(p_cf)^-1; made to sum to one again, that is the same subtraction of logarithms.
"""

import random
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from minidelta.data import Example
from minidelta.errors import PromptError, near_misses

CONTENT_FREE = ("N/A", "[MASK]", "")
KINDS = ("contextual", "domain", "pmi", "batch")


def calibrate(learner: Any, kind: str, examples: Sequence[Example] = (), seed: int = 0) -> Tensor:
    """Estimate the prior of a prompt learner and let it take it off from now on.

    Args:
        learner: a `PromptLearner`; its `prior` is set.
        kind: one of KINDS.
        examples: unlabelled texts of the task; "contextual" and "pmi" need one (for its meta), "domain" and "batch" some dozens.
        seed: of the random words of "domain".
    Returns: the prior [C].
    Raises: PromptError for an unknown kind or missing examples.

    >>> from minidelta.data import load_task
    >>> from minidelta.hub import load_model, load_tokenizer
    >>> from minidelta.prompt.learners import prompt_learner
    >>> task = load_task("sentiment", shots=8)
    >>> calibrate(prompt_learner(load_model("bert-nano"), load_tokenizer("bert-nano"), task), "batch", task.train).exp().sum().round(decimals=3).item()
    1.0
    """
    if kind not in KINDS:
        raise PromptError(f"There is no calibration called {kind!r}. {near_misses(str(kind), KINDS)}")
    if not examples:
        raise PromptError(f"The calibration {kind!r} needs some texts of the task, without labels; give examples.")
    learner.prior = None
    if kind == "contextual":
        scores = learner.score([emptied(examples[0], text) for text in CONTENT_FREE])
    elif kind == "domain":
        scores = learner.score(random_texts(examples, 20, seed))
    elif kind == "pmi":
        scores = learner.score([emptied(examples[0], "")])
        learner.prior = scores[0]
        return learner.prior
    else:
        scores = learner.score(examples)
    learner.prior = mean_prior(scores)
    return learner.prior


def mean_prior(scores: Tensor) -> Tensor:
    """log of the mean probability of each label: [N,C] -> [C].

    >>> mean_prior(torch.tensor([[0.9, 0.1], [0.7, 0.3]]).log()).exp()
    tensor([0.8000, 0.2000])
    """
    return scores.float().softmax(-1).mean(0).log()


def emptied(example: Example, text: str) -> Example:
    """The example with every text of its own replaced: what is left of the prompt is the template.

    >>> emptied(Example("Ada sang.", "Who?", "yes", {"head": [0, 3]}), "N/A")
    Example(text='N/A', text_b='N/A', label=None, meta={'head': [0, 3]})
    """
    spans = {key: [0, len(text)] for key in ("head", "tail") if isinstance(example.meta.get(key), (list, tuple))}
    return replace(example, text=text, text_b=None if example.text_b is None else text, label=None, meta=example.meta | spans)


def random_texts(examples: Sequence[Example], count: int, seed: int) -> list[Example]:
    """Texts of random words drawn from the examples, each as long as one of them (Fei et al. 2023)."""
    rng = random.Random(seed)
    words = [word for example in examples for word in f"{example.text} {example.text_b or ''}".split()]

    def drawn(length: int) -> str:
        return " ".join(rng.choice(words) for _ in range(max(1, length)))

    found = []
    for _ in range(count):
        like = rng.choice(examples)
        text, text_b = drawn(len(like.text.split())), like.text_b and drawn(len(like.text_b.split()))
        spans = {key: [0, len(text.split()[0])] for key in ("head", "tail") if isinstance(like.meta.get(key), (list, tuple))}
        found.append(replace(like, text=text, text_b=text_b, label=None, meta=like.meta | spans))
    return found
