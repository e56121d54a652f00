"""Similarity with GPT: the two texts have no natural order, so the pair is read in both (Radford et al. 2018, figure 1).

    a $ b <end>  ->  h^(ab)        b $ a <end>  ->  h^(ba)        p(y) = softmax(W (h^(ab) + h^(ba)) + b)

BERT sees both texts from everywhere and has no need of it.
"""

from collections.abc import Sequence

from torch import Tensor

from minidelta.data import Example
from minidelta.finetune.classify import Classifier
from minidelta.finetune.learner import IGNORED, Batch, Item


class SimilarityClassifier(Classifier):
    """A linear head on the sum of the two readings; settings as of `Classifier`."""

    def encode(self, examples: Sequence[Example]) -> list[Item]:
        """An item holds the pair in both orders, cut alike where it is too long."""
        forward = super().encode(examples)
        counted = self.truncated  # an example counts once
        backward = super().encode([Example(example.text_b or "", example.text, example.label, example.meta) for example in examples])
        self.truncated = counted
        return [one | {"reversed": other["ids"]} for one, other in zip(forward, backward)]

    def pad(self, items: Sequence[Item]) -> Batch:
        """Rows 0 ... B-1 read a $ b, rows B ... 2B-1 the same pairs as b $ a."""
        rows = [item[order] for order in ("ids", "reversed") for item in items]
        return self.pad_rows(rows) | {"labels": self.rows([[item["label"]] for item in items], IGNORED)[:, 0], "items": items}

    def summary(self, hidden: Tensor, batch: Batch) -> Tensor:
        """h^(ab) + h^(ba): [2B,T,D] -> [B,D]."""
        return super().summary(hidden, batch).unflatten(0, (2, -1)).sum(0)
