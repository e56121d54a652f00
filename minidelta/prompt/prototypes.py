"""Prototypes: a label is a point in the space of [MASK] states (ProtoVerb; Cui et al. 2022).

    v_i = W h_i                     h_i the state at [MASK] of example i, W [E,D] trained
    S(a, b) = a . b / (|a| |b|)     cosine
    L = L_proto + L_instance
    L_proto    = - mean_i log ( exp S(v_i, c_y) / sum_y' exp S(v_i, c_y') )              c_y [E] trained, one a label
    L_instance = - mean over pairs i, j of one label of log ( exp S(v_i, v_j) / sum over k of exp S(v_i, v_k) )

No label word is needed.  Differences from the paper: S is divided by a temperature of 0.1 (theirs is bare, and learns slowly), the
pull of prototypes on instances is left to L_proto, and `start` sets c_y to the mean of the label's examples first.
"""

from collections.abc import Callable, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from minidelta.data import Example
from minidelta.prompt.verbalizer import Verbalizer

TEMPERATURE = 0.1


class Prototypes(Verbalizer):
    """One trained point a label.

    Args:
        labels: of the task.
        width: E, of the space in which states are compared.
        seed: of W and of the points.

    >>> from minidelta.hub import load_model, load_tokenizer
    >>> points = Prototypes(["no", "yes"], width=32).bind(load_model("bert-nano"), load_tokenizer("bert-nano"), True, 1)
    >>> sum(p.numel() for p in points.parameters())  # 32 x 64, and 2 x 32
    2112
    """

    trains = True

    def __init__(self, labels: Sequence[str], width: int = 64, seed: int = 0) -> None:
        super().__init__(labels)
        self.width, self.seed = width, seed

    def bind(self, model: nn.Module, tokenizer: Any, spaced: bool, masks: int) -> "Prototypes":
        chance, device, d_model = torch.Generator().manual_seed(self.seed), model.token_embedding.weight.device, model.config.d_model
        self.project = nn.Parameter((torch.randn(self.width, d_model, generator=chance) * d_model**-0.5).to(device))  # [E,D]
        self.points = nn.Parameter(torch.randn(len(self.labels), self.width, generator=chance).to(device))  # [C,E]
        return self

    def place(self, hidden: Tensor) -> Tensor:
        """States [B,M,D] as unit vectors [B,E]."""
        return F.normalize(hidden[:, 0].float() @ self.project.T, dim=-1)

    def forward(self, hidden: Tensor, lm_logits: Callable[[Tensor], Tensor]) -> Tensor:
        return self.place(hidden) @ F.normalize(self.points, dim=-1).T / TEMPERATURE

    def loss(self, hidden: Tensor, lm_logits: Callable[[Tensor], Tensor], labels: Tensor) -> Tensor:
        return super().loss(hidden, lm_logits, labels) + instance_loss(self.place(hidden), labels)

    @torch.no_grad()
    def start(self, learner: Any, examples: Sequence[Example]) -> "Prototypes":
        """Put each point at the mean of its label's examples; a label without examples stays where it is."""
        batch = learner.collate(examples)
        with learner.resting():
            placed = self.place(learner.at_masks(batch))  # [N,E]
        for number in range(len(self.labels)):
            if (own := batch["labels"] == number).any():
                self.points[number] = placed[own].mean(0)
        return self

    def settings(self) -> dict[str, Any]:
        return {"prototypes": self.width}


def instance_loss(placed: Tensor, labels: Tensor) -> Tensor:
    """L_instance: examples of one label attract one another, [B,E] and [B] -> a scalar (0 where no two share a label).

    >>> round(instance_loss(torch.eye(2)[[0, 0, 1]], torch.tensor([0, 0, 1])).item(), 4)
    0.0
    """
    similar = placed @ placed.T / TEMPERATURE  # [B,B]
    itself = torch.eye(len(placed), dtype=torch.bool, device=placed.device)
    log_p = similar.masked_fill(itself, -1e9).log_softmax(-1)
    pairs = (labels[:, None] == labels[None]) & ~itself & (labels[:, None] >= 0)
    return -log_p.masked_fill(~pairs, 0.0).sum() / pairs.sum().clamp(min=1)  # a mean that does not wait for a GPU to count
