"""GPT's objective: the next token.

Radford et al. 2018, equation 1:  loss = -mean log p(token i | tokens before i).
Documents are packed into rows, with <|endoftext|> after each.  Every row starts with a document, and half of the rows
with <|endoftext|> before it: so a prompt works with and without that token.  What does not fit a row is dropped.
"""

import numpy as np
import torch.nn.functional as F
from torch import Tensor

from minidelta.pretrain.rows import Strip, cut, strip

LENGTH = 128  # tokens of a row
PIECE = 512  # tokens whose scores [512,V] are computed at once: nearly halves the time of the softmax on a CPU


class CausalLM:
    """Rows and loss of GPT's pre-training.

    Args:
        tokenizer: a gpt tokenizer.
        length: tokens of a row, where a step asks for no other.
    """

    def __init__(self, tokenizer, length: int = LENGTH) -> None:
        self.tokenizer, self.end, self.length = tokenizer, tokenizer.eos_token_id, length

    def batch(self, documents: list, rng: np.random.Generator, length: int | None = None) -> list[Strip]:
        """One strip with input_ids, attention_mask and labels [B,T]; labels[:, i] is the token after input_ids[:, i].

        Args:
            documents: what to read.
            rng: decides which rows open with <|endoftext|>.
            length: tokens of a row; default as built.
        """
        length = length or self.length
        rows, row = [], []
        for ids in cut(self.tokenizer, [document.text for document in documents]):
            if not row and rng.random() < 0.5:
                row = [self.end]
            row += [*ids, self.end]
            if len(row) > length:
                rows.append(row[: length + 1])  # one more: the last one's label
                row = []
        block = np.array(rows or [row], dtype=np.int64)  # [B,T+1]
        inputs, labels = block[:, :-1], block[:, 1:]  # [B,T]
        return [strip(input_ids=inputs, attention_mask=np.ones_like(inputs), labels=labels)]

    def loss(self, model, batch: list[Strip]) -> Tensor:
        """Mean over all tokens; their scores are computed in pieces, small enough to stay near the processor."""
        (s,) = batch
        hidden, labels = model.hidden(s["input_ids"]).flatten(0, 1), s["labels"].flatten()  # [B*T,D], [B*T]
        pieces = zip(hidden.split(PIECE), labels.split(PIECE))
        return sum(F.cross_entropy(model.lm_logits(h), y, reduction="sum") for h, y in pieces) / len(labels)
