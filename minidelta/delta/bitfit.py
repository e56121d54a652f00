"""BitFit: only biases train (Ben Zaken et al. 2022).  LN-tuning: only the gain and shift of the norms (Qi et al. 2022, LN-tuning).

    BitFit      W x + b          becomes   W x + (b + Delta b)
    LN-tuning   g * n(x) + b     becomes   (g + Delta g) * n(x) + (b + Delta b)        n(x) is x normalised

Changes: the biases of linears and norms; of norms also the gain.  Frozen: everything else.  The changes start at zero and
are kept beside the original values, which are never touched: so they can be added up, merged and taken away exactly.
Trained this way they get the very gradients that b and g would get.  Difference: weight decay pulls towards the
pre-trained values, not towards zero.
"""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from minidelta.delta.base import Delta
from minidelta.delta.targets import PRESETS, find_sites
from minidelta.errors import DeltaError
from minidelta.model.layers import LayerNorm, RMSNorm

NORMS = ("attn_norm", "cross_norm", "ffn_norm", "embedding_norm", "final_norm")


class BitFit(Delta):
    """Biases of all linears and norms of the blocks.

    Args:
        targets: linears and norms by suffix, pattern or preset; default all that have a bias.  "q_proj" and "up_proj"
            are the paper's smaller choice, b_q and b_m2.
    Raises: DeltaError at `attach` if none of the targets has a bias, as in T5.

    >>> from minidelta.model import Transformer, TransformerConfig
    >>> model = Transformer(TransformerConfig(shape="decoder", vocab_size=100, d_model=32, n_layers=2, n_heads=4, d_ff=64))
    >>> BitFit().attach(model).num_parameters()  # 2 x (4 x 32 + 64 + 32 + 2 x 32)
    576
    """

    name = "bitfit"
    paper = "Ben Zaken et al. 2022"
    default_targets = (*PRESETS["linear"], *NORMS)
    learning_rate = 2e-2
    slowing = 0.5

    def __init__(self, targets: str | Sequence[str] | None = None) -> None:
        super().__init__(targets)

    def places(self, model: nn.Module) -> list[str]:
        paths = [path for path in sites_there(model, self) if getattr(model.get_submodule(path), "bias", None) is not None]
        if not paths:
            raise DeltaError("BitFit trains biases, and this model has none where it was asked to (T5 has no biases at all). Choose ln-tuning or ia3, which train vectors, too.")
        return paths

    def build(self, path: str, model: nn.Module) -> "BiasChange":
        return BiasChange(len(model.get_submodule(path).bias))

    def formula(self, path: str, model: nn.Module) -> int:
        return model.get_submodule(path).bias.numel()

    def updates(self, path: str, part: nn.Module) -> dict[str, Tensor]:
        return {f"{path}.bias": part.bias}


class LNTuning(Delta):
    """Gain and shift of all norms.

    Args:
        targets: norms by suffix or pattern; default all.
    Raises: DeltaError at `attach` for a target that is not a norm.

    >>> from minidelta.model import Transformer, TransformerConfig
    >>> model = Transformer(TransformerConfig(shape="decoder", vocab_size=100, d_model=32, n_layers=2, n_heads=4, d_ff=64))
    >>> LNTuning().attach(model).num_parameters()  # 2 x 2 x (32 + 32)
    256
    """

    name = "ln-tuning"
    paper = "Qi et al. 2022"
    default_targets = NORMS
    learning_rate = 1e-2
    peft = "LN_TUNING"

    def __init__(self, targets: str | Sequence[str] | None = None) -> None:
        super().__init__(targets)

    def places(self, model: nn.Module) -> list[str]:
        return sites_there(model, self)

    def build(self, path: str, model: nn.Module) -> "NormChange":
        norm = model.get_submodule(path)
        if not isinstance(norm, (LayerNorm, RMSNorm)):
            raise DeltaError(f"LN-tuning trains norms, and {path} is not one. Target {', '.join(NORMS)}.")
        return NormChange(norm)

    def formula(self, path: str, model: nn.Module) -> int:
        return sum(p.numel() for p in model.get_submodule(path).parameters(recurse=False))

    def updates(self, path: str, part: nn.Module) -> dict[str, Tensor]:
        return part.updates(path)

    def for_peft(self) -> dict[str, dict[str, Tensor]]:
        """Whole norms, g + Delta g and b + Delta b."""
        return {path: {name: getattr(part.host, name) + value for name, value in part.state_dict().items()} for path, part in self.parts_by_path().items()}


class BiasChange(nn.Module):
    """The part on one linear or norm: adds to its bias."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.bias = nn.Parameter(torch.zeros(width))  # Delta b

    def forward(self, x: Tensor, out: Tensor) -> Tensor:
        return out + self.bias.to(out.dtype)


class NormChange(nn.Module):
    """The part on one norm."""

    def __init__(self, norm: nn.Module) -> None:
        super().__init__()
        object.__setattr__(self, "host", norm)  # a neighbour, not a submodule
        self.weight = nn.Parameter(torch.zeros_like(norm.weight, dtype=torch.float32))  # Delta g [D]
        self.bias = nn.Parameter(torch.zeros_like(norm.bias, dtype=torch.float32)) if isinstance(norm, nn.LayerNorm) else None  # Delta b [D]

    def forward(self, x: Tensor, out: Tensor) -> Tensor:
        normalise = F.rms_norm if self.bias is None else F.layer_norm
        plain = normalise(x.to(self.weight.dtype), self.weight.shape, eps=self.host.eps)  # n(x) [B,T,D]
        change = self.weight * plain if self.bias is None else self.weight * plain + self.bias
        return out + change.to(out.dtype)

    def updates(self, path: str) -> dict[str, Tensor]:
        """What it adds to the backbone, by parameter name."""
        return {f"{path}.weight": self.weight} | ({} if self.bias is None else {f"{path}.bias": self.bias})


def sites_there(model: nn.Module, delta: Delta) -> list[str]:
    """`find_sites`, where the default targets may name more than a model has (a gate, a cross-attention, a final norm)."""
    targets = delta.targets
    if targets == list(delta.default_targets):
        ends = {path.rsplit(".", 1)[-1] for path in model.sites()}
        targets = [target for target in targets if target in ends]
    return find_sites(model, targets)
