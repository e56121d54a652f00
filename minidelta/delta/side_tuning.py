"""Side-tuning: a small network of its own reads the same input, and the two results are blended (Zhang et al. 2020, section 3).

    R(x) = alpha B(x) + (1 - alpha) S(x)        B the backbone, S the side network, alpha = sigmoid(a)

Changes: the last hidden states.  Frozen: all of the backbone, which runs without a graph; nothing passes between the two on
the way (compare the ladder, which has a rung at each layer).  S begins at zero, so the model starts with B(x) times alpha.
Differences: S reads the embeddings of the tokens one by one, so it knows which words stand there, not how they hang together;
of an encoder-decoder it stands beside the decoder; alpha starts near one, for a new S knows nothing.
"""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from minidelta.delta.base import Delta
from minidelta.delta.checks import whole
from minidelta.delta.ladder import beside_the_answer
from minidelta.delta.targets import find_sites
from minidelta.errors import DeltaError


class SideTuning(Delta):
    """A side network from the embeddings to the last states.

    Args:
        hidden_dim: inner width of S; None: D.
        targets: default the embeddings and the last states; both are needed.
    Raises: DeltaError for a width below 1 or other targets.

    >>> from minidelta.model import Transformer, TransformerConfig
    >>> model = Transformer(TransformerConfig(shape="decoder", vocab_size=100, d_model=32, n_layers=2, n_heads=4, d_ff=64))
    >>> SideTuning(hidden_dim=8).attach(model).num_parameters()  # 33 x 8 + 9 x 32 + 1
    553
    """

    name = "side-tuning"
    paper = "Zhang et al. 2020"
    default_targets = ("embed_out", "final")
    learning_rate = 5e-3

    def __init__(self, hidden_dim: int | None = None, targets: str | Sequence[str] | None = None) -> None:
        whole(hidden_dim=1 if hidden_dim is None else hidden_dim)
        super().__init__(targets, hidden_dim=hidden_dim)
        self.hidden_dim = hidden_dim

    def places(self, model: nn.Module) -> list[str]:
        paths = beside_the_answer(find_sites(model, self.targets))
        if [path.rsplit(".", 1)[-1] for path in paths] != ["embed_out", "final"]:
            raise DeltaError(f"A side network goes from the embeddings to the last states, and the targets are {', '.join(self.targets)}. Target embed_out and final.")
        self.input = Input()
        return paths

    def build(self, path: str, model: nn.Module) -> nn.Module:
        return Entrance(self.input) if path.endswith("embed_out") else Blend(model.config.d_model, self.hidden_dim or model.config.d_model, self.input)

    def formula(self, path: str, model: nn.Module) -> int:
        d = model.config.d_model
        return 0 if path.endswith("embed_out") else (d + 1) * (self.hidden_dim or d) + ((self.hidden_dim or d) + 1) * d + 1


class Input:
    """The embeddings of one forward pass, on their way from entrance to blend."""

    vectors: Tensor | None = None


class Entrance(nn.Module):
    """The part at the embeddings: takes a copy along, and hands them on as they are."""

    def __init__(self, input: Input) -> None:
        super().__init__()
        self.input = input

    def forward(self, x: Tensor, out: Tensor) -> Tensor:
        self.input.vectors = out.detach()
        return out


class Blend(nn.Module):
    """The part at the last states."""

    def __init__(self, d_model: int, hidden_dim: int, input: Input) -> None:
        super().__init__()
        self.input = input
        self.inner = nn.Linear(d_model, hidden_dim)
        self.outer = nn.Linear(hidden_dim, d_model)
        nn.init.zeros_(self.outer.weight)
        nn.init.zeros_(self.outer.bias)
        self.a = nn.Parameter(torch.full((1,), 3.0))  # alpha = 0.95

    def forward(self, x: Tensor, out: Tensor) -> Tensor:
        vectors, self.input.vectors = self.input.vectors[:, -out.size(1) :], None  # [B,T,D]
        side = self.outer(F.gelu(self.inner(vectors.to(self.a.dtype))))  # S(x) [B,T,D]
        alpha = self.a.sigmoid()
        return (alpha * out + (1 - alpha) * side).to(out.dtype)
