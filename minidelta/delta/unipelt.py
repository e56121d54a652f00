"""UniPELT: prefix, adapter and LoRA at once, each with a gate that learns how far to open (Mao et al. 2022, section 3).

    LoRA      h <- h + g(x) (alpha / R) B A x       g(x) = sigmoid(w x + b), one number for each token
    adapter   h <- h + g(x) W_up f(W_down h)
    prefix    P_k, P_v times sigmoid(c)

Changes: query and value projections, keys and values, feed-forward.  Frozen: all of the backbone.  Differences: the paper's
gates look at a whole sequence, so that each token's result would depend on those that come later; here a gate looks at its
own token, and that of a prefix, which stands before all tokens, at none.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from minidelta.delta.adapter import Bottleneck
from minidelta.delta.base import Delta
from minidelta.delta.checks import whole
from minidelta.delta.lora import LowRank
from minidelta.delta.prefix import Prefix
from minidelta.errors import DeltaError


class UniPELT(Delta):
    """Gated prefix, adapter and LoRA.

    Args:
        rank: R of LoRA on q_proj and v_proj, scaled by 2.
        prefix_length: P, in vectors.
        bottleneck_dim: of the adapters after feed-forward.
    Raises: DeltaError for sizes below 1, or a target where none of the three can hang.

    >>> from minidelta.model import Transformer, TransformerConfig
    >>> model = Transformer(TransformerConfig(shape="decoder", vocab_size=100, d_model=32, n_layers=1, n_heads=4, d_ff=64))
    >>> UniPELT(rank=2, prefix_length=5, bottleneck_dim=4).attach(model).num_parameters()
    968
    """

    name = "unipelt"
    paper = "Mao et al. 2022"
    default_targets = ("q_proj", "v_proj", "kv", "ffn_out")
    learning_rate = 1e-2

    def __init__(self, rank: int = 8, prefix_length: int = 5, bottleneck_dim: int = 16, targets: str | Sequence[str] | None = None) -> None:
        whole(rank=rank, prefix_length=prefix_length, bottleneck_dim=bottleneck_dim)
        super().__init__(targets, rank=rank, prefix_length=prefix_length, bottleneck_dim=bottleneck_dim)
        self.rank, self.prefix_length, self.bottleneck_dim = rank, prefix_length, bottleneck_dim

    def build(self, path: str, model: nn.Module) -> nn.Module:
        module = model.get_submodule(path)
        if isinstance(module, nn.Linear):
            return Gated(LowRank(module, self.rank, 2.0, 0.0), module.in_features)
        if path.endswith(".kv"):
            return GatedPrefix(self.prefix_length, model.config.n_heads * model.config.d_head)
        if path.endswith("ffn_out"):
            return Gated(Bottleneck(model.config.d_model, self.bottleneck_dim, "gelu", 1.0, parallel=False), model.config.d_model)
        raise DeltaError(f"UniPELT hangs LoRA on projections, prefixes on kv and adapters on ffn_out, and {path} is none of these.")

    def formula(self, path: str, model: nn.Module) -> int:
        module, d = model.get_submodule(path), model.config.d_model
        if isinstance(module, nn.Linear):
            return self.rank * (module.in_features + module.out_features) + module.in_features + 1
        if path.endswith(".kv"):
            return 2 * self.prefix_length * model.config.n_heads * model.config.d_head + 1
        return 2 * self.bottleneck_dim * d + self.bottleneck_dim + d + d + 1


class Gated(nn.Module):
    """A part whose change passes a gate: out + g(x) (part(x, out) - out)."""

    def __init__(self, part: nn.Module, d_in: int) -> None:
        super().__init__()
        self.part = part
        self.gate = nn.Linear(d_in, 1)

    def forward(self, x: Tensor, out: Tensor) -> Tensor:
        g = self.gate(x.to(self.gate.weight.dtype)).sigmoid()  # [B,T,1]
        return out + g.to(out.dtype) * (self.part(x, out) - out)


class GatedPrefix(Prefix):
    """A prefix that can fade."""

    def __init__(self, prefix_length: int, width: int) -> None:
        super().__init__(prefix_length, width)
        self.gate = nn.Parameter(torch.zeros(1))  # c

    def prefix(self) -> tuple[Tensor, Tensor]:
        g = self.gate.sigmoid()
        return g * self.prefix_k, g * self.prefix_v  # [P,H*K] each
