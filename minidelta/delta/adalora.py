"""AdaLoRA: low-rank updates that share a budget of ranks (Zhang et al. 2023).

    W x  becomes  (W + s P diag(lambda) Q) x        P [d_out,R], lambda [R], Q [R,d_in]; s = alpha / R   (equation 3)
    penalty = gamma (||P^T P - I||^2 + ||Q Q^T - I||^2), so that P and Q stay near singular vectors       (equation 4)
    after each update: importance of each triple (column of P, lambda, row of Q); the least important lambdas are set to zero

The importance of one number w is the product of two running means, of |w dL/dw| and of how much that varies.
Changes: the chosen linears.  Frozen: all of the backbone.  lambda starts at zero, so the model starts unchanged.
Differences: the penalty is the mean over the linears, in the paper their sum; the paper silences triples every few updates.
"""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from minidelta.delta.checks import positive, share, whole
from minidelta.delta.linear import LinearDelta
from minidelta.errors import DeltaError


class AdaLoRA(LinearDelta):
    """Low-rank updates whose ranks are given where they matter.

    Args:
        rank: R of each matrix in the beginning.
        target_rank: the mean rank that is left at the end, at most `rank`.
        alpha: the update is scaled by alpha / rank.
        orthogonality: gamma.
        memory: share of the past in the running means.
        targets: linear sites; default all, since it chooses among them itself.
    Raises: DeltaError for ranks that do not fit each other or values out of range, or a target that is not a linear layer.

    >>> from minidelta.model import Transformer, TransformerConfig
    >>> model = Transformer(TransformerConfig(shape="decoder", vocab_size=100, d_model=32, n_layers=2, n_heads=4, d_ff=64))
    >>> AdaLoRA(rank=4, target_rank=2, targets=["q_proj", "v_proj"]).attach(model).num_parameters()  # LoRA's 1024, and 4 x 4
    1040
    """

    name = "adalora"
    paper = "Zhang et al. 2023"
    default_targets = ("linear",)
    learning_rate = 2e-2
    peft = "ADALORA"

    def __init__(
        self, rank: int = 12, target_rank: int = 8, alpha: float = 16.0, orthogonality: float = 0.1, memory: float = 0.85, targets: str | Sequence[str] | None = None
    ) -> None:
        whole(rank=rank, target_rank=target_rank)
        positive(alpha=alpha, orthogonality=orthogonality)
        share(memory=memory)
        if target_rank > rank:
            raise DeltaError(f"target_rank is {target_rank}, and rank is {rank}; ranks are only taken away, so give target_rank at most {rank}.")
        super().__init__(targets, rank=rank, target_rank=target_rank, alpha=alpha, orthogonality=orthogonality, memory=memory)
        self.rank, self.target_rank, self.scaling, self.orthogonality, self.memory = rank, target_rank, alpha / rank, orthogonality, memory

    def part(self, linear: nn.Linear) -> "Triples":
        return Triples(linear, self.rank, self.scaling)

    def size(self, linear: nn.Linear) -> int:
        return self.rank * (linear.in_features + linear.out_features + 1)

    def penalty(self) -> Tensor:
        return self.orthogonality * torch.stack([part.skewness() for part in self.parts.values()]).mean()

    def budget(self, done: int, steps: int) -> int:
        """How many triples of all stay: all in the first tenth, the target from the last third on, a cubic fall between."""
        begin, end = 0.1 * steps, 0.67 * steps
        left = min(1.0, max(0.0, 1 - (done - begin) / (end - begin)))
        return len(self.parts) * self.target_rank + round(len(self.parts) * (self.rank - self.target_rank) * left**3)

    @torch.no_grad()
    def after_step(self, done: int, steps: int) -> None:
        """Update the importances, and silence the triples beyond the budget; they may come back while it lasts."""
        importance = torch.stack([part.importance(self.memory) for part in self.parts.values()])  # [sites,R]
        kept = importance.flatten().topk(self.budget(done, steps)).indices
        chosen = torch.zeros_like(importance).flatten().index_fill(0, kept, 1.0).view_as(importance)
        for part, row in zip(self.parts.values(), chosen):
            part.lam.mul_(row)

    def ranks(self) -> dict[str, int]:
        """How many triples speak at each site."""
        return {path: int(part.lam.count_nonzero()) for path, part in self.parts_by_path().items()}


class Triples(nn.Module):
    """The part on one linear layer."""

    def __init__(self, linear: nn.Linear, rank: int, scaling: float) -> None:
        super().__init__()
        self.scaling = scaling
        self.P = nn.Parameter(torch.randn(linear.out_features, rank) * linear.out_features**-0.5)  # [d_out,R]
        self.lam = nn.Parameter(torch.zeros(rank))  # lambda [R]
        self.Q = nn.Parameter(torch.randn(rank, linear.in_features) * linear.in_features**-0.5)  # [R,d_in]
        for name in ("P", "lam", "Q"):  # running means of the sensitivity and of its variation
            self.register_buffer(f"mean_{name}", torch.zeros_like(getattr(self, name)), persistent=False)
            self.register_buffer(f"spread_{name}", torch.zeros_like(getattr(self, name)), persistent=False)

    def forward(self, x: Tensor, out: Tensor) -> Tensor:
        thin = F.linear(x.to(self.Q.dtype), self.Q) * self.lam  # [B,T,d_in] -> [B,T,R]
        return out + (self.scaling * F.linear(thin, self.P)).to(out.dtype)

    def update(self) -> Tensor:
        return self.scaling * (self.P.double() * self.lam.double()) @ self.Q.double()

    def skewness(self) -> Tensor:
        """How far P and Q are from orthonormal, squared."""
        eye = torch.eye(len(self.lam), device=self.lam.device, dtype=self.lam.dtype)
        return (self.P.t() @ self.P - eye).square().sum() + (self.Q @ self.Q.t() - eye).square().sum()

    def importance(self, memory: float) -> Tensor:
        """S of each triple, [R]: that of lambda and the means over its column of P and its row of Q."""
        scores = []
        for name in ("P", "lam", "Q"):
            p, mean, spread = getattr(self, name), getattr(self, f"mean_{name}"), getattr(self, f"spread_{name}")
            now = torch.zeros_like(p) if p.grad is None else (p * p.grad).abs()
            mean.mul_(memory).add_(now, alpha=1 - memory)
            spread.mul_(memory).add_((now - mean).abs(), alpha=1 - memory)
            scores.append(mean * spread)
        return scores[0].mean(0) + scores[1] + scores[2].mean(1)
