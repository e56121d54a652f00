"""Tiny random models of the three families, whose tokenizers know a handful of whole words."""

import functools
import re

from minidelta.data import Example, Task
from minidelta.hub.tokenizer import train_tokenizer
from minidelta.model import Transformer, bert_config, gpt2_config, t5_config
from minidelta.prompt.render import Renderer
from minidelta.prompt.template import Template

SIZE = dict(d_model=32, n_layers=2, n_heads=4, d_ff=64, dropout=0.0)
CONFIGS = {"bert": bert_config, "gpt": gpt2_config, "t5": t5_config}
SHAPES = {"bert": "encoder", "gpt": "decoder", "t5": "encoder-decoder"}
FAMILIES = tuple(CONFIGS)
WORDS = "a the film book meal was is good bad fine dull great terrible it news sport science topic we they saw liked hated : . , ? yes no person city born lives in works for and of"


@functools.cache
def tokenizer(family: str):
    return train_tokenizer(family, [WORDS] * 20 + ["the film was good .\nit was good"] * 5, vocab_size=480)


def model(family: str, seed: int = 0, **changes) -> Transformer:
    pieces = tokenizer(family)
    ids = dict(vocab_size=len(pieces), pad_token_id=pieces.pad_token_id, eos_token_id=pieces.eos_token_id, mask_token_id=pieces.mask_token_id)
    room = {} if family == "t5" else {"max_positions": 96}
    return Transformer(CONFIGS[family](**SIZE | ids | room | changes), seed=seed)


def renderer(source: str, family: str = "bert", room: int = 64) -> Renderer:
    return Renderer(Template(source), tokenizer(family), SHAPES[family], room, start=tokenizer(family).pad_token_id)


def pieces(family: str, *names: str) -> list[int]:
    """Token ids of pieces as the vocabulary writes them, "_good" for a good that begins a word: the hand-made oracle."""
    mark = "Ġ"
    return [tokenizer(family).get_vocab()[name.replace("_", mark, 1) if name.startswith("_") else name] for name in names]


def task(count: int = 16, labels: tuple[str, ...] = ("negative", "positive")) -> Task:
    """Texts in which one word decides."""
    words = {"negative": ("bad", "dull"), "positive": ("good", "fine")}
    examples = [Example(f"the {noun} was {words[label][i % 2]}" + " and we saw it" * (i % 3), label=label) for i in range(count // 2) for noun, label in ((("film", "book", "meal")[i % 3], label) for label in labels)]
    return Task("mine", "classification", labels, "accuracy", examples, examples, examples)


def words(text: str) -> list[str]:
    return re.findall(r"[^\W_]+", text.lower())


def grams(zone: str) -> set[str]:
    """Four words in a row; of a shorter zone all that it has."""
    said = zone.split()
    return {" ".join(said[i : i + 4]) for i in range(max(1, len(said) - 3))}
