"""Ladder side-tuning: a narrow network beside the backbone, with one rung to each layer (Sung et al. 2022, section 3).

    s_i = g_i(mu_i D_i(h_i) + (1 - mu_i) s_(i-1))        mu_i = sigmoid(alpha_i / 0.1), D_i [w,D], w = D / reduction
    h_L <- h_L + U s_L                                   at the end, U [D,w]

Changes: the last hidden states.  Frozen: all of the backbone, and more than that: the rungs read h_i detached, so the
backbone runs without a graph and keeps no activation for a backward pass.  That is where the memory of the other deltas
goes: their gradients travel through the whole backbone.  U starts at zero, so the model starts unchanged.
Differences: g_i is a feed-forward with a residual (the backbone has mixed the tokens already; so neither masks nor caches have
to reach the ladder), where the paper has small transformer layers, pruned from the backbone; of an encoder-decoder the
ladder stands beside the decoder alone, since through the encoder's states a gradient would enter the decoder.
"""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from minidelta.delta.base import Delta
from minidelta.delta.checks import whole
from minidelta.delta.targets import find_sites
from minidelta.errors import DeltaError

TEMPERATURE = 0.1  # of the gate mu: a small step of alpha opens or closes it


class LST(Delta):
    """Ladder side-tuning.

    Args:
        reduction: the ladder is D / reduction wide; 8 in the paper.
        targets: default every layer's result and the last states.
    Raises: DeltaError for a reduction below 1, or a ladder that does not end at `final`.

    >>> from minidelta.model import Transformer, TransformerConfig
    >>> model = Transformer(TransformerConfig(shape="decoder", vocab_size=100, d_model=32, n_layers=2, n_heads=4, d_ff=64))
    >>> LST().attach(model).num_parameters()  # width 4; entry 33 x 4, two rungs of 33 x 4 + 1 + 5 x 16 + 17 x 4, exit 5 x 32
    854
    """

    name = "lst"
    paper = "Sung et al. 2022"
    default_targets = ("block_out", "final")
    learning_rate = 1e-2

    def __init__(self, reduction: int = 8, targets: str | Sequence[str] | None = None) -> None:
        whole(reduction=reduction)
        super().__init__(targets, reduction=reduction)
        self.reduction = reduction

    def places(self, model: nn.Module) -> list[str]:
        paths = beside_the_answer(find_sites(model, self.targets))
        if not paths or not paths[-1].endswith("final"):
            raise DeltaError("A ladder adds what it found at the end, and its targets do not reach it. Target block_out and final.")
        self.climb = Climb()
        return paths

    def build(self, path: str, model: nn.Module) -> nn.Module:
        width = max(1, model.config.d_model // self.reduction)
        if path.endswith("final"):
            return Exit(model.config.d_model, width, self.climb)
        if not path.endswith("block_out"):
            raise DeltaError(f"The rungs of a ladder read what a whole layer made, and {path} is inside of one. Target block_out and final.")
        first, self.climb.begun = not self.climb.begun, True
        return Rung(model.config.d_model, width, self.climb, first)

    def formula(self, path: str, model: nn.Module) -> int:
        d, width = model.config.d_model, max(1, model.config.d_model // self.reduction)
        if path.endswith("final"):
            return d * width + d
        entry = (d * width + width) * (path == self.paths[0])
        return entry + d * width + width + 1 + 2 * 4 * width * width + 4 * width + width


class Climb:
    """What is handed from rung to rung during one forward pass: s [B,T,w]."""

    def __init__(self) -> None:
        self.s: Tensor | None = None
        self.begun = False  # while it is built: whether there is a lowest rung


class Rung(nn.Module):
    """The part on one layer's result: takes a step up, and hands `out` on as it is."""

    def __init__(self, d_model: int, width: int, climb: Climb, first: bool) -> None:
        super().__init__()
        self.climb = climb
        self.entry = nn.Linear(d_model, width) if first else None  # reads what went into the lowest layer: s_0
        self.down_proj = nn.Linear(d_model, width)  # D_i
        self.gate = nn.Parameter(torch.zeros(1))  # alpha_i
        self.inner = nn.Linear(width, 4 * width)
        self.outer = nn.Linear(4 * width, width)

    def forward(self, x: Tensor, out: Tensor) -> Tensor:
        exact = self.gate.dtype
        below = self.climb.s if self.entry is None else self.entry(x.detach().to(exact))  # s_(i-1) [B,T,w]
        mu = (self.gate / TEMPERATURE).sigmoid()
        s = mu * self.down_proj(out.detach().to(exact)) + (1 - mu) * below
        self.climb.s = s + self.outer(F.gelu(self.inner(s)))  # g_i
        return out


class Exit(nn.Module):
    """The part at the last states: adds what the ladder brings."""

    def __init__(self, d_model: int, width: int, climb: Climb) -> None:
        super().__init__()
        self.climb = climb
        self.up_proj = nn.Linear(width, d_model)  # U
        nn.init.zeros_(self.up_proj.weight)
        nn.init.zeros_(self.up_proj.bias)

    def forward(self, x: Tensor, out: Tensor) -> Tensor:
        s, self.climb.s = self.climb.s, None  # nothing of this pass stays behind
        return out + self.up_proj(s[:, -out.size(1) :]).to(out.dtype)  # [B,T,w] -> [B,T,D]; a prompt may have gone meanwhile


def beside_the_answer(paths: list[str]) -> list[str]:
    """The sites of the stack that gives the last states: of an encoder-decoder the decoder's."""
    return [path for path in paths if not path.startswith("encoder.")]
