"""A stack: embeddings, blocks, final norm.  BERT and GPT-2 are one stack, T5 is two."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from minidelta.errors import ConfigError
from minidelta.model.attention import HIDDEN, visible_keys
from minidelta.model.block import Block
from minidelta.model.cache import Cache
from minidelta.model.config import TransformerConfig
from minidelta.model.layers import RelativePositions, make_norm
from minidelta.model.site import Site


class Stack(nn.Module):
    """Token vectors in, hidden states out.

    The sites `embed_out` and `final` both get the token ids as x.  A part at `embed_out` may put P vectors in
    front of the embeddings (prompt tuning): mask, positions and token types grow with them, and with a cache
    they enter once.  A part at `final` that wants them gone again keeps the last `x.size(1)` states.
    """

    def __init__(self, config: TransformerConfig, n_layers: int, causal: bool, cross: bool = False):
        super().__init__()
        self.embed_out = Site()
        learned = config.positions == "learned"
        self.position_embedding = nn.Embedding(config.max_positions, config.d_model) if learned else None
        self.relative_bias = None if learned else RelativePositions(config, bidirectional=not causal)
        self.token_type_embedding = nn.Embedding(config.token_types, config.d_model) if config.token_types else None
        self.embedding_norm = make_norm(config) if config.embedding_norm else None
        self.dropout = nn.Dropout(config.dropout)
        self.layers = nn.ModuleList(Block(config, cross) for _ in range(n_layers))
        self.final_norm = make_norm(config) if config.final_norm else None
        self.final = Site()
        self.causal = causal
        self.ahead = 0  # positions that a prefix in every attention has taken, in vectors; the text begins behind them

    def run(
        self,
        input_ids: Tensor,
        vectors: Tensor,
        attention_mask: Tensor | None = None,
        token_type_ids: Tensor | None = None,
        position_ids: Tensor | None = None,
        cache: Cache | None = None,
        source: Tensor | None = None,
        source_mask: Tensor | None = None,
    ) -> Tensor:
        """Read `input_ids` [B,T] with their embeddings `vectors` [B,T,D]; returns the last hidden states [B,T,D].

        With a cache, `attention_mask` covers the tokens in the cache as well: [B, cached + T].
        `source` [B,S,D] and `source_mask` (booleans, as from `visible_keys`) are the encoder's, for a decoder.
        """
        start = cache.length if cache else 0
        x = self.embed_out(input_ids, vectors)[:, -vectors.size(1) if start else 0 :]  # [B,P+T,D]; a prompt enters once
        prompt = cache.prompt if start else x.size(1) - vectors.size(1)  # P
        end = start + x.size(1)
        x = self.place(x, start, prompt, position_ids, token_type_ids)
        mask, square = self.mask(grow(attention_mask, prompt, 1), x.size(1), end, x.device)
        if cache:
            cache.length, cache.prompt = end, prompt
        for i, block in enumerate(self.layers):
            own, other = (cache.own[i], cache.source[i]) if cache else (None, None)
            x = block(x, mask, square, own, source, source_mask, other)
        if self.final_norm is not None:
            x = self.final_norm(x)
        return self.final(input_ids, x)

    def place(self, x: Tensor, start: int, prompt: int, position_ids: Tensor | None, token_type_ids: Tensor | None) -> Tensor:
        """Add positions and token types to the token vectors."""
        if self.position_embedding is not None:
            x = x + self.position_embedding(self.positions(x, start, prompt, position_ids))
        if self.token_type_embedding is not None:
            first = self.token_type_embedding.weight[0]
            x = x + (first if token_type_ids is None else self.token_type_embedding(grow(token_type_ids, 0 if start else prompt, 0)))
        if self.embedding_norm is not None:
            x = self.embedding_norm(x)
        return self.dropout(x)

    def positions(self, x: Tensor, start: int, prompt: int, position_ids: Tensor | None) -> Tensor:
        """Position numbers [T] or [B,T]: as they come, or as given and moved behind the prompt."""
        first, end, longest = start + self.ahead, start + self.ahead + x.size(1), self.position_embedding.num_embeddings
        if end > longest:
            taken = prompt + self.ahead
            ours = f" ({taken} of them are a prompt)" if taken else ""
            raise ConfigError(f"the sequence is {end} tokens long{ours}, and the model has {longest} positions; cut the text to {longest - taken} tokens.")
        if position_ids is None:
            return torch.arange(first, end, device=x.device)
        before = torch.arange(self.ahead, self.ahead + (0 if start else prompt), device=x.device).expand(len(position_ids), -1)
        return torch.cat((before, position_ids + self.ahead + prompt), dim=1)

    def mask(self, padding: Tensor | None, q_len: int, k_len: int, device: torch.device) -> tuple[Tensor | None, bool]:
        """The mask for all layers, and whether the kernel's own causal triangle does instead (its fastest path)."""
        if self.causal and padding is None and q_len == k_len and self.relative_bias is None:
            return None, True
        visible = visible_keys(padding, self.causal, q_len, k_len, device)
        if self.relative_bias is None:
            return visible, False
        bias = self.relative_bias(q_len, self.ahead + k_len)  # [1,H,T,S]
        if visible is not None:
            bias = bias.masked_fill(~F.pad(visible, (self.ahead, 0), value=True), HIDDEN)
        return bias, False


def grow(per_token: Tensor | None, prompt: int, value: int) -> Tensor | None:
    """[B,T] -> [B,P+T]: let a prompt of P vectors stand before what is known per token."""
    return per_token if per_token is None or not prompt else F.pad(per_token, (prompt, 0), value=value)
