"""The small layers: linear, norms, activations, feed-forward, positions."""

import math
from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from minidelta.model.config import TransformerConfig
from minidelta.model.site import Site

ACTIVATIONS = {"gelu": F.gelu, "gelu_tanh": partial(F.gelu, approximate="tanh"), "relu": F.relu, "silu": F.silu}


class Linear(nn.Linear):
    """y = x W^T + b, with a site on the result.

    >>> Linear(4, 3)(torch.zeros(2, 5, 4)).shape
    torch.Size([2, 5, 3])
    """

    def __init__(self, d_in: int, d_out: int, bias: bool = True):
        super().__init__(d_in, d_out, bias)
        self.site = Site()

    def forward(self, x: Tensor) -> Tensor:
        return self.site(x, F.linear(x, self.weight, self.bias))  # [..., D_in] -> [..., D_out]


class LayerNorm(nn.LayerNorm):
    """y = (x - mean(x)) / sqrt(var(x) + eps) * weight + bias, with a site on the result (Ba et al. 2016).

    >>> LayerNorm(2, eps=0.0)(torch.tensor([1.0, 3.0]))
    tensor([-1.,  1.], grad_fn=<NativeLayerNormBackward0>)
    """

    def __init__(self, d_model: int, eps: float):
        super().__init__(d_model, eps=eps)
        self.site = Site()

    def forward(self, x: Tensor) -> Tensor:
        return self.site(x, super().forward(x))


class RMSNorm(nn.Module):
    """y = x / sqrt(mean(x^2) + eps) * weight: a LayerNorm that neither centres nor shifts.

    Zhang and Sennrich 2019, equation 4.  It too has a site on the result.

    >>> RMSNorm(2, eps=0.0)(torch.tensor([3.0, 3.0]))
    tensor([1., 1.], grad_fn=<MulBackward0>)
    """

    def __init__(self, d_model: int, eps: float):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(d_model))
        self.site = Site()
        self.eps = eps

    def forward(self, x: Tensor) -> Tensor:
        return self.site(x, F.rms_norm(x, self.weight.shape, self.weight, self.eps))


def make_norm(config: TransformerConfig) -> nn.Module:
    """The norm that the configuration asks for."""
    kind = LayerNorm if config.norm == "layernorm" else RMSNorm
    return kind(config.d_model, eps=config.norm_eps)


class FeedForward(nn.Module):
    """down(act(up(x))), or down(act(gate(x)) * up(x)) when gated (Shazeer 2020, GEGLU).

    T5 also drops units between act and down and after its last norm while training; here dropout acts on embeddings and
    on the sublayers' results alone.
    """

    def __init__(self, config: TransformerConfig):
        super().__init__()
        self.gate_proj = Linear(config.d_model, config.d_ff, config.bias) if config.gated else None
        self.up_proj = Linear(config.d_model, config.d_ff, config.bias)
        self.act = Site()
        self.down_proj = Linear(config.d_ff, config.d_model, config.bias)
        self.activation = ACTIVATIONS[config.activation]

    def forward(self, x: Tensor) -> Tensor:
        if self.gate_proj is None:
            h = self.activation(self.up_proj(x))  # [B,T,D] -> [B,T,F]
        else:
            h = self.activation(self.gate_proj(x)) * self.up_proj(x)
        return self.down_proj(self.act(x, h))  # [B,T,F] -> [B,T,D]


def relative_buckets(distance: Tensor, bidirectional: bool, buckets: int, max_distance: int) -> Tensor:
    """Sort distances into buckets: near ones each have their own, far ones share, ever more coarsely.

    Raffel et al. 2020, section 2.1.  Half of the buckets count 0, 1, 2, ... exactly; the other half grows
    logarithmically up to `max_distance`, beyond which all share the last.
    Args:
        distance: key position minus query position, in tokens, any shape.
        bidirectional: give keys behind and keys ahead a half of the buckets each; else keys ahead count as 0.
    Returns: bucket numbers, same shape, int64.

    >>> relative_buckets(torch.tensor([-200, -20, -3, 0, 3]), False, 32, 128)
    tensor([31, 17,  3,  0,  0])
    """
    side = torch.zeros_like(distance)
    if bidirectional:
        buckets //= 2
        side = (distance > 0) * buckets
        distance = distance.abs()
    else:
        distance = (-distance).clamp(min=0)
    exact = buckets // 2
    growth = torch.log(distance.clamp(min=1).float() / exact) / math.log(max_distance / exact)
    shared = (exact + (growth * (buckets - exact)).long()).clamp(max=buckets - 1)
    return side + torch.where(distance < exact, distance, shared)


class RelativePositions(nn.Module):
    """T5's positions: one learned number per head and bucket of distance, added to the attention scores."""

    def __init__(self, config: TransformerConfig, bidirectional: bool):
        super().__init__()
        self.weight = nn.Parameter(torch.empty(config.relative_buckets, config.n_heads))
        self.rule = (bidirectional, config.relative_buckets, config.relative_max_distance)

    def forward(self, q_len: int, k_len: int) -> Tensor:
        """The bias for the last `q_len` of `k_len` positions: [1,H,T,S]."""
        keys = torch.arange(k_len, device=self.weight.device)
        queries = keys[k_len - q_len :, None]
        bias = F.embedding(relative_buckets(keys - queries, *self.rule), self.weight)  # [T,S,H]
        return bias.permute(2, 0, 1)[None]  # [T,S,H] -> [1,H,T,S]
