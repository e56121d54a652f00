"""Relation extraction with BERT: which relation holds between two marked entities of a sentence?

    p(y) = softmax(W h_r + b)

What h_r, the representation of the pair, should be is the question of Baldini Soares et al. 2019 ("Matching the
Blanks"), section 3.1 and figure 3, which compare six:

                         the sentence                           h_r
    (a) cls              as it is                               h_[CLS]
    (b) mention-pooling  as it is                               [max h_i, i in e1 ; max h_i, i in e2]
    (c) mention-types    a vector of their own on e1 and e2     as (b)
    (d) markers-cls      [E1] e1 [/E1] ... [E2] e2 [/E2]        h_[CLS]
    (e) markers-pooling  as (d)                                 as (b)
    (f) entity-start     as (d)                                 [h_[E1] ; h_[E2]]

(a) cannot know which pair is meant, unless the sentence names one pair only.  (f) came out best there, and is the default.
"""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from minidelta.data import Example
from minidelta.errors import ConfigError, TaskError, near_misses
from minidelta.finetune.classify import Classifier
from minidelta.finetune.learner import Batch, Head, Item

REPRESENTATIONS = ("cls", "mention-pooling", "mention-types", "markers-cls", "markers-pooling", "entity-start")
MARKERS = ("[E1]", "[/E1]", "[E2]", "[/E2]")
UNUSED = ("[unused1]", "[unused2]", "[unused3]", "[unused4]")  # free places in the vocabulary of the published BERT


class MentionTypes(nn.Module):
    """Variant (c): one learned vector for all pieces of e1, one for all of e2, added to the token embeddings.

    It hangs at the site `embed_out`; whoever calls the model first sets `which`, [B,T,2]: 1 where a piece belongs to e1, to e2.
    """

    def __init__(self, d_model: int, seed: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(0.02 * torch.randn(2, d_model, generator=torch.Generator().manual_seed(seed)))
        self.which: Tensor | None = None

    def forward(self, x: Tensor, out: Tensor) -> Tensor:
        return out + self.which.to(out.dtype) @ self.weight  # [B,T,2] [2,D] -> [B,T,D]


class RelationClassifier(Classifier):
    """A linear head on what stands for the pair of entities.

    Args:
        representation: one of REPRESENTATIONS.
        settings: as of `Learner`.
    Raises: ConfigError for an unknown representation, TaskError if it needs entity markers and the tokenizer knows none.
    """

    def __init__(self, *args: Any, representation: str = "entity-start", **settings: Any) -> None:
        super().__init__(*args, **settings)
        if representation not in REPRESENTATIONS:
            raise ConfigError(f"There is no representation of entity pairs called {representation!r}. {near_misses(representation, REPRESENTATIONS)}")
        self.representation, d_model = representation, self.model.config.d_model
        self.marks = self._marks() if representation in ("markers-cls", "markers-pooling", "entity-start") else None
        self.head = Head(d_model * (1 if representation.endswith("cls") else 2), len(self.task.labels), self.seed).to(self.model.device)
        if representation == "mention-types":
            self.head.mentions = MentionTypes(d_model, self.seed).to(self.model.device)  # of the head: trained and saved with it
            self.model.sites()["embed_out"].parts["mentions"] = self.head.mentions

    def _marks(self) -> list[int]:
        vocabulary = self.tokenizer.get_vocab()
        marks = next((marks for marks in (MARKERS, UNUSED) if all(mark in vocabulary for mark in marks)), None)
        if marks is None:
            raise TaskError(f"This tokenizer has neither the entity markers {' '.join(MARKERS)} nor free places {' '.join(UNUSED)}. Take an embedded BERT such as bert-micro, a published one with [unused] tokens, or a representation without markers.")
        return [vocabulary[mark] for mark in marks]

    # -- the sentence --------------------------------------------------------------------------------

    def encode(self, examples: Sequence[Example]) -> list[Item]:
        """An item knows the positions [start, end) of its two entities, each with its markers where there are any."""
        pieces = iter(self.tokens([piece for example in examples for piece in _cut(example)]))
        return [self._place(example, [next(pieces) for _ in range(5)]) for example in examples]

    def _place(self, example: Example, pieces: list[list[int]]) -> Item:
        """Put the sentence together; where it is too long, text outside the entities goes, the end first."""
        head_first = example.meta["head"][0] <= example.meta["tail"][0]
        if self.marks:
            e1, end_e1, e2, end_e2 = self.marks
            (a, end_a), (b, end_b) = [(e1, end_e1), (e2, end_e2)] if head_first else [(e2, end_e2), (e1, end_e1)]
            pieces[1], pieces[3] = [a, *pieces[1], end_a], [b, *pieces[3], end_b]
        room = max(0, self.max_length - 2 - len(pieces[1]) - len(pieces[3]))  # [CLS], [SEP] and the entities stay
        self.truncated += sum(map(len, pieces[::2])) > room
        for gap in (4, 0, 2):  # behind, before, between
            others = sum(len(pieces[other]) for other in (0, 2, 4) if other != gap)
            keep = max(0, room - others)
            pieces[gap] = pieces[gap][max(0, len(pieces[gap]) - keep) :] if gap == 0 else pieces[gap][:keep]
        before, one, between, two, behind = pieces
        ids = [self.tokenizer.cls_token_id, *before, *one, *between, *two, *behind, self.tokenizer.sep_token_id]
        first, second = 1 + len(before), 1 + len(before) + len(one) + len(between)
        spans = [[first, first + len(one)], [second, second + len(two)]]
        return {"ids": ids, "types": [0] * len(ids), "size": len(ids), "spans": spans if head_first else spans[::-1], "label": self.label_number(example)}

    def pad(self, items: Sequence[Item]) -> Batch:
        batch = super().pad(items)
        position = torch.arange(batch["inputs"]["input_ids"].size(1), device=self.model.device)  # [T]
        spans = self.rows([item["spans"][0] + item["spans"][1] for item in items], 0).view(-1, 2, 2)  # [B,2,2]
        inside = (spans[:, :, :1] <= position) & (position < spans[:, :, 1:])  # [B,2,T]
        return batch | {"starts": spans[:, :, 0], "inside": inside.transpose(1, 2)}  # [B,2], [B,T,2]

    # -- what stands for the pair --------------------------------------------------------------------

    def hidden(self, batch: Batch) -> Tensor:
        if self.representation == "mention-types":
            self.head.mentions.which = batch["inside"]
        return super().hidden(batch)

    def summary(self, hidden: Tensor, batch: Batch) -> Tensor:
        """h_r: hidden [B,T,D] -> [B,D] or [B,2D]."""
        if self.representation.endswith("cls"):
            return hidden[:, 0]
        if self.representation == "entity-start":
            rows = torch.arange(len(hidden), device=hidden.device)[:, None]
            return hidden[rows, batch["starts"]].flatten(1)  # [B,2,D] -> [B,2D]
        outside = ~batch["inside"][..., None]  # [B,T,2,1]
        return hidden[:, :, None].masked_fill(outside, -torch.inf).amax(1).flatten(1)  # [B,T,2,D] -> [B,2D]

    def settings(self) -> dict[str, Any]:
        return super().settings() | {"representation": self.representation}


def _cut(example: Example) -> list[str]:
    """The text in five pieces: before, the first entity, between, the second, behind."""
    (a, b), (c, d) = sorted((tuple(example.meta["head"]), tuple(example.meta["tail"])))
    if b > c:
        raise TaskError(f"{example.source}: the two entities of {example.text!r} overlap; mark two separate ones.")
    return [example.text[:a], example.text[a:b], example.text[b:c], example.text[c:d], example.text[d:]]
