"""Sequence tagging: one tag for every word, p(y_t) = softmax(W h_t + b) (Devlin et al. 2019, section 5.3).

The tokenizer cuts words into pieces, and a word is tagged once: BERT at its first piece, as in the paper; GPT at its
last, because only there it has read the whole word.  The other pieces count neither in the loss nor in the answer.
"""

from collections.abc import Sequence
from typing import Any

import torch.nn.functional as F
from torch import Tensor

from minidelta.data import Example
from minidelta.errors import DataError
from minidelta.finetune.learner import IGNORED, Batch, Head, Item, Learner


class Tagger(Learner):
    """A linear head on every word; settings as of `Learner`."""

    def __init__(self, *args: Any, **settings: Any) -> None:
        super().__init__(*args, **settings)
        self.head = Head(self.model.config.d_model, len(self.task.labels), self.seed).to(self.model.device)

    def encode(self, examples: Sequence[Example]) -> list[Item]:
        pieces = iter(self.tokens([word for example in examples for word in example.meta["tokens"]]))
        return [self._align(example, [next(pieces) for _ in example.meta["tokens"]]) for example in examples]

    def _align(self, example: Example, pieces: list[list[int]]) -> Item:
        """The words' pieces in a row, and for each word the position that speaks for it (None where it was cut off)."""
        words, tags = example.meta["tokens"], example.meta.get("tags")
        if tags is not None and (len(tags) != len(words) or not set(tags) <= set(self.task.labels)):
            raise DataError(f"{example.source}: {len(tags)} tags for {len(words)} words, or a tag that is none of {', '.join(self.task.labels)}.")
        item = self.wrap([piece for word in pieces for piece in word])
        places, labels, position = [], [IGNORED] * len(item["ids"]), item["start"]
        for number, word in enumerate(pieces):
            place = position if self.shape == "encoder" else position + len(word) - 1
            position += len(word)
            read = len(word) > 0 and position <= item["start"] + item["cut"][0]
            places.append(place if read else None)
            if read and tags is not None:
                labels[place] = self.task.labels.index(tags[number])
        return item | {"places": places, "labels": labels}

    def pad(self, items: Sequence[Item]) -> Batch:
        return super().pad(items) | {"labels": self.rows([item["labels"] for item in items], IGNORED)}  # [B,T]

    def scores(self, batch: Batch) -> Tensor:
        """Scores of the tags at every piece [B,T,C]."""
        return self.head(self.hidden(batch))

    def loss(self, batch: Batch) -> Tensor:
        return F.cross_entropy(self.scores(batch).flatten(0, 1), batch["labels"].flatten(), ignore_index=IGNORED)

    def answers(self, batch: Batch) -> list[list[str]]:
        best = self.scores(batch).argmax(-1).tolist()  # [B,T]
        names, outside = self.task.labels, "O" if "O" in self.task.labels else self.task.labels[0]
        return [[outside if place is None else names[row[place]] for place in item["places"]] for row, item in zip(best, batch["items"])]
