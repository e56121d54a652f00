"""Multi-head attention: softmax(Q K^T / sqrt(d) + bias) V  (Vaswani et al. 2017, equation 1; section 3.2.2 for the heads)."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from minidelta.errors import ConfigError
from minidelta.model.cache import KeyValues
from minidelta.model.config import TransformerConfig
from minidelta.model.layers import Linear
from minidelta.model.site import Site

HIDDEN = -30000.0  # a score that softmax turns into 0, and that float16 can hold


def visible_keys(padding: Tensor | None, causal: bool, q_len: int, k_len: int, device: torch.device) -> Tensor | None:
    """Which keys each query may look at.

    Args:
        padding: [B,S], 1 for a real token and 0 for padding; None if all are real.
        causal: a query sees nothing after itself; the queries are the last `q_len` of `k_len` positions.
    Returns: booleans [B,1,1,S], [T,S] or [B,1,T,S], True = visible; None if everything is.
    Raises: ConfigError if padding is not told for all S keys.

    >>> visible_keys(None, True, 2, 3, torch.device("cpu"))
    tensor([[ True,  True, False],
            [ True,  True,  True]])
    """
    if padding is not None and (padding.dim() != 2 or padding.size(1) != k_len):
        raise ConfigError(f"attention_mask covers {padding.size(-1)} tokens, and there are {k_len} to attend to; give one number per token, those in the cache included.")
    real = None if padding is None else padding.bool()[:, None, None, :]  # [B,1,1,S]
    if not causal or q_len == 1:  # a single query is the newest and sees all
        return real
    past = torch.ones(q_len, k_len, dtype=torch.bool, device=device).tril(k_len - q_len)  # [T,S]
    if real is None:
        return past
    itself = past.triu(k_len - q_len)  # a padded query sees itself: a softmax over nothing is NaN on some devices
    return past & real | itself  # [B,1,T,S]


class Attention(nn.Module):
    """Queries from x, keys and values from x itself or from a `source` (the encoder's states)."""

    def __init__(self, config: TransformerConfig):
        super().__init__()
        width = config.n_heads * config.d_head  # H*K; T5 may choose it apart from D
        self.q_proj = Linear(config.d_model, width, config.bias)
        self.k_proj = Linear(config.d_model, width, config.bias)
        self.v_proj = Linear(config.d_model, width, config.bias)
        self.kv = Site()
        self.o_proj = Linear(width, config.d_model, config.bias)
        self.d_head = config.d_head
        self.scale = config.d_head**-0.5 if config.scale_attention else 1.0
        self.dropout = config.dropout

    def forward(
        self, x: Tensor, mask: Tensor | None = None, causal: bool = False, memory: KeyValues | None = None, source: Tensor | None = None
    ) -> Tensor:
        """Attend.

        Args:
            x: [B,T,D].
            mask: booleans (True = visible) or numbers added to the scores, broadcast to [B,H,T,S].
            causal: hide what comes after each query; only without a mask, and T = S.
            memory: keys and values of earlier calls; extended by this one.
            source: [B,S,D] for cross-attention; None: x itself.
        Returns: [B,T,D].
        """
        q, k, v, mask, causal = self.prepare(x, mask, causal, memory, source)
        dropout = self.dropout if self.training else 0.0
        out = F.scaled_dot_product_attention(q, k, v, mask, dropout, causal, scale=self.scale)
        return self.o_proj(out.transpose(1, 2).flatten(2))  # [B,H,T,K] -> [B,T,H*K] -> [B,T,D]

    def prepare(self, x, mask, causal, memory, source):
        """Project, remember and split into heads; make room in the mask for what a prefix put before the keys."""
        k, v = self.keys_values(x if source is None else source, memory, source is not None)  # [B,P+S,H*K]
        q, k, v = (self.heads(states) for states in (self.q_proj(x), k, v))  # [B,H,T,K], [B,H,P+S,K] twice
        if causal and k.size(2) > q.size(2):
            mask, causal = visible_keys(None, True, q.size(2), q.size(2), q.device), False
        if mask is not None and k.size(2) > mask.size(-1):
            mask = F.pad(mask, (k.size(2) - mask.size(-1), 0), value=mask.dtype == torch.bool)  # a prefix is visible, bias 0
        return q, k, v, mask, causal

    def keys_values(self, x: Tensor, memory: KeyValues | None, cross: bool) -> tuple[Tensor, Tensor]:
        """Keys and values of x behind those in memory; a source is read once."""
        if cross and memory is not None and memory.k is not None:
            return memory.k, memory.v
        k, v = self.kv(x, (self.k_proj(x), self.v_proj(x)))
        return (k, v) if memory is None else memory.extend(k, v, fresh=x.size(1))

    def heads(self, states: Tensor) -> Tensor:
        return states.view(*states.shape[:2], -1, self.d_head).transpose(1, 2)  # [B,T,H*K] -> [B,H,T,K]

    def weights(self, x: Tensor, mask: Tensor | None = None, causal: bool = False, memory: None = None, source: Tensor | None = None) -> Tensor:
        """What `forward` multiplies the values with, written out: softmax(Q K^T * scale + bias), [B,H,T,S].

        `scaled_dot_product_attention` never forms this matrix; this method does, for those who want to look at it.
        """
        q, k, _, mask, causal = self.prepare(x, mask, causal, memory, source)
        scores = q @ k.transpose(2, 3) * self.scale  # [B,H,T,S]
        if causal:
            mask = visible_keys(None, True, q.size(2), k.size(2), q.device)
        if mask is not None:
            scores = scores.masked_fill(~mask, HIDDEN) if mask.dtype == torch.bool else scores + mask
        return scores.softmax(-1)


@torch.no_grad()
def attention_maps(model: nn.Module, *inputs: Tensor, **named: Tensor) -> dict[str, Tensor]:
    """Run `model.hidden` once and return the attention weights of every attention in it.

    Args:
        inputs, named: what `model.hidden` takes, without a cache.
    Returns: path (`layers.0.attn`) -> [B,H,T,S]; each row sums to one.

    >>> from minidelta.model import Transformer, bert_config
    >>> bert = Transformer(bert_config(vocab_size=50, d_model=16, n_layers=1, n_heads=2, d_ff=32), seed=0)
    >>> {path: weights.shape for path, weights in attention_maps(bert, torch.tensor([[7, 8, 9]])).items()}
    {'layers.0.attn': torch.Size([1, 2, 3, 3])}
    """
    maps: dict[str, Tensor] = {}
    attentions = {path: module for path, module in model.named_modules() if isinstance(module, Attention)}

    def watch(path: str):
        def look(module, args, kwargs):
            maps[path] = module.weights(*args, **kwargs)

        return attentions[path].register_forward_pre_hook(look, with_kwargs=True)

    handles = [watch(path) for path in attentions]
    try:
        model.hidden(*inputs, **named)
    finally:
        for handle in handles:
            handle.remove()
    return maps
