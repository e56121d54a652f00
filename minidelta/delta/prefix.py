"""Prefix tuning: learned keys and values before those of the text, in every attention.

    Li and Liang 2021, section 4     head = softmax(q [P_k; K]^T / sqrt(d)) [P_v; V]
    there, section 4.3               [P_k; P_v] = MLP(P')        P' [P,D] and the MLP train; afterwards only P_k, P_v are kept
    Liu et al. 2022, P-tuning v2     P_k and P_v [P,HK] train directly        (with them the MLP is an option)

Changes: each query may look at P more places.  Frozen: all of the backbone.  The model does not start unchanged.  In an
encoder-decoder self-attention and cross-attention both get prefixes, as in Li and Liang's BART.
A prefix takes no positions here unless `positions` says so; where it is written as the past of a model, as Li and Liang do and
PEFT does, the text begins at position P.
"""

from collections.abc import Sequence
from typing import Self

import torch
from torch import Tensor, nn

from minidelta.delta.base import Delta
from minidelta.delta.checks import whole
from minidelta.errors import DeltaError


class PTuningV2(Delta):
    """Prefixes in every attention, trained directly.

    Args:
        prefix_length: P, in vectors; 10 for short texts (E2E), 200 for summaries (XSum) in Li and Liang.
        positions: whether the prefix takes the first P positions, and the text those behind it.  Then it stands in every
            self-attention of a stack, or in none.
        targets: sites where keys and values pass; default all.
    Raises: DeltaError for a length below 1, or a target that is no such site; with positions, for targets that leave out
        some attentions of a stack, or name a cross-attention.

    >>> from minidelta.model import Transformer, TransformerConfig
    >>> model = Transformer(TransformerConfig(shape="decoder", vocab_size=100, d_model=32, n_layers=2, n_heads=4, d_ff=64))
    >>> PTuningV2(prefix_length=5).attach(model).num_parameters()  # 2 layers x (keys and values) x 5 x 32
    640
    """

    name = "p-tuning-v2"
    paper = "Liu et al. 2022"
    default_targets: Sequence[str] = ("kv",)
    learning_rate = 1e-1
    peft = "PREFIX_TUNING"

    def __init__(self, prefix_length: int = 10, positions: bool = False, targets: str | Sequence[str] | None = None) -> None:
        whole(prefix_length=prefix_length)
        super().__init__(targets, prefix_length=prefix_length, positions=positions)
        self.prefix_length, self.positions = prefix_length, positions
        self.prompt_length = prefix_length if positions else 0  # for which `fit` leaves room

    def attach(self, model: nn.Module) -> Self:
        super().attach(model)
        for stack in self.stacks():
            stack.ahead += self.prefix_length
        return self

    def detach(self) -> Self:
        for stack in self.stacks() if self.model is not None else ():
            stack.ahead -= self.prefix_length
        return super().detach()

    def stacks(self) -> list[nn.Module]:
        """The stacks whose text it moves."""
        names = {path.split("layers.")[0].rstrip(".") for path in self.paths} if self.positions else ()
        return [self.model.get_submodule(name) for name in names]

    def places(self, model: nn.Module) -> list[str]:
        paths = super().places(model)
        for name in {path.split("layers.")[0] for path in paths} if self.positions else ():
            own = [path for path in paths if path.startswith(name + "layers.")]
            if own != [path for path in model.sites() if path.startswith(name + "layers.") and path.endswith(".attn.kv")]:
                raise DeltaError(f"positions is True, and a prefix that takes positions stands in all self-attentions of a stack and nowhere else, not in {', '.join(own)}. Target attn.kv, or leave positions out.")
        return paths

    def build(self, path: str, model: nn.Module) -> "Prefix":
        check_keys_values(self, path)
        return Prefix(self.prefix_length, model.config.n_heads * model.config.d_head)

    def for_peft(self) -> dict[str, dict[str, Tensor]]:
        """The prefixes alone, without what made them."""
        if not self.positions:
            raise DeltaError(f"PEFT lets the text begin at position P behind a prefix, and this {type(self).__name__} takes no positions. Train it with positions=True to write it there.")
        return {path: dict(zip(("prefix_k", "prefix_v"), part.prefix())) for path, part in self.parts_by_path().items()}

    def formula(self, path: str, model: nn.Module) -> int:
        return 2 * self.prefix_length * model.config.n_heads * model.config.d_head


class PrefixTuning(PTuningV2):
    """Prefixes in every attention, made by one small network while they train.

    Args:
        prefix_length: P, in vectors.
        hidden_dim: width of the MLP; None: D.  512 (800 for summaries) in the paper.
        positions, targets: as in `PTuningV2`.

    >>> from minidelta.model import Transformer, TransformerConfig
    >>> model = Transformer(TransformerConfig(shape="decoder", vocab_size=100, d_model=32, n_layers=2, n_heads=4, d_ff=64))
    >>> delta = PrefixTuning(prefix_length=5, hidden_dim=8).attach(model)
    >>> delta.num_parameters()  # P' and the first layer once, the second for each attention: 5 x 32 + 33 x 8 + 2 x 9 x 64
    1576
    >>> delta.detach().plain().attach(model).num_parameters()  # what is worth keeping
    640
    """

    name = "prefix"
    paper = "Li and Liang 2021"
    learning_rate = 5e-3

    def __init__(self, prefix_length: int = 10, hidden_dim: int | None = None, positions: bool = False, targets: str | Sequence[str] | None = None) -> None:
        whole(hidden_dim=1 if hidden_dim is None else hidden_dim)
        super().__init__(prefix_length, positions, targets)
        self.hidden_dim, self.settings = hidden_dim, self.settings | {"hidden_dim": hidden_dim}
        self.trunk: Trunk | None = None

    def build(self, path: str, model: nn.Module) -> "MadePrefix":
        check_keys_values(self, path)
        if self.trunk is None:
            self.trunk = Trunk(self.prefix_length, model.config.d_model, self.hidden_dim or model.config.d_model)
        return MadePrefix(self.trunk, model.config.n_heads * model.config.d_head)

    def formula(self, path: str, model: nn.Module) -> int:
        return 2 * model.config.n_heads * model.config.d_head * ((self.hidden_dim or model.config.d_model) + 1)

    def expected(self, model: nn.Module) -> int:
        d = model.config.d_model
        return self.prefix_length * d + (d + 1) * (self.hidden_dim or d) + super().expected(model)

    @torch.no_grad()
    def plain(self) -> PTuningV2:
        """The prefixes alone, as a delta of their own that does exactly the same; attach it in place of this one."""
        if not self.parts:
            raise DeltaError("This PrefixTuning has no prefixes yet. Attach it to a model and train it first.")
        bare = PTuningV2(self.prefix_length, self.positions, self.targets)
        bare.loaded = {f"{path}.{name}": value.clone() for path, part in self.parts_by_path().items() for name, value in zip(("prefix_k", "prefix_v"), part.prefix())}
        return bare


class BeforeKeysValues(nn.Module):
    """A part before one attention splits into heads; `prefix` tells P_k and P_v, [P,H*K] each."""

    def prefix(self) -> tuple[Tensor, Tensor]:
        raise NotImplementedError

    def forward(self, x: Tensor, out: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor]:
        pairs = zip(self.prefix(), out)
        return tuple(torch.cat((p.to(own.dtype).expand(len(own), -1, -1), own), dim=1) for p, own in pairs)  # [B,S,H*K] -> [B,P+S,H*K]


class Prefix(BeforeKeysValues):
    """A prefix that trains directly."""

    def __init__(self, prefix_length: int, width: int) -> None:
        super().__init__()
        self.prefix_k = nn.Parameter(torch.randn(prefix_length, width) * 0.1)  # [P,H*K]
        self.prefix_v = nn.Parameter(torch.randn(prefix_length, width) * 0.1)

    def prefix(self) -> tuple[Tensor, Tensor]:
        return self.prefix_k, self.prefix_v


class Trunk(nn.Module):
    """What all prefixes have in common: P' and the first layer of the MLP."""

    def __init__(self, prefix_length: int, d_model: int, hidden_dim: int) -> None:
        super().__init__()
        self.seed = nn.Parameter(torch.randn(prefix_length, d_model))  # P' [P,D]
        self.first = nn.Linear(d_model, hidden_dim)

    def forward(self) -> Tensor:
        return self.first(self.seed).tanh()  # [P,D] -> [P,hidden]


class MadePrefix(BeforeKeysValues):
    """A prefix that comes from the shared trunk."""

    def __init__(self, trunk: Trunk, width: int) -> None:
        super().__init__()
        self.trunk = trunk
        self.second = nn.Linear(trunk.first.out_features, 2 * width)

    def prefix(self) -> tuple[Tensor, Tensor]:
        return self.second(self.trunk()).chunk(2, dim=-1)  # [P,hidden] -> [P,H*K] twice


def check_keys_values(delta: Delta, path: str) -> None:
    """Prefixes hang where keys and values pass.  Raises: DeltaError for any other site."""
    if not path.endswith(".kv"):
        raise DeltaError(f"{type(delta).__name__} lengthens keys and values, and {path} is not where they pass. Target kv, attn.kv or cross.kv.")
