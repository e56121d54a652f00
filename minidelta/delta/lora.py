"""LoRA: the change of a weight is a product of two thin matrices (Hu et al. 2021, section 4.1, equation 3).

    h = W_0 x + (alpha / R) B A x        A [R,d_in], B [d_out,R], R much smaller than d_in and d_out

Changes: the chosen linear layers, by default the query and value projections as in the paper.  Frozen: all of
the backbone.  B starts at zero, so the model starts unchanged; A starts as Gaussian noise, here with standard
deviation 1/sqrt(d_in), which keeps A x at the size of x (the paper gives no figure).
While it trains, x goes through A and then B: the full-size product BA is formed only by `merge`.
"""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from minidelta.delta.checks import positive, share, whole
from minidelta.delta.linear import LinearDelta


class LoRA(LinearDelta):
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
    paper = "Hu et al. 2021"
    learning_rate = 5e-3
    slowing = 0.5
    peft = "LORA"

    def __init__(self, rank: int = 8, alpha: float = 16.0, dropout: float = 0.0, targets: str | Sequence[str] | None = None) -> None:
        whole(rank=rank)
        positive(alpha=alpha)
        share(dropout=dropout)
        super().__init__(targets, rank=rank, alpha=alpha, dropout=dropout)
        self.rank, self.scaling, self.dropout = rank, alpha / rank, dropout

    def part(self, linear: nn.Linear) -> "LowRank":
        return LowRank(linear, self.rank, self.scaling, self.dropout)

    def size(self, linear: nn.Linear) -> int:
        return self.rank * (linear.in_features + linear.out_features)


class LowRank(nn.Module):
    """The part on one linear layer."""

    def __init__(self, linear: nn.Linear, rank: int, scaling: float, dropout: float) -> None:
        super().__init__()
        self.scaling, self.dropout = scaling, dropout
        self.lora_A = nn.Parameter(torch.randn(rank, linear.in_features) * linear.in_features**-0.5)  # [R,d_in]
        self.lora_B = nn.Parameter(torch.zeros(linear.out_features, rank))  # [d_out,R]

    def forward(self, x: Tensor, out: Tensor) -> Tensor:
        x = F.dropout(x.to(self.lora_A.dtype), self.dropout, self.training)  # [B,T,d_in]
        return out + (self.scaling * F.linear(F.linear(x, self.lora_A), self.lora_B)).to(out.dtype)  # [B,T,R] -> [B,T,d_out]

    def update(self) -> Tensor:
        return self.scaling * self.lora_B.double() @ self.lora_A.double()  # [d_out,R] [R,d_in] -> [d_out,d_in]
