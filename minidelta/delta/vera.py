"""VeRA: one pair of frozen random matrices for all layers, and two trained vectors for each (Kopiczko et al. 2024, equation 2).

    h = W_0 x + Lambda_b B Lambda_d A x        A [R,d_in] and B [d_out,R] random and shared; d [R] and b [d_out] train

Changes: the chosen linears.  Frozen: all of the backbone, A and B.  b starts at zero, so the model starts unchanged; d at 0.1.
A and B are drawn again from the seed, and need not be saved.  Layers of one size share them.  Read from a folder of PEFT, which
draws otherwise, they are kept.
"""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from minidelta.delta.checks import whole
from minidelta.delta.linear import LinearDelta


class VeRA(LinearDelta):
    """Vector-based random matrix adaptation.

    Args:
        rank: R; it may be large, for it costs one number for each layer.
        seed: of A and B, which are drawn from it again after loading; None: drawn from torch's generator, and saved.
        targets: linear sites; default q_proj and v_proj.
    Raises: DeltaError for a rank below 1, or a target that is not a linear layer.

    >>> from minidelta.model import Transformer, TransformerConfig
    >>> model = Transformer(TransformerConfig(shape="decoder", vocab_size=100, d_model=32, n_layers=2, n_heads=4, d_ff=64))
    >>> VeRA(rank=64).attach(model).num_parameters()  # 2 x 2 x (64 + 32)
    384
    """

    name = "vera"
    paper = "Kopiczko et al. 2024"
    learning_rate = 1e-1
    peft = "VERA"

    def __init__(self, rank: int = 64, seed: int | None = 0, targets: str | Sequence[str] | None = None) -> None:
        whole(rank=rank)
        super().__init__(targets, rank=rank, seed=seed)
        self.rank, self.seed = rank, seed

    def part(self, linear: nn.Linear) -> "SharedRandom":
        return SharedRandom(linear, self.rank, self.seed)

    def for_peft(self) -> dict[str, dict[str, Tensor]]:
        return {path: {name: getattr(part, name) for name in ("A", "B", "d", "b")} for path, part in self.parts_by_path().items()}

    def size(self, linear: nn.Linear) -> int:
        return self.rank + linear.out_features


class SharedRandom(nn.Module):
    """The part on one linear layer."""

    def __init__(self, linear: nn.Linear, rank: int, seed: int | None) -> None:
        super().__init__()
        lot = None if seed is None else torch.Generator().manual_seed(seed)  # every layer draws the same numbers
        self.register_buffer("A", torch.randn(rank, linear.in_features, generator=lot) * linear.in_features**-0.5, persistent=seed is None)  # [R,d_in]
        self.register_buffer("B", torch.randn(linear.out_features, rank, generator=lot) * rank**-0.5, persistent=seed is None)  # [d_out,R]
        self.d = nn.Parameter(torch.full((rank,), 0.1))
        self.b = nn.Parameter(torch.zeros(linear.out_features))

    def forward(self, x: Tensor, out: Tensor) -> Tensor:
        thin = self.d * F.linear(x.to(self.A.dtype), self.A)  # [B,T,d_in] -> [B,T,R]
        return out + (self.b * F.linear(thin, self.B)).to(out.dtype)

    def update(self) -> Tensor:
        return self.b.double()[:, None] * (self.B.double() * self.d.double()) @ self.A.double()
