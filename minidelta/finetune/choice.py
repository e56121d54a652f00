"""Multiple choice: one branch per choice, and a softmax over the branches (Radford et al. 2018, figure 1).

Every choice is read with the same passage and question, one vector v scores what the model makes of it, and
p(choice i) = softmax_i(v . h^(i)).  BERT does the same with [CLS] (Devlin et al. 2019, section 4.4).
"""

from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from minidelta.data import Example
from minidelta.finetune.learner import IGNORED, Batch, Head, Item, Learner


class Chooser(Learner):
    """A single score for each branch; settings as of `Learner`."""

    def __init__(self, *args: Any, **settings: Any) -> None:
        super().__init__(*args, **settings)
        self.head = Head(self.model.config.d_model, 1, self.seed).to(self.model.device)

    def encode(self, examples: Sequence[Example]) -> list[Item]:
        """An item holds one wrapped input per choice: (passage, question and choice), or (question, choice)."""
        first = self.tokens([example.text or example.text_b for example in examples])
        second = iter(self.tokens([f"{example.text_b or ''} {choice}" if example.text else choice for example in examples for choice in example.meta["choices"]]))
        return [self._branch(example, words, [next(second) for _ in example.meta["choices"]]) for example, words in zip(examples, first)]

    def _branch(self, example: Example, first: list[int], second: list[list[int]]) -> Item:
        before = self.truncated
        branches = [self.wrap(first, choice) for choice in second]
        self.truncated = min(self.truncated, before + 1)  # an example is counted once
        return {"branches": branches, "size": max(branch["size"] for branch in branches), "label": IGNORED if example.label is None else int(example.label)}

    def pad(self, items: Sequence[Item]) -> Batch:
        branches = [branch for item in items for branch in item["branches"]]
        counts = [len(item["branches"]) for item in items]
        batch = self.pad_rows([branch["ids"] for branch in branches], [branch["types"] for branch in branches])
        where = [[row, column] for row, count in enumerate(counts) for column in range(count)]
        return batch | {"where": self.rows(where, 0), "table": (len(items), max(counts)), "labels": self.rows([[item["label"]] for item in items], 0)[:, 0], "items": items}

    def scores(self, batch: Batch) -> Tensor:
        """Scores of the choices [B, most choices]; -inf where an example has fewer."""
        each = self.head(self.summary(self.hidden(batch), batch))[:, 0]  # [branches]
        rows, columns = batch["where"].unbind(-1)
        return torch.full(batch["table"], -torch.inf, dtype=each.dtype, device=each.device).index_put((rows, columns), each)

    def loss(self, batch: Batch) -> Tensor:
        return F.cross_entropy(self.scores(batch), batch["labels"], ignore_index=IGNORED)

    def answers(self, batch: Batch) -> list[int]:
        return self.scores(batch).argmax(-1).tolist()
