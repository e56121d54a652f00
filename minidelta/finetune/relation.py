"""Relation extraction with BERT: which relation holds between two marked entities of a sentence?

Baldini Soares et al. 2019 ("Matching the Blanks"), section 3, compare six ways to represent the pair.  This is
the one that came out best, variant (f), entity markers with entity start:

    [CLS] [E1] Ada [/E1] works for [E2] Harp Ltd [/E2] . [SEP]        p(y) = softmax(W [h_[E1] ; h_[E2]] + b)
"""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from minidelta.data import Example
from minidelta.errors import TaskError
from minidelta.finetune.classify import Classifier
from minidelta.finetune.learner import Batch, Head, Item

MARKERS = ("[E1]", "[/E1]", "[E2]", "[/E2]")
UNUSED = ("[unused1]", "[unused2]", "[unused3]", "[unused4]")  # free places in the vocabulary of the published BERT


class RelationClassifier(Classifier):
    """A linear head on the two entity starts; settings as of `Learner`.

    Raises: TaskError if the tokenizer knows no entity markers.
    """

    def __init__(self, *args: Any, **settings: Any) -> None:
        super().__init__(*args, **settings)
        self.head = Head(2 * self.model.config.d_model, len(self.task.labels), self.seed).to(self.model.device)
        vocabulary = self.tokenizer.get_vocab()
        marks = next((marks for marks in (MARKERS, UNUSED) if all(mark in vocabulary for mark in marks)), None)
        if marks is None:
            raise TaskError(f"This tokenizer has neither the entity markers {' '.join(MARKERS)} nor free places {' '.join(UNUSED)}. Take an embedded BERT such as bert-micro, or a published one with [unused] tokens.")
        self.marks = [vocabulary[mark] for mark in marks]

    def encode(self, examples: Sequence[Example]) -> list[Item]:
        pieces = iter(self.tokens([piece for example in examples for piece in _cut(example)]))
        return [self._mark(example, [next(pieces) for _ in range(5)]) for example in examples]

    def _mark(self, example: Example, pieces: list[list[int]]) -> Item:
        """Put the markers around the entities; where it is too long, text outside the entities goes, the end first."""
        e1, end_e1, e2, end_e2 = self.marks
        order = [(e1, end_e1), (e2, end_e2)] if example.meta["head"][0] <= example.meta["tail"][0] else [(e2, end_e2), (e1, end_e1)]
        outside = 2 + 4 + len(pieces[1]) + len(pieces[3])  # [CLS], [SEP], markers and names stay
        room = max(0, self.max_length - outside)
        self.truncated += sum(map(len, pieces[::2])) > room
        for gap in (4, 0, 2):  # behind, before, between
            others = sum(len(pieces[other]) for other in (0, 2, 4) if other != gap)
            keep = max(0, room - others)
            pieces[gap] = pieces[gap][max(0, len(pieces[gap]) - keep) :] if gap == 0 else pieces[gap][:keep]
        (a, end_a), (b, end_b) = order
        before, one, between, two, behind = pieces
        ids = [self.tokenizer.cls_token_id, *before, a, *one, end_a, *between, b, *two, end_b, *behind, self.tokenizer.sep_token_id]
        starts = {a: 1 + len(before), b: 1 + len(before) + 2 + len(one) + len(between)}
        return {"ids": ids, "types": [0] * len(ids), "size": len(ids), "starts": [starts[e1], starts[e2]], "label": self.label_number(example)}

    def pad(self, items: Sequence[Item]) -> Batch:
        return super().pad(items) | {"starts": self.rows([item["starts"] for item in items], 0)}  # [B,2]

    def summary(self, hidden: Tensor, batch: Batch) -> Tensor:
        """[B,T,D] -> [h_[E1] ; h_[E2]], [B,2D]."""
        rows = torch.arange(len(hidden), device=hidden.device)[:, None]
        return hidden[rows, batch["starts"]].flatten(1)  # [B,2,D] -> [B,2D]


def _cut(example: Example) -> list[str]:
    """The text in five pieces: before, the first entity, between, the second, behind."""
    (a, b), (c, d) = sorted((tuple(example.meta["head"]), tuple(example.meta["tail"])))
    if b > c:
        raise TaskError(f"{example.meta.get('source', 'an example')}: the two entities of {example.text!r} overlap; mark two separate ones.")
    return [example.text[:a], example.text[a:b], example.text[b:c], example.text[c:d], example.text[d:]]
