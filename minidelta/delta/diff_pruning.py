"""Diff pruning: a difference for each weight, and a gate for each that learns to close (Guo et al. 2021, section 3).

    W x  becomes  (W + z * w) x        z = clamp(s (r - l) + l, 0, 1),  s = sigmoid(log u - log(1 - u) + a),  u uniform
    penalty = lambda * mean sigmoid(a - log(-l / r))         the expected share of open gates (Louizos et al. 2018)

Changes: the weights of the chosen linears, few of them in the end.  Frozen: nothing else trains.  w starts at zero, so the
model starts unchanged; a starts so that the gates are open.  Without training u is left out: s = sigmoid(a).
Differences: the paper sums over the gates and also has gates for whole groups; biases, norms and embeddings have no difference here.
"""

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from minidelta.delta.checks import positive, share
from minidelta.delta.linear import Difference, LinearDelta

LOW, HIGH = -1.5, 1.5  # l and r: the gate is stretched, so that it can be 0 and 1 exactly


class DiffPruning(LinearDelta):
    """Sparse differences by hard concrete gates.

    Args:
        penalty_weight: lambda, what a model with all gates open pays.
        start: a of all gates.
        targets: linear sites; default all.
    Raises: DeltaError for values that are not positive, or a target that is not a linear layer.

    >>> from minidelta.model import Transformer, TransformerConfig
    >>> model = Transformer(TransformerConfig(shape="decoder", vocab_size=100, d_model=32, n_layers=2, n_heads=4, d_ff=64))
    >>> delta = DiffPruning(targets="q_proj").attach(model)
    >>> delta.num_parameters(), delta.sparsity()  # 2 x 2 x 32 x 32
    (4096, 0.0)
    """

    name = "diff-pruning"
    paper = "Guo et al. 2021"
    default_targets = ("linear",)
    learning_rate = 3e-3

    def __init__(self, penalty_weight: float = 0.1, start: float = 5.0, targets: str | Sequence[str] | None = None) -> None:
        positive(penalty_weight=penalty_weight, start=start)
        super().__init__(targets, penalty_weight=penalty_weight, start=start)
        self.penalty_weight, self.start = penalty_weight, start

    def part(self, linear: nn.Linear) -> "GatedDifference":
        return GatedDifference(linear, self.start)

    def size(self, linear: nn.Linear) -> int:
        return 2 * linear.weight.numel()

    def penalty(self) -> Tensor:
        shift = math.log(-LOW / HIGH)
        expected = torch.cat([(part.log_alpha - shift).sigmoid().flatten() for part in self.parts.values()])
        return self.penalty_weight * expected.mean()

    def sparsity(self) -> float:
        """The share of the weights whose gate is closed, 0 to 1."""
        gates = torch.cat([part.still_gate().detach().flatten() for part in self.parts.values()])
        return (gates == 0).float().mean().item()

    def groups(self, lr: float | None = None) -> list[dict]:
        """Gates have to travel far, from 5 to below 0: they move a hundred times as fast as the differences."""
        lr = self.learning_rate if lr is None else lr
        return [{"params": [part.change for part in self.parts.values()], "lr": lr}, {"params": [part.log_alpha for part in self.parts.values()], "lr": 100 * lr, "weight_decay": 0.0}]

    @torch.no_grad()
    def prune(self, kept: float = 0.005) -> None:
        """Keep only the largest differences, a share of all (the paper's last step), and close every other gate."""
        share(kept=kept)
        sizes = torch.cat([part.change_now().abs().flatten() for part in self.parts.values()])
        limit = sizes.topk(max(1, round(kept * len(sizes)))).values[-1]
        for part in self.parts.values():
            part.log_alpha[part.change_now().abs() < limit] = -self.start


class GatedDifference(Difference):
    """The part on one linear layer."""

    def __init__(self, linear: nn.Linear, start: float) -> None:
        super().__init__(linear)
        self.change = nn.Parameter(torch.zeros(linear.weight.shape))  # w [d_out,d_in]
        self.log_alpha = nn.Parameter(torch.full(linear.weight.shape, start))  # a [d_out,d_in]

    def still_gate(self) -> Tensor:
        """z without noise."""
        return (self.log_alpha.sigmoid() * (HIGH - LOW) + LOW).clamp(0, 1)

    def change_now(self) -> Tensor:
        """DeltaW = z * w without noise [d_out,d_in]."""
        return self.still_gate() * self.change

    def update(self) -> Tensor:
        return self.change_now()

    def forward(self, x: Tensor, out: Tensor) -> Tensor:
        if not self.training:
            return super().forward(x, out)
        u = torch.rand_like(self.log_alpha).clamp(1e-6, 1 - 1e-6)
        z = (((u / (1 - u)).log() + self.log_alpha).sigmoid() * (HIGH - LOW) + LOW).clamp(0, 1)
        return out + nn.functional.linear(x.to(z.dtype), z * self.change).to(out.dtype)
