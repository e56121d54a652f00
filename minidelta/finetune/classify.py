"""Text classification: one label for a text, or for a pair of texts.

    BERT   p(y) = softmax(W h_[CLS] + b)                     Devlin et al. 2019, section 4.1
    GPT    p(y) = softmax(W h_m + b), loss L2 + lambda L1    Radford et al. 2018, equations 3 to 5

h_m is the last real token, which alone has read everything; L1 is the language-model loss on the same text.
Of BERT's tokens the head can also read the mean, which needs fewer examples where pre-training has taught [CLS] little
about texts: the mean is there at once, and [CLS] must first be trained to gather it.
"""

from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from minidelta.data import Example
from minidelta.errors import ConfigError, near_misses
from minidelta.finetune.learner import IGNORED, Batch, Head, Item, Learner

REPRESENTATIONS = ("cls", "mean")  # of a text, for BERT


class Classifier(Learner):
    """A linear head on one vector for the whole input.

    Args:
        lm_weight: lambda, GPT's weight of the auxiliary language-model loss; the paper's 0.5.
        representation: of the text, for BERT: "cls", or "mean" of all real tokens.
        settings: as of `Learner`.
    Raises: ConfigError for an unknown representation.
    """

    def __init__(self, *args: Any, lm_weight: float = 0.5, representation: str = "cls", **settings: Any) -> None:
        super().__init__(*args, **settings)
        if representation not in REPRESENTATIONS:
            raise ConfigError(f"There is no representation of texts called {representation!r}. {near_misses(representation, REPRESENTATIONS)}")
        self.lm_weight, self.representation = lm_weight, representation
        self.head = Head(self.model.config.d_model, len(self.task.labels), self.seed).to(self.model.device)

    def texts(self, example: Example) -> tuple[str, str | None]:
        """The one or two texts to read; of a relation, the second names the two entities (GPT has no markers)."""
        if self.task.kind == "relation":
            names = (example.text[slice(*example.meta[end])] for end in ("head", "tail"))
            return example.text, " ; ".join(names)
        return example.text, example.text_b

    def encode(self, examples: Sequence[Example]) -> list[Item]:
        pairs = [self.texts(example) for example in examples]
        first, second = self.tokens([a for a, _ in pairs]), self.tokens([b or "" for _, b in pairs])
        return [self.wrap(a, b if pair[1] is not None else None) | {"label": self.label_number(example)} for a, b, pair, example in zip(first, second, pairs, examples)]

    def pad(self, items: Sequence[Item]) -> Batch:
        return super().pad(items) | {"labels": self.rows([[item["label"]] for item in items], IGNORED)[:, 0]}

    def summary(self, hidden: Tensor, batch: Batch) -> Tensor:
        """One vector for a text [B,T,D] -> [B,D]."""
        if self.representation == "cls":
            return super().summary(hidden, batch)
        real = torch.arange(hidden.size(1), device=hidden.device) < batch["lengths"][:, None]  # [B,T]
        return (hidden * real[..., None]).sum(1) / batch["lengths"][:, None]

    def scores(self, batch: Batch) -> Tensor:
        """Unnormalised scores of the classes [B,C]."""
        return self.head(self.summary(self.hidden(batch), batch))

    def loss(self, batch: Batch) -> Tensor:
        hidden = self.hidden(batch)  # [B,T,D]
        loss = F.cross_entropy(self.head(self.summary(hidden, batch)), batch["labels"], ignore_index=IGNORED)
        if self.shape == "decoder" and self.lm_weight and hidden.requires_grad:
            loss = loss + self.lm_weight * self.language_loss(hidden, batch)
        return loss

    def answers(self, batch: Batch) -> list[str]:
        return [self.task.labels[best] for best in self.scores(batch).argmax(-1).tolist()]

    def settings(self) -> dict[str, Any]:
        return super().settings() | ({"representation": self.representation} if self.shape == "encoder" else {})
