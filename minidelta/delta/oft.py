"""OFT: the inputs of a layer are turned, and nothing is stretched (Qiu et al. 2023).

    W x  becomes  W R x        R = (I + Q)(I - Q)^-1 with Q = -Q^T: the Cayley transform, orthogonal by construction

R consists of blocks on its diagonal, so each turns b neighbouring inputs among themselves.  Changes: the chosen linears; angles
between their rows, and lengths, stay as they were within a block.  Frozen: all of the backbone.  Q starts at zero, so R = I and
the model starts unchanged.
"""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from minidelta.delta.checks import whole
from minidelta.delta.linear import LinearDelta
from minidelta.errors import DeltaError


class OFT(LinearDelta):
    """Orthogonal fine-tuning.

    Args:
        block_size: b, the width of a block; it must divide d_in.
        targets: linear sites; default q_proj and v_proj.
    Raises: DeltaError for a block that does not divide d_in, or a target that is not a linear layer.

    >>> from minidelta.model import Transformer, TransformerConfig
    >>> model = Transformer(TransformerConfig(shape="decoder", vocab_size=100, d_model=32, n_layers=2, n_heads=4, d_ff=64))
    >>> OFT(block_size=8).attach(model).num_parameters()  # 2 x 2 x 4 blocks x 8 x 7 / 2
    448
    """

    name = "oft"
    paper = "Qiu et al. 2023"
    learning_rate = 1e-2
    peft = "OFT"

    def __init__(self, block_size: int = 8, targets: str | Sequence[str] | None = None) -> None:
        whole(block_size=block_size)
        if block_size < 2:
            raise DeltaError("block_size is 1; one input alone cannot be turned, so give at least 2.")
        super().__init__(targets, block_size=block_size)
        self.block_size = block_size

    def part(self, linear: nn.Linear) -> "Turned":
        if linear.in_features % self.block_size:
            raise DeltaError(f"block_size is {self.block_size}, which does not divide the {linear.in_features} inputs of a layer. Give a divisor of {linear.in_features}.")
        return Turned(linear, self.block_size)

    def size(self, linear: nn.Linear) -> int:
        return linear.in_features * (self.block_size - 1) // 2


class Turned(nn.Module):
    """The part on one linear layer."""

    def __init__(self, linear: nn.Linear, block_size: int) -> None:
        super().__init__()
        object.__setattr__(self, "host", linear)  # a neighbour, not a submodule
        blocks = linear.in_features // block_size
        self.angles = nn.Parameter(torch.zeros(blocks, block_size * (block_size - 1) // 2))  # Q above its diagonal
        rows, columns = torch.triu_indices(block_size, block_size, offset=1)
        self.register_buffer("above", rows * block_size + columns, persistent=False)
        self.block_size = block_size

    def turns(self) -> Tensor:
        """The blocks of R, [d_in/b,b,b]."""
        b, angles = self.block_size, self.angles.to(torch.promote_types(self.angles.dtype, torch.float32))
        upper = angles.new_zeros(len(angles), b * b).index_copy(1, self.above, angles).view(-1, b, b)
        Q, I = upper - upper.transpose(1, 2), torch.eye(b, dtype=angles.dtype, device=angles.device)
        return torch.linalg.solve(I - Q, I + Q)  # (I - Q)^-1 and (I + Q) commute

    def forward(self, x: Tensor, out: Tensor) -> Tensor:
        R = self.turns()
        pieces = x.to(R.dtype).unflatten(-1, (-1, self.block_size))  # [B,T,d_in] -> [B,T,d_in/b,b]
        moved = torch.einsum("...nj,nij->...ni", pieces, R) - pieces  # R x - x
        return out + F.linear(moved.flatten(-2), self.host.weight.to(R.dtype)).to(out.dtype)

    def update(self) -> Tensor:
        weight = self.host.weight.double()
        return weight @ torch.block_diag(*self.turns().double()) - weight  # W R - W
