"""T5's objective: give back the missing spans; and text to text.

Raffel et al. 2020, section 3.1.4:  15 % of the tokens (here a quarter) are dropped in spans of 3 on average.  Each span leaves a sentinel
in the source; the target lists each sentinel followed by what it stands for, then a last sentinel:
    source  the <extra_id_0> is <extra_id_1> .        target  <extra_id_0> cheese <extra_id_1> good <extra_id_2>
Where documents are short, spans alone teach the decoder little: one token in seven is a target, and the encoder is hardly
asked.  So half of the rows want the whole text back, spans filled in (the "BERT-style" objective of section 3.3.1):
    source  the <extra_id_0> is <extra_id_1> .        target  the cheese is good .
Documents that have a text-to-text form (translation, questions, ...) are used in that form half of the time, as T5's
pre-training mixes in its tasks (section 3.5.3).
"""

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from minidelta.pretrain.rows import STRIPS, Strip, by_length, cut, pad, strip

IGNORED = -100


class SpanCorruption:
    """Rows and loss of T5's pre-training.

    Args:
        tokenizer: a t5 tokenizer with sentinels <extra_id_0>, <extra_id_1>, ...
        rate: share of the tokens to drop; the paper's is 15 %.
        span: mean length of a span, in tokens.
        pairs: share of the documents with a text-to-text form that are used in it.
        whole: share of the other rows whose target is the whole text.
        strips: in a batch, at most.
    """

    def __init__(self, tokenizer, rate: float = 0.25, span: float = 3.0, pairs: float = 0.5, whole: float = 0.5, strips: int = STRIPS) -> None:
        self.tokenizer, self.rate, self.span, self.pairs, self.whole, self.strips = tokenizer, rate, span, pairs, whole, strips
        self.pad, self.end = tokenizer.pad_token_id, tokenizer.eos_token_id
        vocabulary, self.sentinels = tokenizer.get_vocab(), []
        while f"<extra_id_{len(self.sentinels)}>" in vocabulary:
            self.sentinels.append(vocabulary[f"<extra_id_{len(self.sentinels)}>"])

    def batch(self, documents: list, rng: np.random.Generator, length: int | None = None) -> list[Strip]:
        """Strips with input_ids, attention_mask [B,S], decoder_input_ids, decoder_attention_mask and labels [B,T]; wanted [N], the places in B*T of real labels.

        Args:
            documents: what to read.
            rng: decides everything random.
            length: None gives one document a row, of 512 tokens at most; a number packs documents into rows of
                so many tokens before corruption.
        """
        as_pair = [length is None and document.pair is not None and rng.random() < self.pairs for document in documents]
        texts = [text for document, paired in zip(documents, as_pair) for text in (document.pair if paired else (document.text,))]
        ids, rows, limit = iter(cut(self.tokenizer, texts)), [], self.tokenizer.model_max_length - 1
        packed: list[int] = []
        for paired in as_pair:
            if paired:
                rows.append((next(ids)[:limit], next(ids)[:limit]))
            elif length is None:
                rows.append(self.corrupt(next(ids)[:limit], rng))
            else:
                packed += next(ids)
                if len(packed) >= length:
                    rows.append(self.corrupt(packed[:length], rng))
                    packed = []
        rows = [(source, target) for source, target in rows or [self.corrupt(packed, rng)] if source and target]
        return [self._strip(group) for group in by_length(rows, size=lambda row: len(row[0]), strips=self.strips)]

    def corrupt(self, ids: list[int], rng: np.random.Generator) -> tuple[list[int], list[int]]:
        """Drop spans.

        Args:    ids: the text's tokens.
        Returns: (source, target), both without </s>; an empty target if the text is too short to lose anything.
            The target is the spans, or in a share `whole` of the calls the text.
        """
        dropped = min(max(1, round(len(ids) * self.rate)), len(ids) - 1)
        if dropped < 1:
            return ids, []
        spans = min(max(1, round(dropped / self.span)), len(ids) - dropped, len(self.sentinels) - 1)
        drop, keep = _partition(dropped, spans, rng), _partition(len(ids) - dropped + 2, spans + 1, rng)
        keep[[0, -1]] -= 1  # a text may begin or end with a gap (the paper's code never begins, and always ends, with one)
        source, target, at = [], [], 0
        for sentinel, kept, lost in zip(self.sentinels, keep, drop):
            source += [*ids[at : at + kept], sentinel]
            target += [sentinel, *ids[at + kept : at + kept + lost]]
            at += kept + lost
        if rng.random() < self.whole:
            return source + ids[at:], ids
        return source + ids[at:], [*target, self.sentinels[spans]]

    def _strip(self, rows: list[tuple[list[int], list[int]]]) -> Strip:
        source = pad([[*row[0], self.end] for row in rows], self.pad)  # [B,S]
        target = pad([[*row[1], self.end] for row in rows], IGNORED)  # [B,T]
        start = np.full((len(rows), 1), self.pad)  # T5 starts its decoder with <pad>
        given = np.concatenate([start, np.where(target == IGNORED, self.pad, target)[:, :-1]], axis=1)  # [B,T]
        return strip(
            input_ids=source,
            attention_mask=(source != self.pad).astype(np.int64),
            decoder_input_ids=given,
            decoder_attention_mask=(target != IGNORED).astype(np.int64),
            labels=target,
            wanted=np.flatnonzero(target != IGNORED),
        )

    def loss(self, model, batch: list[Strip]) -> Tensor:
        """Mean over all target tokens of the batch."""
        total = torch.zeros((), device=model.device)
        for s in batch:  # padding stands last in a target, so the decoder's causal mask hides it already
            hidden = model.hidden(s["input_ids"], attention_mask=s["attention_mask"], decoder_input_ids=s["decoder_input_ids"])  # [B,T,D]
            logits = model.lm_logits(hidden.flatten(0, 1)[s["wanted"]])  # [N,V]
            total = total + F.cross_entropy(logits, s["labels"].flatten()[s["wanted"]], reduction="sum")
        return total / max(1, sum(len(s["wanted"]) for s in batch))  # of tensors' shapes: to count labels would make a GPU wait


def _partition(total: int, parts: int, rng: np.random.Generator) -> np.ndarray:
    """Cut `total` into so many whole numbers of at least 1, all ways equally likely."""
    cuts = np.sort(rng.choice(total - 1, parts - 1, replace=False)) + 1 if parts > 1 else []
    return np.diff(np.concatenate([[0], cuts, [total]]).astype(int))
