"""LoRA: the change of a weight is a product of two thin matrices (Hu et al. 2021, section 4.1, equation 3).

    h = W_0 x + (alpha / R) B A x        A [R,d_in], B [d_out,R], R much smaller than d_in and d_out

Changes: the chosen linear layers, by default the query and value projections as in the paper.  Frozen: all of
the backbone.  B starts at zero, so the model starts unchanged; A starts as Gaussian noise, here with standard
deviation 1/sqrt(d_in), which keeps A x at the size of x (the paper gives no figure).
While it trains, x goes through A and then B: the full-size product BA is formed only by `merge`.
"""

import math
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from minidelta.delta.base import Delta
from minidelta.errors import DeltaError


class LoRA(Delta):
    """Low-rank adaptation.

    Args:
        rank: R, the inner width of the product; 8 by default, 1 to 64 in the paper.
        alpha: the update is scaled by alpha / rank, so that a rank can be changed without a new learning rate.
        dropout: share of the inputs of A that are dropped while training.
        targets: linear sites by suffix, pattern or preset; default q_proj and v_proj.
    Raises: DeltaError for a rank below 1, a dropout outside [0, 1), or a target that is not a linear layer.

    >>> from minidelta.model import Transformer, TransformerConfig
    >>> model = Transformer(TransformerConfig(shape="decoder", vocab_size=100, d_model=32, n_layers=2, n_heads=4, d_ff=64))
    >>> delta = LoRA(rank=4).attach(model)
    >>> delta.num_parameters()  # 2 layers x 2 projections x 4 x (32 + 32)
    1024
    """

    name = "lora"
    default_targets = ("q_proj", "v_proj")
    learning_rate = 8e-3

    def __init__(self, rank: int = 8, alpha: float = 16.0, dropout: float = 0.0, targets: str | Sequence[str] | None = None) -> None:
        if not isinstance(rank, int) or rank < 1:
            raise DeltaError(f"rank is {rank!r}; LoRA needs a whole number of at least 1, such as 8.")
        if not isinstance(alpha, (int, float)) or not 0 < alpha < math.inf:
            raise DeltaError(f"alpha is {alpha!r}; give a positive number, such as twice the rank.")
        if not 0 <= dropout < 1:
            raise DeltaError(f"dropout is {dropout!r}; give a share from 0 up to but not including 1.")
        super().__init__(targets, rank=rank, alpha=alpha, dropout=dropout)
        self.rank, self.scaling, self.dropout = rank, alpha / rank, dropout

    def build(self, path: str, module: nn.Module) -> nn.Module:
        if not isinstance(module, nn.Linear):
            raise DeltaError(f"LoRA changes linear layers, and {path} is not one. Target projections such as q_proj, v_proj or the preset 'linear'.")
        return LowRank(module, self.rank, self.scaling, self.dropout)

    def formula(self, module: nn.Linear) -> int:
        return self.rank * (module.in_features + module.out_features)

    def weight_update(self, part: "LowRank") -> Tensor:
        return part.scaling * part.lora_B.double() @ part.lora_A.double()  # [d_out,R] [R,d_in] -> [d_out,d_in]


class LowRank(nn.Module):
    """The part on one linear layer."""

    def __init__(self, linear: nn.Linear, rank: int, scaling: float, dropout: float) -> None:
        super().__init__()
        self.scaling, self.dropout = scaling, dropout
        noise = torch.randn(rank, linear.in_features) * linear.in_features**-0.5
        exact = {"device": linear.weight.device, "dtype": torch.promote_types(linear.weight.dtype, torch.float32)}  # Adam fails in float16
        self.lora_A = nn.Parameter(noise.to(**exact))  # [R,d_in]
        self.lora_B = nn.Parameter(torch.zeros(linear.out_features, rank, **exact))  # [d_out,R]

    def forward(self, x: Tensor, out: Tensor) -> Tensor:
        x = F.dropout(x.to(self.lora_A.dtype), self.dropout, self.training)  # [B,T,d_in]
        return out + (self.scaling * F.linear(F.linear(x, self.lora_A), self.lora_B)).to(out.dtype)  # [B,T,R] -> [B,T,d_out]
