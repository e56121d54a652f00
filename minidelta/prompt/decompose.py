"""A label as several words at several masks: what is shared between labels is learnt once.

    p(y | x) = prod_j p([MASK]_j = phi_j(y) | T(x))        phi_j(y): the word of label y at mask j

Han et al. 2021 (PTR), without its rules: see `rules.py` for where the words come from.  Each factor is a softmax over the words
that occur at mask j, as in the paper's code.  "born in" and "lives in" then share nothing at the first mask and all at the last.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from minidelta.errors import PromptError
from minidelta.prompt.verbalizer import Verbalizer, word_tokens


class DecomposedVerbalizer(Verbalizer):
    """One word a mask for each label; for models that fill several masks at once, which is BERT.

    Args:
        words: label -> its words, one for each mask of the template; two labels may share words, not all of them.
    Raises: PromptError for unequal numbers of words, two labels with the same words, or (at `bind`) a word of several tokens.

    >>> DecomposedVerbalizer({"born in": ["person", "born"], "lives in": ["person"]})
    Traceback (most recent call last):
        ...
    minidelta.errors.PromptError: The label 'lives in' has 1 words and 'born in' has 2; each label needs one word for each mask.
    """

    def __init__(self, words: Mapping[str, Sequence[str]]) -> None:
        super().__init__(list(words))
        self.words = {label: list(own) for label, own in words.items()}
        first = next(iter(self.words))
        seen: dict[tuple[str, ...], str] = {}
        for label, own in self.words.items():
            if len(own) != len(self.words[first]):
                raise PromptError(f"The label {label!r} has {len(own)} words and {first!r} has {len(self.words[first])}; each label needs one word for each mask.")
            if tuple(own) in seen:
                raise PromptError(f"The labels {seen[tuple(own)]!r} and {label!r} have the same words {' + '.join(own)!r}; they could never be told apart.")
            seen[tuple(own)] = label

    def bind(self, model: nn.Module, tokenizer: Any, spaced: bool, masks: int) -> "DecomposedVerbalizer":
        count = len(self.words[self.labels[0]])
        if masks != count:
            raise PromptError(f"The labels have {count} words each, and the model fills {masks} mask{'s' * (masks != 1)} of this template at once; a BERT with one {{mask}} a word is needed.")
        device = model.token_embedding.weight.device
        self.choices: list[Tensor] = []  # for each mask the tokens that may stand there [N_j]
        self.places: list[Tensor] = []  # for each mask the place among them of each label's word [C]
        for j in range(count):
            options = list(dict.fromkeys(own[j] for own in self.words.values()))
            found = [word_tokens(word, tokenizer, True) for word in options]
            if long := [word for word, ids in zip(options, found) if len(ids) != 1]:
                raise PromptError(f"The words {', '.join(map(repr, long))} at mask {j + 1} are several tokens each, and a mask reads one; choose other words.")
            self.choices.append(torch.tensor([ids[0] for ids in found], device=device))
            self.places.append(torch.tensor([options.index(own[j]) for own in self.words.values()], device=device))
        return self

    def factors(self, hidden: Tensor, lm_logits: Callable[[Tensor], Tensor]) -> list[Tensor]:
        """For each mask log p of the words that may stand there, each [B,N_j]."""
        logits = lm_logits(hidden).float()  # [B,M,V]
        return [logits[:, j, choices].log_softmax(-1) for j, choices in enumerate(self.choices)]

    def forward(self, hidden: Tensor, lm_logits: Callable[[Tensor], Tensor]) -> Tensor:
        return combine(self.factors(hidden, lm_logits), self.places)

    def settings(self) -> dict[str, Any]:
        return {"decomposed": self.words}


def combine(factors: Sequence[Tensor], places: Sequence[Tensor]) -> Tensor:
    """Sum over the masks of the factor that each label needs there: [B,N_j] for each mask, [C] for each mask -> [B,C].

    >>> combine([torch.tensor([[-1.0, -2.0]]), torch.tensor([[-3.0, -4.0]])], [torch.tensor([0, 1, 1]), torch.tensor([0, 0, 1])])
    tensor([[-4., -5., -6.]])
    """
    return torch.stack([factor[:, place] for factor, place in zip(factors, places)]).sum(0)
