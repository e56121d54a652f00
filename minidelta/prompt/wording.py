"""The words of a template by themselves: how they read, and whether pre-training has said them before.

    fluency(T) = mean over examples (x, y) and over the tokens t of T's own words of
                 log p_GPT(t | all before it in T(x) with v(y) in the gap)

A causal model that has read the same texts stands in for the reader: strings that no person would write are unlikely to it.  That is
all it measures; a fluent template may be wrong, and a rare word costs more than a common one.
"""

import functools
import re
from bisect import bisect_right
from collections.abc import Mapping, Sequence
from itertools import islice
from typing import Any

import torch
from torch import nn

from minidelta.data import Example
from minidelta.errors import PromptError
from minidelta.prompt.template import Template
from minidelta.world import documents


@torch.no_grad()
def fluency(template: Template, gpt: nn.Module, tokenizer: Any, examples: Sequence[Example], label_words: Mapping[str, Sequence[str]]) -> float:
    """How likely a template's words are to a causal model, in nats a token; higher reads better.

    Its words are read in lower case and without punctuation, so that neither a full stop nor its absence counts.

    Args:
        template: without soft tokens.
        gpt, tokenizer: a decoder.
        examples: labelled; the first word of each one's label stands in the gap.
        label_words: label -> its words.
    Returns: mean log p of a token; of a template without words 0, since there is nothing to stumble over.
    Raises: PromptError for another family.

    >>> from minidelta.hub import load_model, load_tokenizer
    >>> said = [Example("The film was long.", label="negative")]
    >>> read = lambda source: fluency(Template(source), load_model("gpt-nano"), load_tokenizer("gpt-nano"), said, {"negative": ["bad"]})
    >>> read("{text_a} In a word, it was {mask}.") > read("{text_a} Was in it word a {mask}.")
    True
    """
    if gpt.config.shape != "decoder":
        raise PromptError(f"Fluency is what a model says that reads from left to right, and this is an {gpt.config.shape}; take a GPT such as gpt-nano.")
    rows, own = [], []
    for example in examples:
        pieces = [f" {label_words[example.label][0] if part.kind == 'mask' else plain(part.value) if part.kind == 'literal' else part.text(example)}".rstrip() for part in template.parts]
        starts = [sum(map(len, pieces[:place])) for place in range(len(pieces))]
        encoded = tokenizer("".join(pieces), add_special_tokens=False, return_offsets_mapping=True)
        rows.append([tokenizer.eos_token_id, *encoded["input_ids"]])
        own.append([template.parts[bisect_right(starts, max(begin, end - 1)) - 1].kind == "literal" for begin, end in encoded["offset_mapping"]])
    longest = max(map(len, rows))
    ids = torch.tensor([row + [tokenizer.eos_token_id] * (longest - len(row)) for row in rows], device=gpt.device)  # [B,T]
    mine = torch.tensor([row + [False] * (longest - 1 - len(row)) for row in own], device=gpt.device)  # [B,T-1]
    log_p = gpt(ids)[:, :-1].float().log_softmax(-1).gather(-1, ids[:, 1:, None])[..., 0]  # [B,T-1]: what stands behind is never seen
    return log_p[mine].mean().item() if mine.any() else 0.0


def repeated(template: Template, label_words: Mapping[str, Sequence[str]], told: str | None = None) -> list[str]:
    """What a template repeats of the embedded models' pre-training: four words in a row, or all of a stretch of three.

    Args:
        template: any.
        label_words: label -> words; each stands in the gap in turn.
        told: plain words of what was read, see `pretraining_words`, which is the default.

    >>> said = " the soup was cold and in a word it was bad "
    >>> repeated(Template("{text_a} In a word, {mask}."), {"negative": ["bad"]}, said), repeated(Template("{text_a} In a word it was {mask}."), {"negative": ["bad"]}, said)
    ([], ['a word it was', 'in a word it', 'word it was bad'])
    """
    told, met = pretraining_words() if told is None else told, set()
    for word in [word for words in label_words.values() for word in words]:
        filled = "".join(word if part.kind == "mask" else part.value if part.kind == "literal" else "\n" for part in template.parts)
        for stretch in filled.split("\n"):  # between the texts of an example
            said = plain(stretch).split()
            grams = {" ".join(said[i : i + 4]) for i in range(max(1, len(said) - 3))}
            met |= {gram for gram in grams if len(gram.split()) > 2 and f" {gram} " in told}
    return sorted(met)


@functools.cache
def pretraining_words(count: int = 20_000) -> str:
    """So many documents of the kind that the embedded models have read, one a line, as plain words with a space on either side."""
    return "\n" + "\n".join(f" {plain(document.text)} " for document in islice(documents(20_26), count))


def plain(text: str) -> str:
    """Lower-case words without punctuation.

    >>> plain("In a word: GOOD!")
    'in a word good'
    """
    return " ".join(re.findall(r"[^\W_]+", text.lower()))
