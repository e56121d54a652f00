"""One block for BERT, GPT-2 and T5: self-attention, perhaps cross-attention, feed-forward, each with its residual."""

from collections.abc import Callable

from torch import Tensor, nn

from minidelta.model.attention import Attention
from minidelta.model.cache import KeyValues
from minidelta.model.config import TransformerConfig
from minidelta.model.layers import FeedForward, make_norm
from minidelta.model.site import Site


class Block(nn.Module):
    """Pre-norm: x + f(norm(x)).  Post-norm: norm(x + f(x)).  f is attention or feed-forward.

    The sites `attn_out`, `cross_out` and `ffn_out` see what went into f and what will be added to x.
    """

    def __init__(self, config: TransformerConfig, cross: bool = False):
        super().__init__()
        self.attn = Attention(config)
        self.attn_out = Site()
        self.attn_norm = make_norm(config)
        self.cross = Attention(config) if cross else None
        self.cross_out = Site() if cross else None
        self.cross_norm = make_norm(config) if cross else None
        self.ffn = FeedForward(config)
        self.ffn_out = Site()
        self.ffn_norm = make_norm(config)
        self.block_out = Site()
        self.dropout = nn.Dropout(config.dropout)
        self.pre_norm = config.norm_position == "pre"

    def forward(
        self,
        x: Tensor,
        mask: Tensor | None = None,
        causal: bool = False,
        memory: KeyValues | None = None,
        source: Tensor | None = None,
        source_mask: Tensor | None = None,
        source_memory: KeyValues | None = None,
    ) -> Tensor:
        """x [B,T,D] -> [B,T,D]; masks and memories as in `Attention.forward`, `source` [B,S,D] is what `cross` reads."""
        h = self.residual(x, self.attn_norm, self.attn_out, lambda y: self.attn(y, mask, causal, memory))
        if self.cross is not None:
            h = self.residual(h, self.cross_norm, self.cross_out, lambda y: self.cross(y, source_mask, False, source_memory, source))
        h = self.residual(h, self.ffn_norm, self.ffn_out, self.ffn)
        return self.block_out(x, h)

    def residual(self, x: Tensor, norm: nn.Module, site: Site, f: Callable[[Tensor], Tensor]) -> Tensor:
        """One sublayer f with its norm, dropout, site and residual add."""
        y = norm(x) if self.pre_norm else x
        h = x + site(y, self.dropout(f(y)))
        return h if self.pre_norm else norm(h)
