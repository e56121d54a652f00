"""The unified view: one equation for adapters, prefixes and LoRA, and four choices in it (He et al. 2022, section 3 and table 1).

    h <- h + s Delta h        Delta h made from x, what went into a module, or from h, what came out of it

    form         how Delta h is computed        "mlp"      f(v W_down) W_up           "linear"  v W_down W_up
                                                "softmax"  softmax(q P_k^T) P_v       (W_down and W_up under another name)
    insertion    what v is                      "parallel"  x          "sequential"  h
    modifies     which h                        "attn_out", "cross_out", "ffn_out", a projection such as "q_proj", or "heads"
    composition  how it joins                   "add"  h + Delta h     "scaled"  h + s Delta h
                                                "gated"  (1 - lambda) h + lambda Delta h

Prefix, adapter, LoRA, parallel adapter and MAM are points of this space (`PRESETS`), and a `Design` is any point of it, as a delta.
What cannot be combined says why.  `gated_heads` writes prefix attention as a gated adapter: the two are exactly equal.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from minidelta.delta.base import Delta
from minidelta.delta.checks import positive, whole
from minidelta.delta.prefix import Prefix
from minidelta.delta.targets import PRESETS as GROUPS
from minidelta.errors import DeltaError, near_misses
from minidelta.model.layers import ACTIVATIONS

CHOICES = {
    "form": ("mlp", "linear", "softmax"),
    "insertion": ("parallel", "sequential"),
    "modifies": ("attn_out", "cross_out", "ffn_out", *GROUPS["linear"], "heads"),
    "composition": ("add", "scaled", "gated"),
}


@dataclass(frozen=True)
class Change:
    """One point of the design space.

    form, insertion, modifies, composition: see above.
    size: the bottleneck, the rank or the length of the prefix.
    scaling: s of "scaled"; 1 otherwise.
    activation: f of "mlp".
    Raises: DeltaError for a word that is no choice, and for a combination that has no meaning.

    >>> Change("linear", "parallel", "q_proj", "scaled", size=8, scaling=2.0).modifies
    'q_proj'
    """

    form: str
    insertion: str
    modifies: str
    composition: str
    size: int = 16
    scaling: float = 1.0
    activation: str = "relu"

    def __post_init__(self) -> None:
        for name, allowed in (CHOICES | {"activation": tuple(ACTIVATIONS)}).items():
            value = getattr(self, name)
            if value not in allowed:
                raise DeltaError(f"{name} is {value!r}, which is none of its choices. {near_misses(str(value), allowed)}")
        whole(size=self.size)
        positive(scaling=self.scaling)
        if problem := self.problem():
            raise DeltaError(problem)

    def problem(self) -> str | None:
        """Why this combination cannot be, in a sentence with a way out; None if it can."""
        if self.form == "softmax" and self.modifies != "heads":
            return f"A softmax form compares queries with learned keys, and {self.modifies} has no queries. Let it modify 'heads', or choose the form 'mlp' or 'linear'."
        if self.modifies == "heads" and self.form != "softmax":
            return f"Between queries and values stands nothing that a {self.form!r} form could be added to but the softmax itself. Choose the form 'softmax', or modify 'attn_out'."
        if self.modifies == "heads" and self.insertion == "sequential":
            return "Learned keys are compared with queries, which are made from x: the softmax form is parallel by nature. Choose insertion 'parallel'."
        if (self.composition == "gated") != (self.form == "softmax"):
            return "The gate lambda is the share of the softmax that falls on the learned keys: 'gated' and 'softmax' belong together. Choose 'add' or 'scaled' for the other forms."
        if self.modifies in GROUPS["linear"] and self.insertion == "sequential":
            return f"At {self.modifies} x has the width of what goes in and h that of what comes out, and in the paper's space only what reads x folds into a weight. Choose insertion 'parallel'."
        if self.composition != "scaled" and self.scaling != 1.0:
            return f"scaling is {self.scaling} with composition {self.composition!r}, which has no s. Choose composition 'scaled', or leave scaling at 1."
        return None


PRESETS: dict[str, tuple[Change, ...]] = {
    "prefix": (Change("softmax", "parallel", "heads", "gated", size=10),),
    "adapter": (Change("mlp", "sequential", "attn_out", "add", activation="gelu"), Change("mlp", "sequential", "ffn_out", "add", activation="gelu")),
    "lora": (Change("linear", "parallel", "q_proj", "scaled", size=8, scaling=2.0), Change("linear", "parallel", "v_proj", "scaled", size=8, scaling=2.0)),
    "parallel-adapter": (Change("mlp", "parallel", "ffn_out", "add", activation="gelu"),),
    "scaled-parallel-adapter": (Change("mlp", "parallel", "ffn_out", "scaled", scaling=4.0),),
    "mam": (Change("softmax", "parallel", "heads", "gated", size=5), Change("mlp", "parallel", "ffn_out", "scaled", scaling=4.0)),
}


class Design(Delta):
    """Any point of the design space, or several at once.

    Args:
        changes: `Change` objects, or the name of a preset: prefix, adapter, lora, parallel-adapter, scaled-parallel-adapter, mam.
            Default the scaled parallel adapter, the paper's best single one.
        targets: default what the changes modify; paths or patterns narrow it.
    Raises: DeltaError for an unknown preset, or two changes at one place.

    >>> from minidelta.model import Transformer, TransformerConfig
    >>> model = Transformer(TransformerConfig(shape="decoder", vocab_size=100, d_model=32, n_layers=2, n_heads=4, d_ff=64))
    >>> Design("lora").attach(model).num_parameters()  # 2 layers x 2 projections x 8 x (32 + 32)
    2048
    >>> Design([Change("mlp", "parallel", "attn_out", "add", size=4)]).attach(model).num_parameters()  # 2 x (2 x 4 x 32 + 4 + 32)
    584
    """

    name = "design"
    paper = "He et al. 2022"
    default_targets = ("ffn_out",)
    learning_rate = 3e-3

    def __init__(self, changes: str | Sequence[Change | dict[str, Any]] = "scaled-parallel-adapter", targets: str | Sequence[str] | None = None) -> None:
        if isinstance(changes, str):
            if changes not in PRESETS:
                raise DeltaError(f"There is no preset {changes!r}. {near_misses(changes, PRESETS)}")
            changes = PRESETS[changes]
        points = [change if isinstance(change, Change) else Change(**change) for change in changes]
        at = [_site(change) for change in points]
        if not at or len(set(at)) < len(at):
            raise DeltaError(f"The changes modify {', '.join(at) or 'nothing'}; give at least one change, and no two at the same place.")
        super().__init__(targets or at, changes=[asdict(change) for change in points])
        self.changes = dict(zip(at, points))

    def change_at(self, path: str) -> Change:
        """The change that belongs to a site."""
        place = path.rsplit(".", 1)[-1]
        if place not in self.changes:
            raise DeltaError(f"No change of this design modifies {place}, the place of {path}. It has: {', '.join(self.changes)}.")
        return self.changes[place]

    def build(self, path: str, model: nn.Module) -> nn.Module:
        change = self.change_at(path)
        if change.form == "softmax":
            return Prefix(change.size, model.config.n_heads * model.config.d_head)
        return Form(change, *_widths(path, model))

    def formula(self, path: str, model: nn.Module) -> int:
        change = self.change_at(path)
        if change.form == "softmax":
            return 2 * change.size * model.config.n_heads * model.config.d_head
        d_in, d_out = _widths(path, model)
        return change.size * (d_in + d_out) + (change.size + d_out) * (change.form == "mlp")

    def updates(self, path: str, part: nn.Module) -> dict[str, Tensor]:
        change = self.change_at(path)
        if change.form == "linear" and change.modifies in GROUPS["linear"]:
            return {f"{path}.weight": part.update()}
        raise DeltaError(f"This design cannot be merged: a {change.form!r} form at {change.modifies} is no change of one weight. Keep it attached.")


class Form(nn.Module):
    """The part of the forms "mlp" and "linear"."""

    def __init__(self, change: Change, d_in: int, d_out: int) -> None:
        super().__init__()
        bias = change.form == "mlp"
        self.down_proj, self.up_proj = nn.Linear(d_in, change.size, bias), nn.Linear(change.size, d_out, bias)
        for zero in self.up_proj.parameters():
            nn.init.zeros_(zero)
        self.f = ACTIVATIONS[change.activation] if change.form == "mlp" else lambda v: v
        self.parallel, self.scaling = change.insertion == "parallel", change.scaling

    def forward(self, x: Tensor, out: Tensor) -> Tensor:
        v = x if self.parallel else out
        change = self.up_proj(self.f(self.down_proj(v.to(self.down_proj.weight.dtype))))  # Delta h
        return out + (self.scaling * change).to(out.dtype)  # h + s Delta h

    def update(self) -> Tensor:
        """What a linear form adds to the weight it stands beside [d_out,d_in]."""
        return self.scaling * self.up_proj.weight.double() @ self.down_proj.weight.double()


def gated_heads(q: Tensor, k: Tensor, v: Tensor, prefix_k: Tensor, prefix_v: Tensor, scale: float) -> Tensor:
    """Prefix attention written as a gated adapter (He et al. 2022, section 3.1).

        head = (1 - lambda) softmax(q K^T) V + lambda softmax(q P_k^T) P_v
        lambda = sum_i exp(q P_k^T)_i / (sum_i exp(q P_k^T)_i + sum_j exp(q K^T)_j)        one for each query

    Args:
        q, k, v: [...,T,K], [...,S,K], [...,S,K].
        prefix_k, prefix_v: [...,P,K].
        scale: of the scores, 1/sqrt(K).
    Returns: [...,T,K], equal to softmax(q [P_k; K]^T) [P_v; V].

    >>> q, k, v, p_k, p_v = torch.randn(5, 3, 4, generator=torch.Generator().manual_seed(0))
    >>> both = F.softmax(q @ torch.cat((p_k, k)).T / 2, -1) @ torch.cat((p_v, v))
    >>> torch.allclose(gated_heads(q, k, v, p_k, p_v, 0.5), both, atol=1e-6)
    True
    """
    own, learned = q @ k.transpose(-1, -2) * scale, q @ prefix_k.transpose(-1, -2) * scale  # [...,T,S], [...,T,P]
    gate = (learned.logsumexp(-1, keepdim=True) - own.logsumexp(-1, keepdim=True)).sigmoid()  # lambda [...,T,1]
    return (1 - gate) * (own.softmax(-1) @ v) + gate * (learned.softmax(-1) @ prefix_v)


def _site(change: Change) -> str:
    """The site where a change hangs."""
    return "kv" if change.modifies == "heads" else change.modifies


def _widths(path: str, model: nn.Module) -> tuple[int, int]:
    """(width of v, width of h) at a site."""
    module = model.get_submodule(path)
    return (module.in_features, module.out_features) if isinstance(module, nn.Linear) else (model.config.d_model, model.config.d_model)
