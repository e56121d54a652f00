"""BERT's two objectives: masked words, and whether two segments belong together.

Devlin et al. 2019, section 3.1, tasks 1 and 2:  loss = -mean log p(masked token | rest) - mean log p(is next | A, B).
Of the chosen tokens 80 % become [MASK], 10 % a random token, 10 % stay.  Differences from the paper: whole words are
chosen (the authors' later release does the same), a fifth of them instead of 15 % (small models learn faster so:
Wettig et al. 2023); a document that is not used as a pair is one segment, because most tasks read one; and in some
rows words stand between entity marks [E1] ... [/E1], [E2] ... [/E2], so that these have seen training as well.
"""

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from minidelta.pretrain.rows import Strip, by_length, cut, pad, strip

IGNORED = -100


class MaskedLM:
    """Rows and loss of BERT's pre-training.

    Args:
        tokenizer: a bert tokenizer (pieces that begin a word begin with "Ġ").
        rate: share of the words to predict.
        favour: how much more often words of four letters or more are chosen than shorter ones; 0 treats all alike (as
            the paper), 1 chooses them twice as often, which a short pre-training needs.  The share of chosen words stays about `rate`.
        pairs: share of the documents with two sentences or more that become a pair of segments A, B.
        marked: share of the rows in which two spans stand between entity marks.
    """

    def __init__(self, tokenizer, rate: float = 0.2, favour: float = 1.0, pairs: float = 0.5, marked: float = 0.1) -> None:
        self.tokenizer, self.rate, self.pairs, self.marked = tokenizer, rate, pairs, marked
        self.pad, self.cls, self.sep, self.mask = tokenizer.pad_token_id, tokenizer.cls_token_id, tokenizer.sep_token_id, tokenizer.mask_token_id
        self.marks = [tokenizer.convert_tokens_to_ids(mark) for mark in ("[E1]", "[/E1]", "[E2]", "[/E2]")]
        pieces = tokenizer.convert_ids_to_tokens(range(len(tokenizer)))
        self.special = np.isin(np.arange(len(pieces)), tokenizer.all_special_ids + self.marks)  # [V]
        self.starts = np.array([piece.startswith("Ġ") for piece in pieces]) | self.special  # [V] begins a word
        self.ordinary = np.flatnonzero(~self.special)  # what a random token is drawn from
        content = np.array([len(piece) > 4 for piece in pieces])  # "Ġ" and four letters
        self.weight = np.where(content, 1 + favour, 1.0)  # [V] of a word, by its first piece

    # ---- rows ------------------------------------------------------------------------------------------------
    def batch(self, documents: list, rng: np.random.Generator, length: int | None = None) -> list[Strip]:
        """Strips with input_ids, token_type_ids, attention_mask, labels [B,T] and is_next [B]; chosen [N] and paired [P], the places of real ones.

        Args:
            documents: what to read.
            rng: decides everything random.
            length: None gives one document (or pair) a row, of 512 tokens at most; a number packs
                documents, with [SEP] after each, into rows of exactly so many tokens.
        """
        sentences = iter(cut(self.tokenizer, [part for document in documents for part in document.parts]))
        split = [[next(sentences) for _ in document.parts] for document in documents]  # document -> sentence -> ids
        if length is None:
            groups = by_length(self._rows(documents, split, rng), size=lambda row: len(row[0]))
        else:
            groups = [self._packed(split, length)]
        return [self._strip(group, rng) for group in groups]

    def _rows(self, documents: list, split: list[list[list[int]]], rng: np.random.Generator) -> list[tuple[list[int], list[int], int]]:
        """One row a document: (ids, token types, is_next), is_next being 0 for yes, 1 for no (BERT's order), IGNORED without B."""
        others: dict[str, list[int]] = {}
        for i, document in enumerate(documents):
            if len(split[i]) > 1:
                others.setdefault(document.kind, []).append(i)
        rows, room = [], self.tokenizer.model_max_length - 3
        for i, (document, sentences) in enumerate(zip(documents, split)):
            if len(sentences) < 2 or rng.random() >= self.pairs:
                first, second, label = _join(sentences), [], IGNORED
            else:
                half = int(rng.integers(1, len(sentences)))
                first, second, label = _join(sentences[:half]), _join(sentences[half:]), 0
                siblings = others[document.kind]
                if rng.random() < 0.5 and len(siblings) > 1:  # B from another document of the same kind
                    other = siblings[(siblings.index(i) + int(rng.integers(1, len(siblings)))) % len(siblings)]
                    half = int(rng.integers(1, len(split[other])))
                    second, label = _join(split[other][half:]), 1
            if rng.random() < self.marked:
                first = self._mark(first, rng)
            first = first[: room - min(len(second), room // 2)]
            second = second[: room - len(first)]
            head, tail = [self.cls, *first, self.sep], [*second, self.sep] if second else []
            rows.append((head + tail, [0] * len(head) + [1] * len(tail), label))
        return rows

    def _packed(self, split: list[list[list[int]]], length: int) -> list[tuple[list[int], list[int], int]]:
        """Rows of exactly `length` tokens, filled with whole documents but for the last of each row."""
        rows, row = [], [self.cls]
        for sentences in split:
            row += [*_join(sentences), self.sep]
            if len(row) >= length:
                rows.append(([*row[: length - 1], self.sep], [0] * length, IGNORED))
                row = [self.cls]
        return rows or [(row[:length], [0] * min(length, len(row)), IGNORED)]

    def _mark(self, ids: list[int], rng: np.random.Generator) -> list[int]:
        """Put [E1] and [E2], in either order, around two spans of one to three words."""
        begins = [i for i, token in enumerate(ids) if self.starts[token]] + [len(ids)]
        if len(begins) < 5:
            return ids
        a, b = np.sort(rng.choice(len(begins) - 1, 2, replace=False))  # words where the spans begin
        ends = [min(a + int(rng.integers(1, 4)), b), min(b + int(rng.integers(1, 4)), len(begins) - 1)]
        (open_a, close_a), (open_b, close_b) = (self.marks[:2], self.marks[2:]) if rng.random() < 0.5 else (self.marks[2:], self.marks[:2])
        a, b, end_a, end_b = (begins[word] for word in (a, b, *ends))
        return [*ids[:a], open_a, *ids[a:end_a], close_a, *ids[end_a:b], open_b, *ids[b:end_b], close_b, *ids[end_b:]]

    # ---- masking ---------------------------------------------------------------------------------------------
    def _strip(self, rows: list[tuple[list[int], list[int], int]], rng: np.random.Generator) -> Strip:
        ids = pad([row[0] for row in rows], self.pad)  # [B,T]
        types = pad([row[1] for row in rows], 0)
        inputs, labels = self.hide(ids, rng)
        is_next = np.array([row[2] for row in rows])
        return strip(
            input_ids=inputs,
            token_type_ids=types,
            attention_mask=(ids != self.pad).astype(np.int64),
            labels=labels,
            is_next=is_next,
            chosen=np.flatnonzero(labels != IGNORED),  # found here, since to look for them on a GPU would make the next kernels wait
            paired=np.flatnonzero(is_next != IGNORED),
        )

    def hide(self, ids: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        """Choose words and hide them.

        Args:    ids: [B,T]; words are runs of pieces that begin where `starts` says; special tokens are never chosen.
        Returns: inputs [B,T] with the chosen words hidden; labels [B,T], the id where a token was chosen, else -100.
        """
        ordinary = ~self.special[ids]  # [B,T]
        word = np.cumsum(self.starts[ids].ravel()).reshape(ids.shape)  # [B,T] number of the word a piece belongs to
        begins = self.starts[ids] & ordinary
        weight = np.zeros(word.max() + 1)
        weight[word[begins]] = self.weight[ids[begins]]
        rate = self.rate * weight / max(weight[weight > 0].mean(), 1e-9) if begins.any() else weight
        hidden = rng.random(len(weight)) < rate  # by word
        hidden[rate.argmax()] |= not hidden.any()  # a tiny corpus: a batch in which nothing is hidden has no loss
        chosen = hidden[word] & ordinary  # [B,T]
        fate = rng.random(len(weight))[word]  # one fate a word: mask, random or keep
        inputs = np.where(chosen & (fate < 0.8), self.mask, ids)
        inputs = np.where(chosen & (fate >= 0.9), rng.choice(self.ordinary, ids.shape), inputs)
        return inputs, np.where(chosen, ids, IGNORED)

    # ---- loss ------------------------------------------------------------------------------------------------
    def loss(self, model, batch: list[Strip]) -> Tensor:
        """Mean over the chosen tokens of the batch, plus mean over its pairs; the softmax runs on chosen tokens only."""
        masked, next_sentence = self.losses(model, batch)
        return masked + next_sentence

    def losses(self, model, batch: list[Strip]) -> tuple[Tensor, Tensor]:
        """The two terms of the loss apart: masked language modelling, next-sentence prediction."""
        tokens, pairs = (sum(len(s[name]) for s in batch) for name in ("chosen", "paired"))
        masked = following = torch.zeros((), device=model.device)
        for s in batch:
            hidden = model.hidden(s["input_ids"], attention_mask=s["attention_mask"], token_type_ids=s["token_type_ids"])  # [B,T,D]
            logits = model.lm_logits(hidden.flatten(0, 1)[s["chosen"]])  # [N,V]
            masked = masked + F.cross_entropy(logits, s["labels"].flatten()[s["chosen"]], reduction="sum")
            if pairs:
                logits = model.next_sentence(model.pool(hidden[s["paired"]]))  # [P,2]
                following = following + F.cross_entropy(logits, s["is_next"][s["paired"]], reduction="sum")
        return masked / max(1, tokens), following / max(1, pairs)


def _join(sentences: list[list[int]]) -> list[int]:
    return [token for sentence in sentences for token in sentence]
