"""Sparse differences: a fixed few of the weights train, chosen before training begins.

    W x  becomes  (W + scatter(v)) x        v [k] at k fixed places of W

    random        places drawn by lot (SHiRA, Bhardwaj et al. 2024)
    magnitude     the places of the largest |W| (a choice of the same paper)
    fisher        the places with the largest F = mean over examples of (d log p / dW)^2 (FISH mask, Sung et al. 2021, section 3)

Changes: k weights of the chosen linears.  Frozen: all others.  v starts at zero, so the model starts unchanged.  The original
values are never touched.  Difference: biases, norms and embeddings take no part.
"""

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from minidelta.delta.linear import Difference, LinearDelta
from minidelta.delta.targets import find_sites
from minidelta.errors import DeltaError


class RandomSparse(LinearDelta):
    """Weights at places drawn by lot.

    Args:
        density: the share of each matrix that trains; 0.02 by default, at least one weight.
        seed: of the lot.
        targets: linear sites; default all.
    Raises: DeltaError for a density outside (0, 1], or a target that is not a linear layer.

    >>> from minidelta.model import Transformer, TransformerConfig
    >>> model = Transformer(TransformerConfig(shape="decoder", vocab_size=100, d_model=32, n_layers=2, n_heads=4, d_ff=64))
    >>> RandomSparse(density=0.01).attach(model).num_parameters()  # 2 x (4 x 10 + 2 x 20)
    160
    """

    name = "random-sparse"
    paper = "Bhardwaj et al. 2024"
    default_targets = ("linear",)
    learning_rate = 2e-2

    def __init__(self, density: float = 0.02, seed: int = 0, targets: str | Sequence[str] | None = None) -> None:
        if not isinstance(density, (int, float)) or not 0 < density <= 1:
            raise DeltaError(f"density is {density!r}; give the share of the weights that trains, above 0 and at most 1, such as 0.02.")
        super().__init__(targets, density=density, seed=seed)
        self.density, self.lot = density, torch.Generator().manual_seed(seed)

    def size(self, linear: nn.Linear) -> int:
        return max(1, round(self.density * linear.weight.numel()))

    def part(self, linear: nn.Linear) -> "Scattered":
        return Scattered(linear, torch.randperm(linear.weight.numel(), generator=self.lot)[: self.size(linear)])


class MagnitudeSparse(RandomSparse):
    """Weights that are the largest of their matrix.

    >>> MagnitudeSparse().density
    0.02
    """

    name = "magnitude-sparse"
    paper = "Bhardwaj et al. 2024"

    def __init__(self, density: float = 0.02, targets: str | Sequence[str] | None = None) -> None:
        super().__init__(density, 0, targets)
        self.settings = {"density": density}

    def part(self, linear: nn.Linear) -> "Scattered":
        return Scattered(linear, linear.weight.detach().abs().flatten().topk(self.size(linear)).indices)


class FISH(LinearDelta):
    """Weights with the largest Fisher information: those to which the predictions on a task are most sensitive.

    Args:
        loss: (model, batch) -> scalar tensor, the mean negative log-likelihood.
        batches: some of the task's batches.  Batches of one example give the paper's F; larger ones square the mean gradient.
        density: the share of all targeted weights that trains.
        counts: weights for each path, of a delta that `load_delta` fills; else found with `loss` and `batches`.
        targets: linear sites; default all.
    Raises: DeltaError without loss and batches, for a density outside (0, 1], or a target that is not a linear layer.

    >>> from minidelta.model import Transformer, TransformerConfig
    >>> model = Transformer(TransformerConfig(shape="decoder", vocab_size=100, d_model=32, n_layers=2, n_heads=4, d_ff=64), seed=0)
    >>> texts = torch.arange(12).view(4, 1, 3)
    >>> FISH(lambda model, ids: -model(ids).log_softmax(-1)[..., 7].mean(), texts, density=0.01).attach(model).num_parameters()  # 1 % of 16,384
    164
    """

    name = "fish"
    paper = "Sung et al. 2021"
    default_targets = ("linear",)
    learning_rate = 1e-2

    def __init__(
        self, loss: Callable[[nn.Module, Any], Tensor] | None = None, batches: Iterable[Any] | None = None, density: float = 0.02, counts: dict[str, int] | None = None, targets: str | Sequence[str] | None = None
    ) -> None:
        if (loss is None or batches is None) and counts is None:
            raise DeltaError("FISH chooses weights by the gradients of a task, and none were given. Pass loss, (model, batch) -> scalar, and some batches: FISH(loss, batches).")
        if not isinstance(density, (int, float)) or not 0 < density <= 1:
            raise DeltaError(f"density is {density!r}; give the share of the weights that trains, above 0 and at most 1, such as 0.02.")
        super().__init__(targets, density=density, counts=counts)
        self.loss, self.batches, self.density = loss, batches, density
        self.chosen: dict[str, Tensor] = {path: torch.zeros(count, dtype=torch.long) for path, count in (counts or {}).items()}

    def places(self, model: nn.Module) -> list[str]:
        paths = find_sites(model, self.targets)
        if not self.chosen:
            self.chosen = self.choose(model, {path: self.linear(path, model).weight for path in paths})
            self.settings["counts"] = {path: len(places) for path, places in self.chosen.items()}
        return [path for path in paths if path in self.chosen]

    def choose(self, model: nn.Module, weights: dict[str, nn.Parameter]) -> dict[str, Tensor]:
        """The places of the largest F over all weights together, by path; layers without any are left out."""
        frozen = [p for p in weights.values() if not p.requires_grad]
        fisher = [torch.zeros_like(p, dtype=torch.float32) for p in weights.values()]
        try:
            for p in frozen:
                p.requires_grad_(True)
            for batch in self.batches:
                with torch.enable_grad():
                    gradients = torch.autograd.grad(self.loss(model, batch), list(weights.values()), allow_unused=True)
                for total, gradient in zip(fisher, gradients):
                    total += 0.0 if gradient is None else gradient.float().square()
        finally:
            for p in frozen:
                p.requires_grad_(False)
        flat = torch.cat([total.flatten() for total in fisher]).cpu()
        if not flat.any():
            raise DeltaError("FISH found no gradient at all. Give batches whose loss depends on this model; the weights of an int8 backbone have none.")
        best = torch.zeros(len(flat), dtype=torch.bool)
        best[flat.topk(max(1, round(self.density * len(flat)))).indices] = True
        pieces = best.split([p.numel() for p in weights.values()])
        return {path: piece.nonzero()[:, 0] for path, piece in zip(weights, pieces) if piece.any()}

    def build(self, path: str, model: nn.Module) -> nn.Module:
        return Scattered(self.linear(path, model), self.chosen[path])

    def formula(self, path: str, model: nn.Module) -> int:
        return self.settings["counts"][path]


class Scattered(Difference):
    """The part on one linear layer."""

    def __init__(self, linear: nn.Linear, places: Tensor) -> None:
        super().__init__(linear)
        self.register_buffer("places", places.clone().cpu())  # [k], counted through W row by row
        self.values = nn.Parameter(torch.zeros(len(places)))  # v [k]

    def update(self) -> Tensor:
        rows, columns = self.host.weight.shape
        return self.values.new_zeros(rows * columns).scatter(0, self.places, self.values).view(rows, columns)
