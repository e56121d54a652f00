"""Labels as vectors of their own: virtual label words (WARP; Hambardzumyan et al. 2021).

    p(y | x) = exp(v_y . f(x)) / sum_y' exp(v_y' . f(x))        v_y [D] trained, f(x) the output layer's view of [MASK]

f is all of the language model's head but its last product, so a v_y that equals the output embedding of a word gives that word's
logit: the vectors start so, as the mean of the label's words.  The paper trains v and soft tokens and freezes the model.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from minidelta.prompt.verbalizer import Verbalizer, check_words, word_tokens


class LabelVectors(Verbalizer):
    """One trained vector a label.

    Args:
        label_words: label -> words whose output embeddings it starts from.

    >>> from minidelta.hub import load_model, load_tokenizer
    >>> vectors = LabelVectors({"no": ["bad"], "yes": ["good"]}).bind(load_model("bert-nano"), load_tokenizer("bert-nano"), True, 1)
    >>> sum(p.numel() for p in vectors.parameters())  # 2 labels, width 64
    128
    """

    trains = True

    def __init__(self, label_words: Mapping[str, Sequence[str]]) -> None:
        super().__init__(list(label_words))
        self.label_words = check_words(label_words)

    @torch.no_grad()
    def bind(self, model: nn.Module, tokenizer: Any, spaced: bool, masks: int) -> "LabelVectors":
        table = model.token_embedding.weight if model.lm_head.weight is None else model.lm_head.weight  # [V,D]
        start = [torch.stack([table[torch.tensor(word_tokens(word, tokenizer, spaced))].mean(0) for word in words]).mean(0) for words in self.label_words.values()]
        self.weight = nn.Parameter(torch.stack(start).float())  # [C,D]
        object.__setattr__(self, "lm_head", model.lm_head)  # a neighbour, not a part: its parameters are the model's
        return self

    def forward(self, hidden: Tensor, lm_logits: Callable[[Tensor], Tensor]) -> Tensor:
        return head_features(self.lm_head, hidden[:, 0]).float() @ self.weight.T  # [B,D] [D,C]

    def settings(self) -> dict[str, Any]:
        return {"label_words": self.label_words, "tokens": "vectors"}


def head_features(lm_head: nn.Module, hidden: Tensor) -> Tensor:
    """What the output layer multiplies with the table of words: [..., D] -> [..., D]."""
    if lm_head.dense is not None:
        hidden = lm_head.norm(lm_head.activation(lm_head.dense(hidden)))
    return hidden if lm_head.scale is None else hidden * lm_head.scale
