"""Four small changes of LoRA: its scaling, its rates, its start, and what it keeps frozen.

    rsLoRA    h = W_0 x + (alpha / sqrt(R)) B A x         Kalajdzievski 2023: the size of the update no longer falls with R
    LoRA+     the rate of B is lambda times that of A     Hayou et al. 2024, lambda = 16
    LoRA-FA   A keeps its random values, only B trains    Zhang et al. 2023: x need not be kept for the gradient of A
    PiSSA     B_0 A_0 = the R largest singular directions of W, and W_0 = W - B_0 A_0      Meng et al. 2024

Changes and frozen: as in LoRA.  All start unchanged.  Difference of PiSSA: the paper writes W - B_0 A_0 into the weight; here the
weight stays as it is, and the part adds B A x - B_0 A_0 x, which is the same.
"""

from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from minidelta.delta.checks import positive, whole
from minidelta.delta.linear import LinearDelta
from minidelta.delta.lora import LoRA, LowRank


class RsLoRA(LoRA):
    """LoRA with rank-stabilised scaling, alpha / sqrt(R).

    >>> RsLoRA(rank=16, alpha=8.0).scaling
    2.0
    """

    name = "rslora"
    paper = "Kalajdzievski 2023"
    learning_rate = 3e-3

    def __init__(self, rank: int = 8, alpha: float = 16.0, dropout: float = 0.0, targets: str | Sequence[str] | None = None) -> None:
        super().__init__(rank, alpha, dropout, targets)
        self.scaling = alpha / rank**0.5


class LoRAPlus(LoRA):
    """LoRA whose B learns faster than its A.

    Args:
        ratio: lambda, the rate of B over that of A; the learning rate that is given is A's.

    >>> from minidelta.model import Transformer, TransformerConfig
    >>> model = Transformer(TransformerConfig(shape="decoder", vocab_size=100, d_model=32, n_layers=2, n_heads=4, d_ff=64))
    >>> [round(group["lr"], 4) for group in LoRAPlus().attach(model).groups(lr=1e-3)]
    [0.001, 0.016]
    """

    name = "lora-plus"
    paper = "Hayou et al. 2024"
    learning_rate = 5e-4

    def __init__(self, rank: int = 8, alpha: float = 16.0, dropout: float = 0.0, ratio: float = 16.0, targets: str | Sequence[str] | None = None) -> None:
        super().__init__(rank, alpha, dropout, targets)
        positive(ratio=ratio)
        self.ratio, self.settings = ratio, self.settings | {"ratio": ratio}

    def groups(self, lr: float | None = None) -> list[dict[str, Any]]:
        lr = self.learning_rate if lr is None else lr
        parts = self.parts.values()
        return [{"params": [part.lora_A for part in parts], "lr": lr}, {"params": [part.lora_B for part in parts], "lr": self.ratio * lr}]


class LoRAFA(LoRA):
    """LoRA with a frozen, random A.

    >>> from minidelta.model import Transformer, TransformerConfig
    >>> model = Transformer(TransformerConfig(shape="decoder", vocab_size=100, d_model=32, n_layers=2, n_heads=4, d_ff=64))
    >>> LoRAFA(rank=4).attach(model).num_parameters()  # 2 layers x 2 projections x 4 x 32
    512
    """

    name = "lora-fa"
    paper = "Zhang et al. 2023"
    learning_rate = 1e-2

    def part(self, linear: nn.Linear) -> "HalfFrozen":
        return HalfFrozen(linear, self.rank, self.scaling, self.dropout)

    def size(self, linear: nn.Linear) -> int:
        return self.rank * linear.out_features


class HalfFrozen(LowRank):
    """The part on one linear layer: A is a buffer, saved but not trained."""

    def __init__(self, linear: nn.Linear, rank: int, scaling: float, dropout: float) -> None:
        super().__init__(linear, rank, scaling, dropout)
        noise = self.lora_A.detach()
        del self.lora_A
        self.register_buffer("lora_A", noise)  # [R,d_in]


class PiSSA(LinearDelta):
    """LoRA that begins with the principal directions of the weight.

    Args:
        rank: R.  The scaling is 1, as in the paper.
        targets: linear sites; default q_proj and v_proj.
    Raises: DeltaError for a rank below 1, or a target that is not a linear layer.

    >>> from minidelta.model import Transformer, TransformerConfig
    >>> model = Transformer(TransformerConfig(shape="decoder", vocab_size=100, d_model=32, n_layers=2, n_heads=4, d_ff=64))
    >>> PiSSA(rank=4).attach(model).num_parameters()  # as LoRA
    1024
    """

    name = "pissa"
    paper = "Meng et al. 2024"
    learning_rate = 5e-3
    peft = "LORA"

    def __init__(self, rank: int = 8, targets: str | Sequence[str] | None = None) -> None:
        whole(rank=rank)
        super().__init__(targets, rank=rank)
        self.rank = rank

    def part(self, linear: nn.Linear) -> "Principal":
        return Principal(linear, self.rank)

    def for_peft(self) -> dict[str, dict[str, Tensor]]:
        """B A - B_0 A_0 as one LoRA of twice the rank, so that PEFT need not change the weight."""
        return {path: {"lora_A": torch.cat((part.lora_A, part.start_A)), "lora_B": torch.cat((part.lora_B, -part.start_B), dim=1)} for path, part in self.parts_by_path().items()}

    def size(self, linear: nn.Linear) -> int:
        return min(self.rank, linear.in_features, linear.out_features) * (linear.in_features + linear.out_features)


class Principal(nn.Module):
    """The part on one linear layer; A_0 and B_0 are saved with it, for another machine may turn the directions around."""

    def __init__(self, linear: nn.Linear, rank: int) -> None:
        super().__init__()
        u, s, v = torch.linalg.svd(linear.weight.detach().float().cpu(), full_matrices=False)
        root = s[:rank].sqrt()
        a, b = root[:, None] * v[:rank], u[:, :rank] * root
        self.lora_A, self.lora_B = nn.Parameter(a.clone()), nn.Parameter(b.clone())  # [R,d_in], [d_out,R]
        self.register_buffer("start_A", a.clone())
        self.register_buffer("start_B", b.clone())

    def forward(self, x: Tensor, out: Tensor) -> Tensor:
        x = x.to(self.lora_A.dtype)
        now, before = F.linear(F.linear(x, self.lora_A), self.lora_B), F.linear(F.linear(x, self.start_A), self.start_B)
        return out + (now - before).to(out.dtype)  # [B,T,R] -> [B,T,d_out]

    def update(self) -> Tensor:
        return self.lora_B.double() @ self.lora_A.double() - self.start_B.double() @ self.start_A.double()
