"""The memory of generation: keys and values of the tokens read so far, so that each is computed once."""

from copy import copy

import torch
from torch import Tensor

from minidelta.model.config import TransformerConfig


class KeyValues:
    """The keys and values of one attention, before they are split into heads: [B,S,H*K] each."""

    def __init__(self):
        self.k: Tensor | None = None
        self.v: Tensor | None = None

    def extend(self, k: Tensor, v: Tensor, fresh: int) -> tuple[Tensor, Tensor]:
        """Append the last `fresh` vectors and return all.  What a prefix put before them is kept the first time only."""
        if self.k is not None:
            k = torch.cat((self.k, k[:, -fresh:]), dim=1)
            v = torch.cat((self.v, v[:, -fresh:]), dim=1)
        self.k, self.v = k, v
        return k, v

    def select(self, rows: Tensor) -> None:
        """Keep the given rows of the batch, in that order; a row may come twice."""
        if self.k is not None:
            self.k, self.v = self.k[rows], self.v[rows]

    def repeated(self, rows: int) -> "KeyValues":
        """The same for `rows` rows, of a batch of one."""
        many = KeyValues()
        if self.k is not None:
            many.k, many.v = self.k.expand(rows, -1, -1), self.v.expand(rows, -1, -1)
        return many


class Cache:
    """The keys and values of a whole decoder, handed to `model.hidden(..., cache=cache)` with each new piece of text.

    Attributes:
        length: positions held, in vectors: tokens and the prompt before them.
        prompt: how many of these a part at `embed_out` put in front.
        own, source: one `KeyValues` per layer for self-attention and for cross-attention.
    """

    def __init__(self, config: TransformerConfig):
        self.length = 0
        self.prompt = 0
        self.own = [KeyValues() for _ in range(config.n_decoder_layers)]
        self.source = [KeyValues() for _ in range(config.n_decoder_layers)]

    def repeated(self, rows: int) -> "Cache":
        """A cache of one text as the past of `rows` texts that begin with it; this one stays as it is."""
        many = copy(self)
        many.own = [memory.repeated(rows) for memory in self.own]
        many.source = [memory.repeated(rows) for memory in self.source]
        return many
