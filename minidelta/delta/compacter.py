"""Compacter: adapters whose matrices are sums of Kronecker products (Karimi Mahabadi et al. 2021).

    W = sum_i A_i (x) (s_i t_i^T)       A_i [N,N] shared by all adapters, s_i [d_in/N,1], t_i [d_out/N,1], i = 1 ... N

(x) is the Kronecker product.  Changes: what the sublayers add to the stream, as an adapter does.  Frozen: all of the
backbone.  A matrix [d_in,d_out] costs d_in + d_out numbers instead of d_in d_out, and the A_i N^3 once.
s_i of the way up starts at zero, so the model starts unchanged.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from minidelta.delta.adapter import HoulsbyAdapter, check_sublayer
from minidelta.delta.checks import whole
from minidelta.errors import DeltaError
from minidelta.model.layers import ACTIVATIONS


class Compacter(HoulsbyAdapter):
    """Adapters of parameterised hypercomplex multiplication with rank-1 factors, after attention and feed-forward.

    Args:
        products: N, the number of Kronecker products.  It must divide D and the bottleneck.
        bottleneck_dim: width between down and up.
    Raises: DeltaError if N divides them not, and as `HoulsbyAdapter`.

    >>> from minidelta.model import Transformer, TransformerConfig
    >>> model = Transformer(TransformerConfig(shape="decoder", vocab_size=100, d_model=32, n_layers=2, n_heads=4, d_ff=64))
    >>> Compacter(bottleneck_dim=8).attach(model).num_parameters()  # 4^3 + 2 x 2 x (2 x (32 + 8) + 8 + 32)
    544
    """

    name = "compacter"
    paper = "Karimi Mahabadi et al. 2021"
    learning_rate = 1e-2

    def __init__(self, products: int = 4, bottleneck_dim: int = 24, activation: str = "gelu", scaling: float = 1.0, targets: str | Sequence[str] | None = None) -> None:
        whole(products=products)
        super().__init__(bottleneck_dim, activation, scaling, targets)
        if bottleneck_dim % products:
            raise DeltaError(f"bottleneck_dim is {bottleneck_dim}, which {products} products cannot share; give a multiple of {products}.")
        self.products, self.settings = products, {"products": products} | self.settings
        self.rule = Rule(products)  # shared by all parts

    def build(self, path: str, model: nn.Module) -> "CompactBottleneck":
        check_sublayer(self, path)
        if model.config.d_model % self.products:
            raise DeltaError(f"This model is {model.config.d_model} wide, which {self.products} products cannot share; give products a divisor of {model.config.d_model}.")
        return CompactBottleneck(model.config.d_model, self.bottleneck_dim, self.rule, self.activation, self.scaling)

    def formula(self, path: str, model: nn.Module) -> int:
        return 3 * (model.config.d_model + self.bottleneck_dim)

    def expected(self, model: nn.Module) -> int:
        return self.products**3 + super().expected(model)


class Rule(nn.Module):
    """The A_i: how the N slices of a vector mix, the same in every adapter."""

    def __init__(self, products: int) -> None:
        super().__init__()
        self.A = nn.Parameter(torch.randn(products, products, products) * products**-0.5)  # [N,N,N]


class Hypercomplex(nn.Module):
    """x -> x W with W = sum_i A_i (x) (s_i t_i^T), without forming W."""

    def __init__(self, d_in: int, d_out: int, rule: Rule, zero: bool = False) -> None:
        super().__init__()
        n = len(rule.A)
        self.rule = rule
        self.s = nn.Parameter(torch.zeros(n, d_in // n) if zero else torch.randn(n, d_in // n) * (d_in // n) ** -0.5)  # [N,d_in/N]
        self.t = nn.Parameter(torch.randn(n, d_out // n))  # [N,d_out/N]
        self.bias = nn.Parameter(torch.zeros(d_out))

    def forward(self, x: Tensor) -> Tensor:
        slices = x.unflatten(-1, (len(self.rule.A), -1))  # [B,T,d_in] -> [B,T,N,d_in/N]
        thin = slices @ self.s.t()  # [B,T,N,N]: slice p seen by s_i
        mixed = torch.einsum("...pi,ipq->...qi", thin, self.rule.A)  # sum over slices p: [B,T,N,N]
        return (mixed @ self.t).flatten(-2) + self.bias  # sum over i: [B,T,N,d_out/N] -> [B,T,d_out]


class CompactBottleneck(nn.Module):
    """The part at the end of one sublayer."""

    def __init__(self, d_model: int, bottleneck_dim: int, rule: Rule, activation: str, scaling: float) -> None:
        super().__init__()
        self.down_proj = Hypercomplex(d_model, bottleneck_dim, rule)
        self.up_proj = Hypercomplex(bottleneck_dim, d_model, rule, zero=True)
        self.activation, self.scaling = ACTIVATIONS[activation], scaling

    def forward(self, x: Tensor, out: Tensor) -> Tensor:
        h = self.activation(self.down_proj(out.to(self.down_proj.bias.dtype)))  # [B,T,D] -> [B,T,R]
        return out + (self.scaling * self.up_proj(h)).to(out.dtype)  # [B,T,R] -> [B,T,D]
