"""Adapters: small bottleneck networks between the frozen layers.

    Houlsby et al. 2019, section 2.1     h <- h + W_up f(W_down h)      after attention and after feed-forward
    Pfeiffer et al. 2020                 the same, after feed-forward only
    He et al. 2022, section 3.3          h <- h + s W_up f(W_down x)    beside the sublayer: reads what went in

W_down [R,D], W_up [D,R] with biases, R the bottleneck.  Changes: what a sublayer adds to the stream.  Frozen: all of the
backbone.  W_up starts at zero, so the model starts unchanged (Houlsby et al. start both near zero).
Differences: Houlsby et al. train the layer norms as well (attach `LNTuning` beside for that); Pfeiffer et al. have
one more norm around the adapter in some of their models.  x is what the sublayer itself reads: in GPT and T5, whose norm comes
first, the normed stream.
"""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from minidelta.delta.base import Delta
from minidelta.delta.checks import positive, whole
from minidelta.errors import DeltaError, near_misses
from minidelta.model.layers import ACTIVATIONS


class HoulsbyAdapter(Delta):
    """Adapters after attention and after feed-forward.

    Args:
        bottleneck_dim: R; the paper tries 8, 64 and 256 at D = 1024.
        activation: f, one of those that the model knows.
        scaling: s, a fixed factor of the change.
        targets: sites of one vector for each token; default attn_out and ffn_out.
    Raises: DeltaError for a bottleneck below 1, an unknown activation, or a target where no sublayer ends.

    >>> from minidelta.model import Transformer, TransformerConfig
    >>> model = Transformer(TransformerConfig(shape="decoder", vocab_size=100, d_model=32, n_layers=2, n_heads=4, d_ff=64))
    >>> HoulsbyAdapter(bottleneck_dim=4).attach(model).num_parameters()  # 2 layers x 2 x (2 x 4 x 32 + 4 + 32)
    1168
    """

    name = "houlsby"
    paper = "Houlsby et al. 2019"
    default_targets: Sequence[str] = ("attn_out", "ffn_out")
    learning_rate = 1e-2
    slowing = 0.5
    parallel = False  # reads what came out of the sublayer

    def __init__(self, bottleneck_dim: int = 16, activation: str = "gelu", scaling: float = 1.0, targets: str | Sequence[str] | None = None) -> None:
        whole(bottleneck_dim=bottleneck_dim)
        positive(scaling=scaling)
        if activation not in ACTIVATIONS:
            raise DeltaError(f"activation is {activation!r}, which the model does not know. {near_misses(str(activation), ACTIVATIONS)}")
        super().__init__(targets, bottleneck_dim=bottleneck_dim, activation=activation, scaling=scaling)
        self.bottleneck_dim, self.activation, self.scaling = bottleneck_dim, activation, scaling

    def build(self, path: str, model: nn.Module) -> "Bottleneck":
        check_sublayer(self, path)
        return Bottleneck(model.config.d_model, self.bottleneck_dim, self.activation, self.scaling, self.parallel)

    def formula(self, path: str, model: nn.Module) -> int:
        return 2 * self.bottleneck_dim * model.config.d_model + self.bottleneck_dim + model.config.d_model


class PfeifferAdapter(HoulsbyAdapter):
    """Adapters after feed-forward only.

    >>> PfeifferAdapter().targets
    ['ffn_out']
    """

    name = "pfeiffer"
    paper = "Pfeiffer et al. 2020"
    default_targets = ("ffn_out",)
    learning_rate = 1e-2


class ParallelAdapter(HoulsbyAdapter):
    """Adapters beside the feed-forward: they read what goes into it.

    >>> ParallelAdapter().parallel
    True
    """

    name = "parallel-adapter"
    paper = "He et al. 2022"
    default_targets = ("ffn_out",)
    parallel = True


class ScaledParallelAdapter(ParallelAdapter):
    """Adapters beside the feed-forward, multiplied by s = 4 as LoRA is by alpha / R.

    >>> ScaledParallelAdapter().scaling
    4.0
    """

    name = "scaled-parallel-adapter"
    paper = "He et al. 2022"
    learning_rate = 5e-3

    def __init__(self, bottleneck_dim: int = 16, activation: str = "relu", scaling: float = 4.0, targets: str | Sequence[str] | None = None) -> None:
        super().__init__(bottleneck_dim, activation, scaling, targets)


class Bottleneck(nn.Module):
    """The part at the end of one sublayer."""

    def __init__(self, d_model: int, bottleneck_dim: int, activation: str, scaling: float, parallel: bool) -> None:
        super().__init__()
        self.down_proj = nn.Linear(d_model, bottleneck_dim)
        self.up_proj = nn.Linear(bottleneck_dim, d_model)
        nn.init.zeros_(self.up_proj.weight)
        nn.init.zeros_(self.up_proj.bias)
        self.activation, self.scaling, self.parallel = ACTIVATIONS[activation], scaling, parallel

    def forward(self, x: Tensor, out: Tensor) -> Tensor:
        read = x if self.parallel else out  # [B,T,D]
        h = self.activation(self.down_proj(read.to(self.down_proj.weight.dtype)))  # [B,T,D] -> [B,T,R]
        return out + (self.scaling * self.up_proj(h)).to(out.dtype)  # [B,T,R] -> [B,T,D]


class LowRankAdapter(HoulsbyAdapter):
    """Adapters whose two matrices are products of thinner ones: W_down = U_down V_down, W_up = U_up V_up.

    The low-rank baseline of Karimi Mahabadi et al. 2021 (Compacter), with rank 1 there.
    Args:
        rank: inner width of each product, below the bottleneck.

    >>> from minidelta.model import Transformer, TransformerConfig
    >>> model = Transformer(TransformerConfig(shape="decoder", vocab_size=100, d_model=32, n_layers=2, n_heads=4, d_ff=64))
    >>> LowRankAdapter(bottleneck_dim=4).attach(model).num_parameters()  # 2 x 2 x (2 x (4 + 32) + 4 + 32)
    432
    """

    name = "low-rank-adapter"
    paper = "Karimi Mahabadi et al. 2021"
    learning_rate = 2e-2

    def __init__(self, rank: int = 1, bottleneck_dim: int = 16, activation: str = "gelu", scaling: float = 1.0, targets: str | Sequence[str] | None = None) -> None:
        whole(rank=rank)
        super().__init__(bottleneck_dim, activation, scaling, targets)
        self.rank, self.settings = rank, {"rank": rank} | self.settings

    def build(self, path: str, model: nn.Module) -> "LowRankBottleneck":
        check_sublayer(self, path)
        return LowRankBottleneck(model.config.d_model, self.bottleneck_dim, self.rank, self.activation, self.scaling)

    def formula(self, path: str, model: nn.Module) -> int:
        return (2 * self.rank + 1) * (self.bottleneck_dim + model.config.d_model)


class LowRankBottleneck(nn.Module):
    """The part at the end of one sublayer."""

    def __init__(self, d_model: int, bottleneck_dim: int, rank: int, activation: str, scaling: float) -> None:
        super().__init__()
        self.down_u = nn.Parameter(torch.randn(bottleneck_dim, rank) * rank**-0.5)  # [bottleneck,R]
        self.down_v = nn.Parameter(torch.randn(rank, d_model) * d_model**-0.5)  # [R,D]
        self.down_bias = nn.Parameter(torch.zeros(bottleneck_dim))
        self.up_u = nn.Parameter(torch.zeros(d_model, rank))  # [D,R]
        self.up_v = nn.Parameter(torch.randn(rank, bottleneck_dim) * bottleneck_dim**-0.5)  # [R,bottleneck]
        self.up_bias = nn.Parameter(torch.zeros(d_model))
        self.activation, self.scaling = ACTIVATIONS[activation], scaling

    def forward(self, x: Tensor, out: Tensor) -> Tensor:
        thin = F.linear(out.to(self.down_v.dtype), self.down_v)  # [B,T,D] -> [B,T,R]
        h = self.activation(F.linear(thin, self.down_u, self.down_bias))  # [B,T,bottleneck]
        return out + (self.scaling * F.linear(F.linear(h, self.up_v), self.up_u, self.up_bias)).to(out.dtype)  # -> [B,T,D]


def check_sublayer(delta: Delta, path: str) -> None:
    """Adapters hang where a sublayer ends.  Raises: DeltaError for any other site."""
    if path.rsplit(".", 1)[-1] not in ("attn_out", "cross_out", "ffn_out"):
        raise DeltaError(f"{type(delta).__name__} hangs at the end of a sublayer, and {path} is not one. Target attn_out, cross_out or ffn_out.")
