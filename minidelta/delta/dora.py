"""DoRA: length and direction of the weight's rows train apart (Liu et al. 2024, equation 5).

    W' = m * (W_0 + s B A) / ||W_0 + s B A||        m [d_out], the norm is that of each row (one output); s = alpha / R

Changes: the chosen linears, in direction by LoRA, in length by m.  Frozen: all of the backbone.  m starts as the norm of W_0
and B at zero, so the model starts unchanged.  As in the paper's section 4.3 no gradient flows through the norm.
"""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from minidelta.delta.checks import positive, whole
from minidelta.delta.linear import LinearDelta


class DoRA(LinearDelta):
    """Weight-decomposed low-rank adaptation.

    Args:
        rank: R.
        alpha: the direction's update is scaled by alpha / rank.
        targets: linear sites; default q_proj and v_proj.
    Raises: DeltaError for a rank below 1, an alpha that is not positive, or a target that is not a linear layer.

    >>> from minidelta.model import Transformer, TransformerConfig
    >>> model = Transformer(TransformerConfig(shape="decoder", vocab_size=100, d_model=32, n_layers=2, n_heads=4, d_ff=64))
    >>> DoRA(rank=4).attach(model).num_parameters()  # LoRA's 1024, and 2 x 2 x 32 lengths
    1152
    """

    name = "dora"
    paper = "Liu et al. 2024"
    learning_rate = 8e-3
    peft = "DORA"

    def __init__(self, rank: int = 8, alpha: float = 16.0, targets: str | Sequence[str] | None = None) -> None:
        whole(rank=rank)
        positive(alpha=alpha)
        super().__init__(targets, rank=rank, alpha=alpha)
        self.rank, self.scaling = rank, alpha / rank

    def part(self, linear: nn.Linear) -> "Decomposed":
        return Decomposed(linear, self.rank, self.scaling)

    def size(self, linear: nn.Linear) -> int:
        return self.rank * (linear.in_features + linear.out_features) + linear.out_features


class Decomposed(nn.Module):
    """The part on one linear layer."""

    def __init__(self, linear: nn.Linear, rank: int, scaling: float) -> None:
        super().__init__()
        object.__setattr__(self, "host", linear)  # a neighbour, not a submodule
        self.scaling = scaling
        self.lora_A = nn.Parameter(torch.randn(rank, linear.in_features) * linear.in_features**-0.5)  # [R,d_in]
        self.lora_B = nn.Parameter(torch.zeros(linear.out_features, rank))  # [d_out,R]
        self.magnitude = nn.Parameter(linear.weight.detach().float().norm(dim=1))  # m [d_out]

    def stretch(self) -> Tensor:
        """m / ||W_0 + s B A||, [d_out]."""
        direction = self.host.weight.detach().to(self.lora_A.dtype) + self.scaling * self.lora_B.detach() @ self.lora_A.detach()
        return self.magnitude / direction.norm(dim=1)

    def forward(self, x: Tensor, out: Tensor) -> Tensor:
        x = x.to(self.lora_A.dtype)
        base = F.linear(x, self.host.weight.to(x.dtype))  # W_0 x
        stretch = self.stretch()
        change = (stretch - 1) * base + stretch * self.scaling * F.linear(F.linear(x, self.lora_A), self.lora_B)  # W' x - W_0 x
        return out + change.to(out.dtype)

    def update(self) -> Tensor:
        weight = self.host.weight.double()
        return self.stretch().double()[:, None] * (weight + self.scaling * self.lora_B.double() @ self.lora_A.double()) - weight
