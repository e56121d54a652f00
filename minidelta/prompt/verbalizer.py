"""Verbalizers: from the words that a model expects at the mask to scores of labels.

    s(y | x) = mean over v in V_y of log p([MASK] = v | T(x))          p(y | x) = softmax over y of s(y | x)

Schick and Schuetze 2020 (PET) have one word a label and take its logit, which gives the same p(y | x): the logarithm of the
sum over the vocabulary is one number for all labels.  A label may have several words, and a word several tokens; what
then counts is a choice, and each choice is one line below.

    tokens   strict    a word must be one token: anything else is an error (the default)
             first     its first token            mean, max    of its tokens, all at the one mask
             product   its tokens at one mask each, log p_1(v_1) + log p_2(v_2) + ...: the template has {mask:n}
    words    mean      of the words' log p        max          the best word        sum    log of the summed p

Words scored by what the model makes of them as a whole, of any length up to sentences, are in `answers.py`.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from minidelta.errors import PromptError, near_misses

LabelWords = dict[str, list[str]]
TOKENS = ("strict", "first", "mean", "max", "product")
WORDS = ("mean", "max", "sum")


class Verbalizer(nn.Module):
    """Base: what every verbalizer says to a learner.

    Args:
        labels: the labels of the task, in its order.
    """

    trains = False  # whether it has parameters of its own

    def __init__(self, labels: Sequence[str]) -> None:
        super().__init__()
        self.labels = tuple(labels)

    def bind(self, model: nn.Module, tokenizer: Any, spaced: bool, masks: int) -> "Verbalizer":
        """Look the words up, once model and template are known.

        Args:
            model, tokenizer: whose tokens.
            spaced: whether a space stands before the mask.
            masks: how many tokens the template's gaps hold in all.
        """
        raise NotImplementedError

    def forward(self, hidden: Tensor, lm_logits: Callable[[Tensor], Tensor]) -> Tensor:
        """Scores of the labels.

        Args:
            hidden: [B,M,D], the last hidden states at the M masks.
            lm_logits: the model's own output layer, [..., D] -> [..., V].
        Returns: [B,C].
        """
        raise NotImplementedError

    def loss(self, hidden: Tensor, lm_logits: Callable[[Tensor], Tensor], labels: Tensor) -> Tensor:
        """-log p(y | x), a mean over the examples that have a label; labels [B], -100 for none."""
        return F.cross_entropy(self(hidden, lm_logits), labels)

    def settings(self) -> dict[str, Any]:
        """What is needed to build it again; plain JSON values."""
        raise NotImplementedError


class WordVerbalizer(Verbalizer):
    """Labels named by words.

    Args:
        label_words: label -> its words, for every label of the task in its order.
        tokens: what counts of a word of several tokens, one of TOKENS.
        words: what counts of several words, one of WORDS.
    Raises: PromptError for a label without words, a word of two labels, and (at `bind`) a word of several tokens.

    >>> from minidelta.hub import load_model, load_tokenizer
    >>> verbalizer = WordVerbalizer({"no": ["bad", "dull"], "yes": ["good"]})
    >>> verbalizer.bind(load_model("bert-nano"), load_tokenizer("bert-nano"), spaced=True, masks=1).ids.shape
    torch.Size([3, 1])
    """

    def __init__(self, label_words: Mapping[str, Sequence[str]], tokens: str = "strict", words: str = "mean") -> None:
        super().__init__(list(label_words))
        self.label_words, self.tokens, self.words = check_words(label_words), tokens, words
        for name, value, known in (("tokens", tokens, TOKENS), ("words", words, WORDS)):
            if value not in known:
                raise PromptError(f"A verbalizer has no {name}={value!r}. {near_misses(str(value), known)}")
        owners = [number for number, words_ in enumerate(self.label_words.values()) for _ in words_]
        self.register_buffer("owner", torch.tensor(owners), persistent=False)  # [W] the label that a word stands for
        self.prior: Tensor | None = None  # [W] log p(v) to be taken off, see knowledge.py

    @property
    def flat(self) -> list[str]:
        """All words, label after label."""
        return [word for words in self.label_words.values() for word in words]

    def bind(self, model: nn.Module, tokenizer: Any, spaced: bool, masks: int) -> "WordVerbalizer":
        found = [word_tokens(word, tokenizer, spaced) for word in self.flat]
        long = [f"{word} = {' + '.join(tokenizer.convert_ids_to_tokens(ids))}" for word, ids in zip(self.flat, found) if len(ids) > 1]
        if self.tokens == "strict" and long:
            some = "; ".join(long[:4]) + ("; ..." if len(long) > 4 else "")
            raise PromptError(f"{len(long)} label words are cut into several tokens ({some}), and one mask reads one. Choose other words, or say what counts: tokens = first, mean, max, product ({{mask:n}}), or span.")
        longest = max(map(len, found))
        if self.tokens == "product" and longest > masks:
            advice = f"write {{mask:{longest}}}" if model.config.shape == "encoder" else "only BERT fills several masks at once, so let tokens = span count"
            raise PromptError(f"The longest label word has {longest} tokens ({max(zip(map(len, found), self.flat))[1]}), and the template has {masks} masks; {advice}.")
        known: dict[tuple[int, ...], str] = {}
        for word, ids in zip(self.flat, found):
            counted = tuple(ids[:1] if self.tokens == "first" else ids)
            if counted in known:
                raise PromptError(f"The label words {known[counted]!r} and {word!r} are the same tokens to this model; leave one of them{', or count more than the first token' if self.tokens == 'first' else ''}.")
            known[counted] = word
        device = model.token_embedding.weight.device
        self.register_buffer("ids", torch.tensor([ids + [0] * (longest - len(ids)) for ids in found], device=device), persistent=False)  # [W,L]
        self.register_buffer("real", torch.tensor([[1] * len(ids) + [0] * (longest - len(ids)) for ids in found], dtype=torch.bool, device=device), persistent=False)  # [W,L]
        self.owner = self.owner.to(device)
        return self

    def forward(self, hidden: Tensor, lm_logits: Callable[[Tensor], Tensor]) -> Tensor:
        return self.label_scores(self.word_scores(hidden, lm_logits))

    def word_scores(self, hidden: Tensor, lm_logits: Callable[[Tensor], Tensor]) -> Tensor:
        """log p of each word [B,W], less its prior where there is one."""
        masks = self.ids.size(1) if self.tokens == "product" else 1
        log_p = lm_logits(hidden[:, :masks]).float().log_softmax(-1)  # [B,M,V]
        scores = score_words(log_p, self.ids, self.real, self.tokens)
        return scores if self.prior is None else scores - self.prior

    def label_scores(self, word_scores: Tensor) -> Tensor:
        """[B,W] -> [B,C]."""
        return join_words(word_scores, self.owner, len(self.labels), self.words)

    def settings(self) -> dict[str, Any]:
        return {"label_words": self.label_words, "tokens": self.tokens, "words": self.words}


def score_words(log_p: Tensor, ids: Tensor, real: Tensor, tokens: str) -> Tensor:
    """log p of words of one or several tokens.

    Args:
        log_p: [B,M,V] at the masks; all but "product" look at the first alone.
        ids, real: [W,L] the tokens of the words, and which of them are no padding.
        tokens: one of TOKENS.
    Returns: [B,W].

    >>> log_p = torch.tensor([[[0.5, 0.3, 0.2], [0.1, 0.1, 0.8]]]).log()
    >>> score_words(log_p, torch.tensor([[1, 2]]), torch.tensor([[True, True]]), "product").exp().round(decimals=2)
    tensor([[0.2400]])
    """
    if tokens in ("strict", "first"):
        return log_p[:, 0, ids[:, 0]]
    if tokens == "product":
        each = log_p[:, torch.arange(ids.size(1), device=ids.device), ids]  # [B,W,L]: token j at mask j
        return each.masked_fill(~real, 0.0).sum(-1)
    each = log_p[:, 0, ids]  # [B,W,L]
    if tokens == "max":
        return each.masked_fill(~real, -torch.inf).amax(-1)
    return each.masked_fill(~real, 0.0).sum(-1) / real.sum(-1)


def join_words(scores: Tensor, owner: Tensor, labels: int, words: str) -> Tensor:
    """Word scores [B,W] to label scores [B,C]; owner [W] names the label of each word.

    >>> join_words(torch.tensor([[-1.0, -3.0, -4.0]]), torch.tensor([0, 0, 1]), 2, "mean")
    tensor([[-2., -4.]])
    """
    own = F.one_hot(owner, labels).bool().T  # [C,W]
    each = scores[:, None].masked_fill(~own, -torch.inf)  # [B,C,W]
    if words == "max":
        return each.amax(-1)
    if words == "sum":
        return each.logsumexp(-1)
    return each.masked_fill(~own, 0.0).sum(-1) / own.sum(-1)


def word_tokens(word: str, tokenizer: Any, spaced: bool) -> list[int]:
    """The tokens of a label word in the place of a mask, with the space that stands before it."""
    return tokenizer((" " if spaced else "") + word, add_special_tokens=False, verbose=False)["input_ids"]


def check_words(label_words: Mapping[str, Sequence[str]]) -> LabelWords:
    """Clean lists of words.  Raises: PromptError for a label without words, or a word that stands twice.

    >>> check_words({"bad": ["awful ", "awful"]})
    Traceback (most recent call last):
        ...
    minidelta.errors.PromptError: The label word 'awful' stands twice, for 'bad' and for 'bad'; a word can stand for one label only.
    """
    found: LabelWords = {}
    owner: dict[str, str] = {}
    for label, words in label_words.items():
        words = [words] if isinstance(words, str) else words
        found[label] = [word.strip() for word in words if word.strip()]
        if not found[label]:
            raise PromptError(f"The label {label!r} has no label word; give it at least one.")
        for word in found[label]:
            if word.lower() in owner:
                raise PromptError(f"The label word {word!r} stands twice, for {owner[word.lower()]!r} and for {label!r}; a word can stand for one label only.")
            owner[word.lower()] = label
    if len(found) < 2:
        raise PromptError(f"A verbalizer needs at least two labels, and got {len(found)}.")
    return found


def words_from_names(labels: Sequence[str]) -> LabelWords:
    """The names of the labels as their words, signs turned into spaces.

    >>> words_from_names(["born_in", "per:parents", "1"])
    {'born_in': ['born in'], 'per:parents': ['per parents'], '1': ['1']}
    """
    clean = {label: "".join(c if c.isalnum() or c in "'+-" else " " for c in label) for label in labels}
    return check_words({label: [" ".join(name.split()) or label] for label, name in clean.items()})


def read_label_words(source: str, labels: Sequence[str]) -> LabelWords:
    """Label words from the command line or a file.

    Args:
        source: "negative=bad,awful;positive=good,great", or a .json file {"negative": ["bad", ...], ...}, or a text
            file with one label a line: "negative: bad, awful".
        labels: the labels of the task; each must be there, and no other.
    Raises: PromptError for a label that is missing or unknown, or a file that cannot be read.

    >>> read_label_words("no = bad, dull ; yes = good", ("no", "yes"))
    {'no': ['bad', 'dull'], 'yes': ['good']}
    """
    path, given = Path(source), {}
    if path.suffix.lower() in (".json", ".txt") or ("=" not in source and _is_file(path)):
        given = _file_words(path)
    else:
        for entry in source.split(";"):
            if entry.strip():
                label, sign, words = entry.partition("=")
                if not sign:
                    raise PromptError(f"The label words {source!r} cannot be read at {entry.strip()!r}; write label=word,word;label=word, or name a .json file.")
                _give(given, label, words)
    return in_order(given, labels)


def _give(given: dict[str, Sequence[str]], label: str, words: str) -> None:
    if label.strip() in given:
        raise PromptError(f"The label {label.strip()!r} is given words twice; write all of them at one place, between commas.")
    given[label.strip()] = words.split(",")


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """An object of JSON, which would let the last of two equal labels win without a word."""
    twice = next((label for place, (label, _) in enumerate(pairs) if label in [other for other, _ in pairs[:place]]), None)
    if twice is not None:
        raise PromptError(f"The label {twice!r} is given words twice; write all of them at one place, in one list.")
    return dict(pairs)


def in_order(given: Mapping[str, Sequence[str]], labels: Sequence[str]) -> LabelWords:
    """Label words in the order of the task's labels.  Raises: PromptError if one is missing or unknown."""
    unknown = next((label for label in given if label not in labels), None)
    if unknown is not None:
        raise PromptError(f"The task has no label {unknown!r} to give words to. {near_misses(unknown, labels)}")
    missing = [label for label in labels if label not in given]
    if missing:
        raise PromptError(f"No label words were given for {', '.join(map(repr, missing))}; every label needs at least one.")
    return check_words({label: given[label] for label in labels})


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except OSError:
        return False


def _file_words(path: Path) -> dict[str, Sequence[str]]:
    try:
        text = path.read_text(encoding="utf-8-sig")
        if path.suffix.lower() == ".json":
            given = json.loads(text, object_pairs_hook=_once)
            if not isinstance(given, dict) or not all(isinstance(words, (str, list)) and all(isinstance(word, str) for word in words) for words in given.values()):
                raise PromptError(f'{path}: label words are one JSON object, such as {{"negative": ["bad"], "positive": ["good"]}}.')
            return given
    except OSError as problem:
        raise PromptError(f"{path}: the label words cannot be read ({problem.strerror}).") from None
    except ValueError as problem:
        raise PromptError(f"{path}: the label words cannot be read ({problem}).") from None
    given: dict[str, Sequence[str]] = {}
    for line in text.splitlines():
        if line.strip() and not line.startswith("#"):
            label, _, words = line.partition(":")
            _give(given, label, words)
    return given
