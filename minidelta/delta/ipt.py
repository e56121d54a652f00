"""Intrinsic prompt tuning: the prompts of many tasks lie near one small space (Qin et al. 2021, section 3).

    1. find the space from trained prompts P_i of several tasks:   min sum_i ||P_i - Dec(Enc(P_i))||^2
    2. tune in it, on any task:   P = Dec(z), z [d] is all that trains; Dec is frozen

Enc is one linear layer, Dec a linear layer, tanh, and a linear layer.  Changes: the input grows by P vectors.  Frozen: all of
the backbone, and Dec.  Difference: the paper's first stage also asks that the decoded prompts solve their tasks; here they
are only to be near the trained ones.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from minidelta.delta.checks import whole
from minidelta.delta.prompt_tuning import BeforeText, PromptTuning, prompt_of
from minidelta.errors import DeltaError
from minidelta.train import fit


@dataclass(frozen=True)
class Subspace:
    """What stage 1 found.

    decoder: the values of Dec by name.
    center: the mean code of the prompts [d], where z begins.
    sizes: (d, hidden width, prompt length, D).
    error: mean squared error of the reconstruction, relative to the variance of the prompts (0: exact).
    """

    decoder: dict[str, Tensor]
    center: Tensor
    sizes: tuple[int, int, int, int]
    error: float


def find_subspace(prompts: Sequence[PromptTuning | Tensor], dimension: int = 5, hidden_dim: int = 64, steps: int = 500, lr: float = 1e-2, seed: int = 0) -> Subspace:
    """Stage 1: an auto-encoder of trained prompts.

    Args:
        prompts: trained `PromptTuning` deltas, their folders or tensors [P,D], all of one size.
        dimension: d.
        hidden_dim: inner width of the decoder.
        steps, lr, seed: of its training, on all prompts at once.
    Raises: DeltaError for fewer than two prompts, or prompts of different sizes.

    >>> lot = torch.Generator().manual_seed(0)
    >>> plane = torch.randn(2, 3 * 8, generator=lot)
    >>> prompts = [(torch.randn(2, generator=lot) @ plane).view(3, 8) for _ in range(12)]
    >>> find_subspace(prompts, dimension=2).error < 0.01 < find_subspace(prompts, dimension=1).error
    True
    """
    whole(dimension=dimension, hidden_dim=hidden_dim)
    given = [prompt_of(prompt) for prompt in prompts]
    if len(given) < 2 or len({prompt.shape for prompt in given}) > 1:
        raise DeltaError(f"A space is found between prompts of one size, and {len(given)} of {len({prompt.shape for prompt in given})} sizes were given. Give at least two alike.")
    rows = torch.stack(given).flatten(1)  # [tasks, P D]
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        encoder, decoder = nn.Linear(rows.size(1), dimension), make_decoder(dimension, hidden_dim, rows.size(1))
    parameters = [*encoder.parameters(), *decoder.parameters()]
    spread = rows.var(0, unbiased=False).mean().clamp(min=1e-12)
    with torch.enable_grad():
        fit(lambda _: (decoder(encoder(rows)) - rows).square().mean() / spread, lambda step: None, parameters, steps=steps, lr=lr, weight_decay=0.0, progress=False)
    with torch.no_grad():
        codes = encoder(rows)
        error = ((decoder(codes) - rows).square().mean() / spread).item()
    values = {name: value.detach().clone() for name, value in decoder.state_dict().items()}
    return Subspace(values, codes.mean(0), (dimension, hidden_dim, *given[0].shape), error)


class IPT(PromptTuning):
    """Prompt tuning within a space that other tasks' prompts have shown.

    Args:
        subspace: from `find_subspace`.
        sizes: of a delta that `load_delta` fills; else the subspace's.
    Raises: DeltaError without a subspace, or for one of another width than the model's.

    >>> subspace = find_subspace([torch.zeros(5, 32), torch.ones(5, 32)], dimension=3, steps=1)
    >>> from minidelta.model import Transformer, TransformerConfig
    >>> model = Transformer(TransformerConfig(shape="decoder", vocab_size=100, d_model=32, n_layers=2, n_heads=4, d_ff=64))
    >>> IPT(subspace).attach(model).num_parameters()
    3
    """

    name = "ipt"
    paper = "Qin et al. 2021"
    learning_rate = 1e-1

    def __init__(self, subspace: Subspace | None = None, sizes: Sequence[int] | None = None, targets: str | Sequence[str] | None = None) -> None:
        if subspace is None and sizes is None:
            raise DeltaError("IPT tunes inside a space of prompts, and none were given to find it from. Train PromptTuning on several tasks, then IPT(find_subspace(prompts)).")
        sizes = list(subspace.sizes if subspace else sizes)
        dimension, _, prompt_length, width = sizes
        whole(dimension=dimension)
        super().__init__(prompt_length, "random", targets)
        self.subspace, self.sizes, self.width, self.settings = subspace, sizes, width, {"sizes": sizes}

    def build(self, path: str, model: nn.Module) -> nn.Module:
        if not path.endswith("embed_out"):
            return super().build(path, model)
        if self.width != model.config.d_model:
            raise DeltaError(f"The space holds vectors of {self.width} numbers, and the model is {model.config.d_model} wide. Find it from prompts of this model.")
        return DecodedPrompt(self.sizes, self.subspace)

    def formula(self, path: str, model: nn.Module) -> int:
        return self.sizes[0] if path.endswith("embed_out") else 0


class DecodedPrompt(BeforeText):
    """The part at the embeddings; the decoder's values are buffers, saved but not trained."""

    def __init__(self, sizes: Sequence[int], subspace: Subspace | None) -> None:
        super().__init__()
        dimension, hidden_dim, self.length, width = sizes
        values: dict[str, Any] = subspace.decoder if subspace else make_decoder(dimension, hidden_dim, self.length * width).state_dict()
        self.z = nn.Parameter(subspace.center.clone() if subspace else torch.zeros(dimension))  # [d]
        for name, key in (("inner_weight", "0.weight"), ("inner_bias", "0.bias"), ("outer_weight", "2.weight"), ("outer_bias", "2.bias")):
            self.register_buffer(name, values[key].clone())

    def vectors(self) -> Tensor:
        """Dec(z)."""
        inner = nn.functional.linear(self.z, self.inner_weight, self.inner_bias).tanh()
        return nn.functional.linear(inner, self.outer_weight, self.outer_bias).view(self.length, -1)


def make_decoder(dimension: int, hidden_dim: int, size: int) -> nn.Sequential:
    """Dec: [d] -> [P D]."""
    return nn.Sequential(nn.Linear(dimension, hidden_dim), nn.Tanh(), nn.Linear(hidden_dim, size))
