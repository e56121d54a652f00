"""Intrinsic dimension: all weights move along one small vector (Aghajanyan et al. 2021, equations 1 and 2; Li et al. 2018).

    DID     theta_l = theta_l,0 + P_l theta_d               theta_d [d] is all that trains; P_l is fixed and random
    SAID    theta_l = theta_l,0 + lambda_l P_l theta_d      and a scale for each layer; the lambdas count in d

    P = H G Pi H B        Fastfood (Le et al. 2013): signs B, Walsh-Hadamard transform H, permutation Pi, Gaussians G;
                          O(D log D) steps and O(D) memory for the D weights of a layer

Changes: the weights of the chosen linears, d numbers in all.  Frozen: all of the backbone.  theta_d starts at zero, so the model
starts unchanged.  P is drawn again from the seed and the layer's place.  Scaled so that a layer moves about as far as theta_d does.
Difference: biases, norms and embeddings stay.
"""

import functools
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from minidelta.delta.checks import whole
from minidelta.delta.linear import Difference, LinearDelta
from minidelta.errors import DeltaError


class DID(LinearDelta):
    """Direct intrinsic dimension: one vector for the whole model.

    Args:
        dimension: d.
        seed: of the projections.
        targets: linear sites; default all.
    Raises: DeltaError for a dimension below 1 (SAID: not above the number of layers), or a target that is not a linear layer.

    >>> from minidelta.model import Transformer, TransformerConfig
    >>> model = Transformer(TransformerConfig(shape="decoder", vocab_size=100, d_model=32, n_layers=2, n_heads=4, d_ff=64))
    >>> DID(dimension=50).attach(model).num_parameters()
    50
    """

    name = "did"
    paper = "Li et al. 2018"
    default_targets = ("linear",)
    learning_rate = 1e-2
    scaled = False

    def __init__(self, dimension: int = 200, seed: int = 0, targets: str | Sequence[str] | None = None) -> None:
        whole(dimension=dimension)
        super().__init__(targets, dimension=dimension, seed=seed)
        self.dimension, self.seed = dimension, seed
        self.direction: Direction | None = None  # shared by all parts

    def places(self, model: nn.Module) -> list[str]:
        paths = super().places(model)
        size = self.dimension - len(paths) * self.scaled
        if size < 1:
            raise DeltaError(f"dimension is {self.dimension}, and {len(paths)} of it are the scales of the layers; give more than {len(paths)}.")
        self.direction, self.built = Direction(size), 0
        return paths

    def part(self, linear: nn.Linear) -> "Projected":
        self.built += 1
        return Projected(linear, self.direction, self.seed * 1_000_003 + self.built, self.scaled)

    def size(self, linear: nn.Linear) -> int:
        return int(self.scaled)

    def expected(self, model: nn.Module) -> int:
        return self.dimension


class SAID(DID):
    """Structure-aware intrinsic dimension: DID with a learned scale for each layer.

    >>> SAID().scaled
    True
    """

    name = "said"
    paper = "Aghajanyan et al. 2021"
    scaled = True


class Direction(nn.Module):
    """theta_d, which all layers share."""

    def __init__(self, size: int) -> None:
        super().__init__()
        self.theta = nn.Parameter(torch.zeros(size))  # [d]


class Projected(Difference):
    """The part on one linear layer."""

    def __init__(self, linear: nn.Linear, direction: Direction, seed: int, scaled: bool) -> None:
        super().__init__(linear)
        n = 1 << (max(linear.weight.numel(), len(direction.theta)) - 1).bit_length()  # the next power of two
        lot = torch.Generator().manual_seed(seed)
        gauss = torch.randn(n, generator=lot)
        self.direction = direction
        self.scale = nn.Parameter(torch.ones(1)) if scaled else None  # lambda_l
        self.register_buffer("signs", torch.randint(2, (n,), generator=lot) * 2.0 - 1, persistent=False)  # B
        self.register_buffer("order", torch.randperm(n, generator=lot), persistent=False)  # Pi
        self.register_buffer("gauss", gauss / gauss.square().mean().sqrt(), persistent=False)  # G

    def update(self) -> Tensor:
        theta, shape = self.direction.theta, self.host.weight.shape
        padded = nn.functional.pad(theta, (0, len(self.signs) - len(theta)))  # [n]
        projected = hadamard(self.gauss * hadamard(self.signs * padded)[self.order])  # H G Pi H B theta
        update = projected[: shape.numel()].view(shape)
        return update if self.scale is None else self.scale * update


def hadamard(x: Tensor) -> Tensor:
    """The Walsh-Hadamard transform of [n], n a power of two, scaled so that it keeps lengths; n log n steps.

    H of a product is the Kronecker product of the Hs, so x is folded and one axis of up to 64 is transformed at a time: two or
    three small matrix products in place of log2 n sums and differences.

    >>> hadamard(torch.tensor([1.0, 0.0, 0.0, 0.0]))
    tensor([0.5000, 0.5000, 0.5000, 0.5000])
    """
    n, left = len(x), len(x)
    while left > 1:
        size = min(left, 64)
        x = (x.view(size, -1).T @ matrix(size, x.dtype, x.device)).flatten()  # [size,rest] -> [rest,size]: the axes have turned round in the end
        left //= size
    return x * n**-0.5


@functools.cache
def matrix(size: int, dtype: torch.dtype, device: torch.device) -> Tensor:
    """H [size,size], of 1 and -1; `size` a power of two.  Made once: the steps of training share it."""
    if size == 1:
        return torch.ones(1, 1, dtype=dtype, device=device)
    half = matrix(size // 2, dtype, device)
    return torch.cat((torch.cat((half, half), 1), torch.cat((half, -half), 1)))
