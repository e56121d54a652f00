"""What trains, against what the method promises: the surprises that a quick look at a loss curve hides.

A tied output layer that trains unnoticed, an embedding left unfrozen, a part that was frozen by mistake: each is
named, and the count is compared with the family's closed formula.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from torch import nn

if TYPE_CHECKING:
    from minidelta.delta.base import Delta


@dataclass(frozen=True)
class Audit:
    """Counts in parameters, and a sentence for each surprise."""

    trainable: int
    expected: int
    total: int
    surprises: list[str]

    @property
    def ok(self) -> bool:
        """Whether exactly what the method promises trains."""
        return not self.surprises

    def __str__(self) -> str:
        verdict = "as the formula says" if self.ok else "\n  ".join(["but:", *self.surprises])
        return f"{self.trainable:,} parameters train beside a backbone of {self.total:,} ({self.trainable / self.total:.2%}), {verdict}"


def audit(delta: "Delta", model: nn.Module) -> Audit:
    """Look through an attached delta and its backbone."""
    surprises = [f"{name} trains, but belongs to the backbone" for name, p in model.named_parameters() if p.requires_grad and ".parts." not in name]
    surprises += [f"{path}.{name} does not train" for path, part in delta.parts_by_path().items() for name, p in part.named_parameters() if not p.requires_grad]
    trainable, expected = delta.num_parameters(), delta.expected(model)
    if trainable != expected:
        surprises.append(f"{trainable:,} parameters train where the formula says {expected:,}")
    if delta.originals:
        surprises.append("the delta is merged: training it now would change nothing")
    return Audit(trainable, expected, sum(value.numel() for value in model.backbone_state().values()), surprises)
