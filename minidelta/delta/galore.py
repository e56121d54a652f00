"""GaLore, for contrast: no delta at all, but an optimizer that saves memory another way (Zhao et al. 2024).

    R   = P^T G                     the gradient G [m,n] seen through its R largest directions P [m,R], found anew every T steps
    N   = Adam(R)                   moments of [R,n] numbers instead of [m,n]
    W  <- W - lr scale P N

Changes: every weight.  Nothing is frozen, nothing small is left to store: each task is again a whole copy of the model.  What is
saved are Adam's two moments of the matrices, not weights, gradients or activations.  Where m > n the right side is projected.
"""

from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor

from minidelta.delta.checks import positive, whole


class GaLore(torch.optim.Optimizer):
    """AdamW on projected gradients, for `fit(..., optimizer=functools.partial(GaLore, rank=4))`.

    Args:
        params: parameters or groups.
        lr: learning rate per step.
        rank: R; matrices with a side no longer than that, and vectors, get plain AdamW.
        period: T, steps between two searches for the directions.
        scale: of the projected update.
        betas, eps, weight_decay: as AdamW.
    Raises: DeltaError for a rank or period below 1, or a scale that is not positive.

    >>> w = torch.nn.Parameter(torch.ones(6, 8))
    >>> optimizer = GaLore([w], lr=0.1, rank=2)
    >>> w.square().sum().backward()
    >>> optimizer.step()
    >>> optimizer.state[w]["mean"].shape
    torch.Size([2, 8])
    """

    def __init__(
        self, params: Iterable[Any], lr: float = 1e-3, rank: int = 4, period: int = 200, scale: float = 0.25, betas: tuple[float, float] = (0.9, 0.999), eps: float = 1e-8, weight_decay: float = 0.0
    ) -> None:
        whole(rank=rank, period=period)
        positive(scale=scale)
        super().__init__(params, {"lr": lr, "rank": rank, "period": period, "scale": scale, "betas": betas, "eps": eps, "weight_decay": weight_decay})

    @torch.no_grad()
    def step(self, closure: None = None) -> None:
        """Move every parameter that has a gradient."""
        for group in self.param_groups:
            for p in group["params"]:
                if p.grad is not None:
                    p.mul_(1 - group["lr"] * group["weight_decay"])
                    p.sub_(group["lr"] * self.update(p, group))

    def update(self, p: Tensor, group: dict[str, Any]) -> Tensor:
        """The direction to go, of the shape of p."""
        state, gradient = self.state[p], p.grad
        wide = gradient.dim() == 2 and min(gradient.shape) > group["rank"]
        left = wide and gradient.size(0) <= gradient.size(1)
        step = int(state.get("step", 0))
        if wide and step % group["period"] == 0:
            u, _, v = torch.linalg.svd(gradient, full_matrices=False)
            state["directions"] = u[:, : group["rank"]] if left else v[: group["rank"]].t()  # P [m,R], or [n,R]
        seen = gradient if not wide else state["directions"].t() @ gradient if left else gradient @ state["directions"]  # R
        if not step:
            state["mean"], state["square"] = torch.zeros_like(seen), torch.zeros_like(seen)
        state["step"] = torch.tensor(float(step + 1))
        (one, two), count = group["betas"], step + 1
        state["mean"].lerp_(seen, 1 - one)
        state["square"].lerp_(seen.square(), 1 - two)
        normed = state["mean"] / (1 - one**count) / ((state["square"] / (1 - two**count)).sqrt() + group["eps"])  # N
        if not wide:
            return normed
        return group["scale"] * (state["directions"] @ normed if left else normed @ state["directions"].t())
