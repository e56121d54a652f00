"""Updates of high rank from few numbers: products other than that of two thin matrices.

    LoHa     DeltaW = s (B_1 A_1) * (B_2 A_2)          element by element: rank up to R^2   (Hyeon-Woo et al. 2022, FedPara)
    LoKr     DeltaW = s C (x) (B A)                    Kronecker product with a low-rank factor   (Yeh et al. 2024, LyCORIS)
    KronA    DeltaW = s A (x) B                        Kronecker product of two matrices   (Edalati et al. 2022)

Changes: the chosen linears.  Frozen: all of the backbone.  One factor starts at zero in each, so the model starts unchanged.
The Kronecker products act through (A (x) B) x = vec(A X B^T), X being x as a matrix; they never form DeltaW while training.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from minidelta.delta.checks import positive, whole
from minidelta.delta.linear import Difference, LinearDelta


class OfRank(LinearDelta):
    """Base of the two with a rank R and s = alpha / R."""

    def __init__(self, rank: int = 4, alpha: float = 8.0, targets: str | Sequence[str] | None = None) -> None:
        whole(rank=rank)
        positive(alpha=alpha)
        super().__init__(targets, rank=rank, alpha=alpha)
        self.rank, self.scaling = rank, alpha / rank


class LoHa(OfRank):
    """Low-rank Hadamard product.

    Args:
        rank: R of both factors.
        alpha: s = alpha / rank.
        targets: linear sites; default q_proj and v_proj.
    Raises: DeltaError for values that are not positive, or a target that is not a linear layer.

    >>> from minidelta.model import Transformer, TransformerConfig
    >>> model = Transformer(TransformerConfig(shape="decoder", vocab_size=100, d_model=32, n_layers=2, n_heads=4, d_ff=64))
    >>> LoHa(rank=4).attach(model).num_parameters()  # twice LoRA's
    2048
    """

    name = "loha"
    paper = "Hyeon-Woo et al. 2022"
    learning_rate = 5e-3
    peft = "LOHA"

    def part(self, linear: nn.Linear) -> "Hadamard":
        return Hadamard(linear, self.rank, self.scaling)

    def size(self, linear: nn.Linear) -> int:
        return 2 * self.rank * (linear.in_features + linear.out_features)


class Hadamard(Difference):
    """The part on one linear layer."""

    def __init__(self, linear: nn.Linear, rank: int, scaling: float) -> None:
        super().__init__(linear)
        d_out, d_in = linear.weight.shape
        self.scaling = scaling
        self.B_1 = nn.Parameter(torch.randn(d_out, rank) * rank**-0.5)  # [d_out,R]
        self.A_1 = nn.Parameter(torch.randn(rank, d_in))  # [R,d_in]
        self.B_2 = nn.Parameter(torch.zeros(d_out, rank))
        self.A_2 = nn.Parameter(torch.randn(rank, d_in) * d_in**-0.5)

    def update(self) -> Tensor:
        return self.scaling * (self.B_1 @ self.A_1) * (self.B_2 @ self.A_2)


class LoKr(OfRank):
    """Low-rank Kronecker product.

    Args:
        rank: R of the second factor.
        alpha: s = alpha / rank.
        targets: linear sites; default q_proj and v_proj.
    Raises: DeltaError for values that are not positive, or a target that is not a linear layer.

    >>> from minidelta.model import Transformer, TransformerConfig
    >>> model = Transformer(TransformerConfig(shape="decoder", vocab_size=100, d_model=32, n_layers=2, n_heads=4, d_ff=64))
    >>> LoKr(rank=2).attach(model).num_parameters()  # 32 = 4 x 8: 2 x 2 x (4 x 4 + 2 x (8 + 8))
    192
    """

    name = "lokr"
    paper = "Yeh et al. 2024"
    learning_rate = 2e-2
    peft = "LOKR"

    def part(self, linear: nn.Linear) -> "Kronecker":
        return Kronecker(linear, self.scaling, self.rank)

    def size(self, linear: nn.Linear) -> int:
        (m, k), (n, j) = split(linear.out_features), split(linear.in_features)
        return m * n + self.rank * (k + j)


class KronA(LinearDelta):
    """Kronecker adapter.

    Args:
        scaling: s.
        targets: linear sites; default q_proj and v_proj.
    Raises: DeltaError for a scaling that is not positive, or a target that is not a linear layer.

    >>> from minidelta.model import Transformer, TransformerConfig
    >>> model = Transformer(TransformerConfig(shape="decoder", vocab_size=100, d_model=32, n_layers=2, n_heads=4, d_ff=64))
    >>> KronA().attach(model).num_parameters()  # 32 = 4 x 8: 2 x 2 x (4 x 4 + 8 x 8)
    320
    """

    name = "krona"
    paper = "Edalati et al. 2022"
    learning_rate = 2e-2
    peft = "LOKR"

    def __init__(self, scaling: float = 2.0, targets: str | Sequence[str] | None = None) -> None:
        positive(scaling=scaling)
        super().__init__(targets, scaling=scaling)
        self.scaling = scaling

    def part(self, linear: nn.Linear) -> "Kronecker":
        return Kronecker(linear, self.scaling)

    def size(self, linear: nn.Linear) -> int:
        (m, k), (n, j) = split(linear.out_features), split(linear.in_features)
        return m * n + k * j


class Kronecker(nn.Module):
    """The part on one linear layer: left (x) right, where right [k,j] is whole or a product of two thin matrices."""

    def __init__(self, linear: nn.Linear, scaling: float, rank: int | None = None) -> None:
        super().__init__()
        (m, k), (n, j) = split(linear.out_features), split(linear.in_features)  # d_out = m k, d_in = n j
        self.scaling = scaling
        self.left = nn.Parameter(torch.randn(m, n) * n**-0.5)  # [m,n]
        self.right_B = nn.Parameter(torch.zeros(k, j if rank is None else rank))  # [k,j] or [k,R]
        self.right_A = None if rank is None else nn.Parameter(torch.randn(rank, j) * j**-0.5)  # [R,j]

    def right(self) -> Tensor:
        return self.right_B if self.right_A is None else self.right_B @ self.right_A  # [k,j]

    def forward(self, x: Tensor, out: Tensor) -> Tensor:
        X = x.to(self.left.dtype).unflatten(-1, (self.left.size(1), -1))  # [B,T,d_in] -> [B,T,n,j]
        change = self.left @ (X @ self.right().t())  # A X B^T: [B,T,m,k]
        return out + (self.scaling * change.flatten(-2)).to(out.dtype)  # -> [B,T,d_out]

    def update(self) -> Tensor:
        return self.scaling * torch.kron(self.left.double(), self.right().double().contiguous())


def split(size: int) -> tuple[int, int]:
    """The two factors of a size that are nearest to each other, the smaller one first.

    >>> split(768), split(7)
    ((24, 32), (1, 7))
    """
    small = next(n for n in range(int(size**0.5), 0, -1) if size % n == 0)
    return small, size // small
