"""Masking: which weights to keep is all that is learned (Zhao et al. 2020, section 3).

    W x  becomes  (M * W) x        M = 1 where S > tau, else 0;  straight through: dL/dS := dL/dM

Changes: some weights of the chosen linears count as zero.  Frozen: the values of all weights.  The scores S start above tau,
so the model starts unchanged.  A trained mask is worth one bit for each weight; here the scores are saved.
No weight is masked away in the beginning, and none at random.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from minidelta.delta.checks import positive
from minidelta.delta.linear import Difference, LinearDelta


class Masking(LinearDelta):
    """A learned binary mask on frozen weights.

    Args:
        threshold: tau.
        start: the first value of all scores, above tau; their distance in learning rates is the number of steps that a
            weight can resist.
        targets: linear sites; default all.
    Raises: DeltaError for values that are not positive, or a target that is not a linear layer.

    >>> from minidelta.model import Transformer, TransformerConfig
    >>> model = Transformer(TransformerConfig(shape="decoder", vocab_size=100, d_model=32, n_layers=2, n_heads=4, d_ff=64))
    >>> delta = Masking(targets="attention").attach(model)
    >>> delta.num_parameters(), delta.sparsity()  # 2 x 4 x 32 x 32 scores
    (8192, 0.0)
    """

    name = "masking"
    paper = "Zhao et al. 2020"
    default_targets = ("linear",)
    learning_rate = 1e-3

    def __init__(self, threshold: float = 0.01, start: float = 0.02, targets: str | Sequence[str] | None = None) -> None:
        positive(threshold=threshold, start=start)
        super().__init__(targets, threshold=threshold, start=start)
        self.threshold, self.start = threshold, start

    def part(self, linear: nn.Linear) -> "Mask":
        return Mask(linear, self.threshold, self.start)

    def size(self, linear: nn.Linear) -> int:
        return linear.weight.numel()

    def sparsity(self) -> float:
        """The share of the weights that are masked away, 0 to 1."""
        scores = torch.cat([part.scores.detach().flatten() for part in self.parts.values()])
        return (scores <= self.threshold).float().mean().item()


class Mask(Difference):
    """The part on one linear layer."""

    def __init__(self, linear: nn.Linear, threshold: float, start: float) -> None:
        super().__init__(linear)
        self.scores = nn.Parameter(torch.full(linear.weight.shape, start, dtype=torch.float32))  # S [d_out,d_in]
        self.threshold = threshold

    def update(self) -> Tensor:
        hard = (self.scores > self.threshold).to(self.scores.dtype)
        mask = hard + (self.scores - self.scores.detach())  # the value of M, the gradient of S
        return (mask - 1) * self.host.weight.to(mask.dtype)  # M * W - W
