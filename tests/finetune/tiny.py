"""Tiny random models with their own tokenizers, and sixteen examples of every kind of task."""

import functools
from dataclasses import replace

from minidelta.data import Task, load_task
from minidelta.hub.tokenizer import train_tokenizer
from minidelta.model import Transformer, bert_config, gpt2_config, t5_config

SIZE = dict(d_model=32, n_layers=2, n_heads=4, d_ff=64, dropout=0.0)
FAMILIES = {"bert": bert_config, "gpt": gpt2_config, "t5": t5_config}
TASK_OF = {"classification": "sentiment", "pair": "entailment", "relation": "relation", "tagging": "tagging", "extraction": "qa-extract", "choice": "analogy", "generation": "translation"}


@functools.cache
def tokenizer(family: str):
    texts = [text for name in set(TASK_OF.values()) for example in load_task(name).train[:150] for text in (example.text, example.text_b or "", str(example.target))]
    return train_tokenizer(family, texts, vocab_size=600)


def model(family: str, seed: int = 0, **changes) -> Transformer:
    pieces = tokenizer(family)
    ids = dict(vocab_size=len(pieces), pad_token_id=pieces.pad_token_id, eos_token_id=pieces.eos_token_id, mask_token_id=pieces.mask_token_id)
    room = {} if family == "t5" else {"max_positions": 160}
    return Transformer(FAMILIES[family](**SIZE | ids | room | changes), seed=seed)


def task(kind: str, count: int = 16) -> Task:
    whole = load_task(TASK_OF[kind])
    few = sorted(whole.train[:400], key=lambda example: len(example.text))[:count]  # short ones, for speed
    return replace(whole, train=few, validation=few, test=few)
