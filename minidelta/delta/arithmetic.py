"""Task arithmetic: what several deltas learnt, added, averaged or taken away (Ilharco et al. 2023, section 2).

    tau_i = theta_i - theta_0            what delta i adds to the weights
    theta = theta_0 + sum_i c_i tau_i    c = 1, 1: both;  1/2, 1/2: their average;  -1: unlearn one

The sum is taken between the changes of weights, not between the numbers that trained: the mean of two B A is not the product of
the means.  So deltas of different families can be added, whatever folds into weights.  Changes: the weights that any of them
changes, by differences of full size, which may train on.  Frozen: all of the backbone.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from minidelta.delta.base import Delta
from minidelta.delta.bitfit import NormChange
from minidelta.delta.last_layers import FullDifference
from minidelta.errors import DeltaError
from minidelta.model.layers import LayerNorm, RMSNorm


class TaskArithmetic(Delta):
    """A weighted sum of deltas.

    Args:
        deltas: attached ones that can be merged, and are not merged now.
        weights: c_i, one for each; default 1 for all.
        targets: the changed linears and norms, of a sum that `load_delta` fills; else the deltas'.
    Raises: DeltaError without deltas, for one that is not attached or cannot be merged, or a wrong number of weights.

    >>> from minidelta.delta import LoRA
    >>> from minidelta.model import Transformer, TransformerConfig
    >>> model = Transformer(TransformerConfig(shape="decoder", vocab_size=100, d_model=32, n_layers=2, n_heads=4, d_ff=64))
    >>> one, two = LoRA().attach(model), LoRA(targets="k_proj").attach(model)
    >>> mean = TaskArithmetic([one, two], weights=[0.5, 0.5])
    >>> len(mean.targets)  # 2 layers x q, k and v
    6
    """

    name = "task-arithmetic"
    paper = "Ilharco et al. 2023"
    default_targets = ()
    learning_rate = 1e-3

    def __init__(self, deltas: Sequence[Delta] | None = None, weights: Sequence[float] | None = None, targets: str | Sequence[str] | None = None) -> None:
        if not deltas and not targets:
            raise DeltaError("TaskArithmetic adds deltas up, and none were given. Attach some that can be merged, such as LoRA, and pass them: TaskArithmetic([one, two]).")
        weights = [1.0] * len(deltas or ()) if weights is None else list(weights)
        if len(weights) != len(deltas or ()):
            raise DeltaError(f"{len(deltas or ())} deltas have {len(weights)} weights. Give one weight for each.")
        total: dict[str, Tensor] = {}
        for delta, weight in zip(deltas or (), weights):
            for name, change in task_vector(delta).items():
                total[name] = total.get(name, 0.0) + weight * change
        super().__init__(targets or sorted({name.rsplit(".", 1)[0] for name in total}))
        self.sum = total

    def build(self, path: str, model: nn.Module) -> nn.Module:
        module = model.get_submodule(path)
        if isinstance(module, nn.Linear):
            part = FullDifference(module)
        elif isinstance(module, (LayerNorm, RMSNorm)):
            part = NormChange(module)
        else:
            raise DeltaError(f"TaskArithmetic changes linears and norms, and {path} is neither.")
        with torch.no_grad():
            for name, p in part.named_parameters():
                change = self.sum.get(f"{path}.{name}")
                if change is not None:
                    p.copy_(change)
        return part

    def formula(self, path: str, model: nn.Module) -> int:
        module = model.get_submodule(path)
        return sum(p.numel() for p in (module.weight, getattr(module, "bias", None)) if p is not None)

    def updates(self, path: str, part: nn.Module) -> dict[str, Tensor]:
        return part.updates(path)


@torch.no_grad()
def task_vector(delta: Delta) -> dict[str, Tensor]:
    """tau: what an attached delta adds to the weights, by parameter name.

    Raises: DeltaError if it is not attached, is merged, or cannot be folded into weights.
    """
    if delta.model is None or delta.originals:
        raise DeltaError(f"A {type(delta).__name__} that {'is merged' if delta.originals else 'is not attached'} met. What it adds can be read while it hangs on its model: attach (or unmerge) it first.")
    return {name: change.detach().clone() for path, part in delta.parts_by_path().items() for name, change in delta.updates(path, part).items()}
