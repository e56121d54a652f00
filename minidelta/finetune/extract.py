"""Extractive question answering: the answer is a stretch of the passage (Devlin et al. 2019, section 4.2).

A start vector S and an end vector E score every piece of the passage; the answer is the pair i <= j with the largest
S h_i + E h_j.  The loss is the mean of the two cross-entropies.  An answer that was cut off points to [CLS].
"""

from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from minidelta.data import Example
from minidelta.finetune.learner import Batch, Head, Item, Learner

LONGEST = 30  # pieces of an answer


class Extractor(Learner):
    """Two linear scores, start and end, on every piece of the passage; settings as of `Learner`."""

    def __init__(self, *args: Any, **settings: Any) -> None:
        super().__init__(*args, **settings)
        self.head = Head(self.model.config.d_model, 2, self.seed).to(self.model.device)

    def encode(self, examples: Sequence[Example]) -> list[Item]:
        """[CLS] question [SEP] passage [SEP]; the passage is the part that may be cut."""
        if not examples:
            return []
        passages = self.tokenizer([example.text for example in examples], add_special_tokens=False, return_offsets_mapping=True, verbose=False)
        questions = self.tokens([example.text_b or "" for example in examples])
        return [self._place(*both) for both in zip(examples, questions, passages["input_ids"], passages["offset_mapping"])]

    def _place(self, example: Example, question: list[int], passage: list[int], offsets: list[tuple[int, int]]) -> Item:
        """One item, with the positions of the passage's pieces and of the answer's first and last piece."""
        item = self.wrap(question, passage)
        start, length = item["start"] + item["cut"][0] + 1, item["cut"][1]
        ends = [0, 0]  # [CLS]
        if example.meta.get("answer") and example.meta.get("start") is not None:
            first, last = example.meta["start"], example.meta["start"] + len(example.meta["answer"])
            inside = [i for i, (a, b) in enumerate(offsets) if a < last and b > first]
            if inside and inside[-1] < length:
                ends = [start + inside[0], start + inside[-1]]
        return item | {"passage": start, "offsets": offsets[:length], "ends": ends, "text": example.text}

    def pad(self, items: Sequence[Item]) -> Batch:
        batch = super().pad(items)
        allowed = [[1] + [0] * (item["passage"] - 1) + [1] * len(item["offsets"]) + [0] for item in items]
        return batch | {"ends": self.rows([item["ends"] for item in items], 0), "allowed": self.rows(allowed, 0).bool()}  # [B,2], [B,T]

    def scores(self, batch: Batch) -> Tensor:
        """Scores of start and end at every piece [B,T,2]; -1e9 outside the passage and [CLS]."""
        return self.head(self.hidden(batch)).masked_fill(~batch["allowed"][..., None], -1e9)

    def loss(self, batch: Batch) -> Tensor:
        return F.cross_entropy(self.scores(batch), batch["ends"])  # a softmax over T, for start and end alike

    def answers(self, batch: Batch) -> list[str]:
        start, end = self.scores(batch)[:, 1:].unbind(-1)  # [B,T-1] each: an answer is in the passage, never [CLS]
        pairs = start[:, :, None] + end[:, None, :]  # [B,T-1,T-1]: i, j
        forward = torch.ones_like(pairs[0], dtype=torch.bool).triu().tril(LONGEST - 1)  # i <= j < i + LONGEST
        best = pairs.masked_fill(~forward, -torch.inf).flatten(1).argmax(-1).tolist()
        return [self._read(item, *(1 + place for place in divmod(number, pairs.size(1)))) for item, number in zip(batch["items"], best)]

    def _read(self, item: Item, first: int, last: int) -> str:
        """The stretch of the original text between two positions."""
        offsets = item["offsets"][first - item["passage"] : last - item["passage"] + 1]
        return item["text"][offsets[0][0] : offsets[-1][1]].strip() if offsets else ""
