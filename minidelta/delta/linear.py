"""What the families that change the weight of a linear layer have in common: W x + b  becomes  (W + DeltaW) x + b.

They differ in how DeltaW [d_out,d_in] is written with few numbers.  Where a short cut through thin matrices exists the
part takes it; the others form DeltaW anew in each forward pass, which costs memory while training and nothing once
it is merged.
"""

import torch.nn.functional as F
from torch import Tensor, nn

from minidelta.delta.base import Delta
from minidelta.errors import DeltaError


class LinearDelta(Delta):
    """Base of the families that hang on linear layers; `part` and `size` are what one of them has to say.

    Raises: DeltaError at `attach` for a target that is not a linear layer.
    """

    default_targets = ("q_proj", "v_proj")

    def part(self, linear: nn.Linear) -> nn.Module:
        """The part for one linear layer."""
        raise NotImplementedError

    def size(self, linear: nn.Linear) -> int:
        """Closed formula: what the part trains."""
        raise NotImplementedError

    def build(self, path: str, model: nn.Module) -> nn.Module:
        return self.part(self.linear(path, model))

    def linear(self, path: str, model: nn.Module) -> nn.Linear:
        """The linear layer at a path."""
        linear = model.get_submodule(path)
        if not isinstance(linear, nn.Linear):
            raise DeltaError(f"{type(self).__name__} changes linear layers, and {path} is not one. Target projections such as q_proj, v_proj or the preset 'linear'.")
        return linear

    def formula(self, path: str, model: nn.Module) -> int:
        return self.size(model.get_submodule(path))

    def weight_update(self, part: nn.Module) -> Tensor:
        return part.update()


class Difference(nn.Module):
    """A part that forms its whole DeltaW [d_out,d_in] in `update` and adds DeltaW x.

    Attributes:
        host: the linear layer; `attach` says it again, for a delta may move to another model.
    """

    host: nn.Linear

    def __init__(self, linear: nn.Linear) -> None:
        super().__init__()
        object.__setattr__(self, "host", linear)  # a neighbour, not a submodule

    def update(self) -> Tensor:
        """DeltaW [d_out,d_in]."""
        raise NotImplementedError

    def forward(self, x: Tensor, out: Tensor) -> Tensor:
        change = self.update()
        return out + F.linear(x.to(change.dtype), change).to(out.dtype)  # [B,T,d_in] -> [B,T,d_out]
