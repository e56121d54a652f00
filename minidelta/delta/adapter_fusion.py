"""AdapterFusion: attention over the trained adapters of several tasks (Pfeiffer et al. 2021, section 3.2).

    z_t = W_up,t f(W_down,t h)             the change that the adapter of task t makes, t = 1 ... N
    s   = softmax over t of (Q h)^T (K z_t)
    h  <- h + sum_t s_t V z_t              Q, K, V [D,D] at each place

Changes: which adapters speak, for each token.  Frozen: all of the backbone, and the adapters.  V starts as the identity, so
the model starts as a mixture of the adapters.  Difference: the paper's z_t contain h; here h is added once, outside.
"""

from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor, nn

from minidelta.delta import store
from minidelta.delta.adapter import HoulsbyAdapter, ParallelAdapter, PfeifferAdapter, check_sublayer
from minidelta.delta.base import Delta
from minidelta.delta.checks import whole
from minidelta.errors import DeltaError
from minidelta.model.layers import ACTIVATIONS

FUSIBLE = {kind.name: kind for kind in (PfeifferAdapter, HoulsbyAdapter)}


class AdapterFusion(Delta):
    """A mixture of trained adapters.

    Args:
        adapters: at least two trained `PfeifferAdapter` or `HoulsbyAdapter`, or folders of saved ones, all of one size on the
            same sites.
        sizes: (N, bottleneck, activation, scaling) of a fusion that `load_delta` fills; else the adapters'.
    Raises: DeltaError without adapters, or for adapters that differ in their sizes or sites.

    >>> from minidelta.model import Transformer, TransformerConfig
    >>> model = Transformer(TransformerConfig(shape="decoder", vocab_size=100, d_model=32, n_layers=2, n_heads=4, d_ff=64))
    >>> tasks = [PfeifferAdapter(bottleneck_dim=4).attach(model).detach() for _ in range(3)]
    >>> AdapterFusion(tasks).attach(model).num_parameters()  # 2 layers x 3 x 32 x 32
    6144
    """

    name = "adapter-fusion"
    paper = "Pfeiffer et al. 2021"
    default_targets = ("ffn_out",)
    learning_rate = 1e-3

    def __init__(self, adapters: Sequence[HoulsbyAdapter | str | Path] | None = None, sizes: Sequence | None = None, targets: str | Sequence[str] | None = None) -> None:
        if not adapters and sizes is None:
            raise DeltaError("AdapterFusion mixes trained adapters, and none were given. Train PfeifferAdapter on several tasks, and pass them or their folders: AdapterFusion([one, two]).")
        values = [_values(adapter) for adapter in adapters or ()]
        if adapters:
            found = {str([delta.bottleneck_dim, delta.settings["activation"], delta.scaling, sorted(given)]) for delta, given in values}
            if len(found) > 1 or len(values) < 2:
                raise DeltaError(f"AdapterFusion met {len(values)} adapters of {len(found)} kinds. Give at least two, with the same bottleneck_dim, activation, scaling and sites.")
            first = values[0][0]
            sizes, targets = [len(values), first.bottleneck_dim, first.settings["activation"], first.scaling], targets or first.targets
        super().__init__(targets, sizes=list(sizes))
        self.sizes, self.trained = list(sizes), [given for _, given in values]

    def build(self, path: str, model: nn.Module) -> "Fusion":
        check_sublayer(self, path)
        part = Fusion(model.config.d_model, *self.sizes)
        for n, given in enumerate(self.trained):
            for name, theirs in (("down_w", "down_proj.weight"), ("down_b", "down_proj.bias"), ("up_w", "up_proj.weight"), ("up_b", "up_proj.bias")):
                value, place = given.get(f"{path}.{theirs}"), getattr(part, name)[n]
                if value is None or value.shape != place.shape:
                    raise DeltaError(f"Adapter {n} of the fusion does not fit this model at {path}. Give adapters that were trained on this model.")
                place.copy_(value)
        return part

    def formula(self, path: str, model: nn.Module) -> int:
        return 3 * model.config.d_model**2


class Fusion(nn.Module):
    """The part at the end of one sublayer; the adapters are buffers, for they do not train."""

    def __init__(self, d_model: int, adapters: int, bottleneck_dim: int, activation: str, scaling: float) -> None:
        super().__init__()
        whole(adapters=adapters, bottleneck_dim=bottleneck_dim)
        self.register_buffer("down_w", torch.zeros(adapters, bottleneck_dim, d_model))  # [N,R,D]
        self.register_buffer("down_b", torch.zeros(adapters, bottleneck_dim))
        self.register_buffer("up_w", torch.zeros(adapters, d_model, bottleneck_dim))  # [N,D,R]
        self.register_buffer("up_b", torch.zeros(adapters, d_model))
        self.query = nn.Parameter(torch.randn(d_model, d_model) * 0.1 * d_model**-0.5)
        self.key = nn.Parameter(torch.randn(d_model, d_model) * d_model**-0.5)
        self.value = nn.Parameter(torch.eye(d_model))
        self.activation, self.scaling = ACTIVATIONS[activation], scaling

    def forward(self, x: Tensor, out: Tensor) -> Tensor:
        h = out.to(self.query.dtype)  # [B,T,D]
        inner = self.activation(torch.einsum("btd,nrd->btnr", h, self.down_w) + self.down_b)
        z = self.scaling * (torch.einsum("btnr,ndr->btnd", inner, self.up_w) + self.up_b)  # [B,T,N,D]
        scores = torch.einsum("btd,btnd->btn", h @ self.query.t(), z @ self.key.t())
        mixed = torch.einsum("btn,btnd->btd", scores.softmax(-1), z @ self.value.t())
        return out + mixed.to(out.dtype)


def _values(adapter: HoulsbyAdapter | str | Path) -> tuple[HoulsbyAdapter, dict[str, Tensor]]:
    """An adapter and its values by name."""
    delta = store.read(Path(adapter), FUSIBLE, check_backbone=False) if isinstance(adapter, (str, Path)) else adapter
    if type(delta) not in FUSIBLE.values():
        raise DeltaError(f"AdapterFusion mixes adapters that stand behind a sublayer, and met a {type(delta).__name__}. Give PfeifferAdapter or HoulsbyAdapter{', not beside it' if isinstance(delta, ParallelAdapter) else ''}.")
    given = delta.loaded or {f"{path}.{name}": value.detach().float().cpu() for path, part in delta.parts_by_path().items() for name, value in part.state_dict().items()}
    if not given:
        raise DeltaError("AdapterFusion met an adapter that was never attached, so it has nothing to mix in. Train it first.")
    return delta, given
