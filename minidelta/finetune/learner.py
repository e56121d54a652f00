"""What the learners of fine-tuning share: a new head, and one or two texts framed as each family was pre-trained."""

from functools import cached_property

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from minidelta import learner
from minidelta.learner import IGNORED, Batch, Item

__all__ = ["IGNORED", "Batch", "Head", "Item", "Learner"]


class Head(nn.Module):
    """A new linear layer on hidden states: [..., D] -> [..., C], after dropout.

    Args:
        d_model: width of what it reads.
        outputs: C.
        seed: of its weights, which start with standard deviation 0.02 as BERT's do; the bias starts at zero.
        dropout: share of the inputs dropped in training.
    """

    def __init__(self, d_model: int, outputs: int, seed: int = 0, dropout: float = 0.1) -> None:
        super().__init__()
        noise = torch.randn(outputs, d_model, generator=torch.Generator().manual_seed(seed))
        self.weight = nn.Parameter(0.02 * noise)  # [C,D]
        self.bias = nn.Parameter(torch.zeros(outputs))
        self.dropout = nn.Dropout(dropout)

    def forward(self, hidden: Tensor) -> Tensor:
        return F.linear(self.dropout(hidden.to(self.weight.dtype)), self.weight, self.bias)


class Learner(learner.Learner):
    """A learner that wraps texts in the model's own frame and may sum them up in one vector; arguments as of its base."""

    def summary(self, hidden: Tensor, batch: Batch) -> Tensor:
        """One vector for a text [B,T,D] -> [B,D]: BERT's (pooled) [CLS], GPT's last real token, which has read it all."""
        if self.shape == "encoder":
            return self.model.pool(hidden) if self.model.config.pooler else hidden[:, 0]
        return hidden[torch.arange(len(hidden), device=hidden.device), batch["lengths"] - 1]

    @cached_property
    def frame(self) -> tuple[list[int], list[int], list[int]]:
        """What stands before, between and behind texts."""
        if self.shape == "encoder":
            return [self.tokenizer.cls_token_id], [self.tokenizer.sep_token_id], [self.tokenizer.sep_token_id]
        return [], self.tokens(["$"])[0], [self.tokenizer.eos_token_id]

    def wrap(self, a: list[int], b: list[int] | None = None) -> Item:
        """One or two texts as the model's input; where they are too long, the end of the longer one goes.

        BERT: [CLS] a [SEP] b [SEP] with token types 0 and 1 (Devlin et al. 2019, figure 2);
        GPT: a $ b <end>, the delimiter and the extract token of Radford et al. 2018, figure 1.
        """
        first, middle, last = self.frame
        if b is None:
            (a,) = self.shorten([a], self.max_length - len(first) - len(last))
            ids, second = first + a + last, 0
        else:
            a, b = self.shorten([a, b], self.max_length - len(first) - len(middle) - len(last))
            ids, second = first + a + middle + b + last, len(b) + len(last)
        return {"ids": ids, "types": [0] * (len(ids) - second) + [1] * second, "size": len(ids), "start": len(first), "cut": (len(a), b and len(b))}

    def language_loss(self, hidden: Tensor, batch: Batch) -> Tensor:
        """Mean next-token loss over the real tokens: GPT's auxiliary objective (Radford et al. 2018, equation 5)."""
        ids, mask = batch["inputs"]["input_ids"], batch["inputs"].get("attention_mask")
        targets = ids[:, 1:] if mask is None else ids[:, 1:].masked_fill(mask[:, 1:] == 0, IGNORED)
        return F.cross_entropy(self.model.lm_logits(hidden[:, :-1]).flatten(0, 1), targets.flatten(), ignore_index=IGNORED)
