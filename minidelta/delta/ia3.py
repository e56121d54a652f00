"""IA3: learned factors on keys, values and the inner units of the feed-forward (Liu et al. 2022, section 3.3).

    softmax(Q (l_k * K)^T / sqrt(d)) (l_v * V)        (l_ff * f(W_1 x)) W_2        * is element by element

Changes: three vectors in each layer, one more pair for cross-attention.  Frozen: all of the backbone.  The factors start
at one, so the model starts unchanged.  They fold into the weights: l_k * (W x + b) has the weight l_k * W and the bias l_k * b.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from minidelta.delta.base import Delta
from minidelta.errors import DeltaError


class IA3(Delta):
    """Scaling of inner activations.

    Args:
        targets: sites attn.kv, cross.kv and ffn.act; default all of them.
    Raises: DeltaError for any other target; at `merge`, if another delta hangs on a layer that the factors fold into.

    >>> from minidelta.model import Transformer, TransformerConfig
    >>> model = Transformer(TransformerConfig(shape="decoder", vocab_size=100, d_model=32, n_layers=2, n_heads=4, d_ff=64))
    >>> IA3().attach(model).num_parameters()  # 2 x (32 + 32 + 64)
    256
    """

    name = "ia3"
    paper = "Liu et al. 2022"
    default_targets = ("kv", "act")
    learning_rate = 5e-2
    peft = "IA3"

    def __init__(self, targets: str | Sequence[str] | None = None) -> None:
        super().__init__(targets)

    def build(self, path: str, model: nn.Module) -> nn.Module:
        if path.endswith(".kv"):
            return ScaledKeysValues(model.config.n_heads * model.config.d_head)
        if path.endswith(".act"):
            return ScaledUnits(model.config.d_ff)
        raise DeltaError(f"IA3 scales keys, values and inner units, and {path} has none of these. Target kv or act.")

    def formula(self, path: str, model: nn.Module) -> int:
        return 2 * model.config.n_heads * model.config.d_head if path.endswith(".kv") else model.config.d_ff

    def updates(self, path: str, part: nn.Module) -> dict[str, Tensor]:
        around = path.rsplit(".", 1)[0]  # layers.0.attn.kv -> layers.0.attn
        factors = {"k_proj": part.scale_k, "v_proj": part.scale_v} if path.endswith(".kv") else {"down_proj": part.scale}
        found = {}
        for layer, factor in factors.items():
            linear, growth = self.model.get_submodule(f"{around}.{layer}"), factor.double() - 1
            if linear.site.parts:
                raise DeltaError(f"IA3 cannot be merged while {next(iter(linear.site.parts))!r} hangs on {around}.{layer}: the factor covers its change, too. Merge that one first.")
            found[f"{around}.{layer}.weight"] = linear.weight * (growth if layer == "down_proj" else growth[:, None])  # inputs are columns, outputs rows
            if layer != "down_proj" and linear.bias is not None:
                found[f"{around}.{layer}.bias"] = linear.bias * growth
        return found


class ScaledKeysValues(nn.Module):
    """The part before one attention splits into heads."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.scale_k = nn.Parameter(torch.ones(width))  # [H*K]
        self.scale_v = nn.Parameter(torch.ones(width))

    def forward(self, x: Tensor, out: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor]:
        k, v = out  # [B,S,H*K] each
        return k * self.scale_k.to(k.dtype), v * self.scale_v.to(v.dtype)


class ScaledUnits(nn.Module):
    """The part between the two layers of one feed-forward."""

    def __init__(self, d_ff: int) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.ones(d_ff))  # [F]

    def forward(self, x: Tensor, out: Tensor) -> Tensor:
        return out * self.scale.to(out.dtype)  # [B,T,F]
