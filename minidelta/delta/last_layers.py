"""Last layers: only the top of the backbone trains (Lee et al. 2019, "What would Elsa do?").

    W x + b  becomes  (W + DeltaW) x + (b + Delta b)        in every linear and norm of the last k layers, DeltaW of full size

Changes: all parameters of the last k blocks; of an encoder-decoder the decoder's.  Frozen: embeddings and all layers below,
through which no gradient has to travel.  The differences start at zero and are kept beside the original values.
"""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from minidelta.delta.adapter_drop import layer_number
from minidelta.delta.base import Delta
from minidelta.delta.bitfit import NORMS, NormChange, sites_there
from minidelta.delta.ladder import beside_the_answer
from minidelta.delta.targets import PRESETS
from minidelta.errors import DeltaError


class LastLayers(Delta):
    """All parameters of the last k layers.

    Args:
        layers: k; None: a quarter of them, and at least one.
        targets: which linears and norms of these layers; default all.
    Raises: DeltaError for a k below 1 or beyond what the model has, or a target that is neither linear nor norm.

    >>> from minidelta.model import Transformer, TransformerConfig
    >>> model = Transformer(TransformerConfig(shape="decoder", vocab_size=100, d_model=32, n_layers=4, n_heads=4, d_ff=64))
    >>> delta = LastLayers().attach(model)
    >>> delta.num_parameters() == sum(p.numel() for p in model.layers[3].parameters() if not p.requires_grad)
    True
    """

    name = "last-layers"
    paper = "Lee et al. 2019"
    default_targets = (*PRESETS["linear"], *NORMS)
    learning_rate = 5e-3

    def __init__(self, layers: int | None = None, targets: str | Sequence[str] | None = None) -> None:
        if layers is not None and (not isinstance(layers, int) or layers < 1):
            raise DeltaError(f"layers is {layers!r}; give how many of the last layers train, at least 1.")
        super().__init__(targets, layers=layers)
        self.layers = layers

    def places(self, model: nn.Module) -> list[str]:
        depth = model.config.n_decoder_layers if model.config.shape == "encoder-decoder" else model.config.n_layers
        k = max(1, round(depth / 4)) if self.layers is None else self.layers
        if k > depth:
            raise DeltaError(f"layers is {k}, and the model has {depth}. Give at most {depth}.")
        return [path for path in beside_the_answer(sites_there(model, self)) if layer_number(path) >= depth - k]

    def build(self, path: str, model: nn.Module) -> nn.Module:
        module = model.get_submodule(path)
        if isinstance(module, nn.Linear):
            return FullDifference(module)
        if path.endswith(NORMS):
            return NormChange(module)
        raise DeltaError(f"LastLayers trains linears and norms, and {path} is neither.")

    def formula(self, path: str, model: nn.Module) -> int:
        module = model.get_submodule(path)
        return sum(p.numel() for p in (module.weight, module.bias if hasattr(module, "bias") else None) if p is not None)

    def updates(self, path: str, part: nn.Module) -> dict[str, Tensor]:
        return part.updates(path)


class FullDifference(nn.Module):
    """The part on one linear layer: a difference as large as the weight itself."""

    def __init__(self, linear: nn.Linear) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(linear.out_features, linear.in_features))  # DeltaW [d_out,d_in]
        self.bias = None if linear.bias is None else nn.Parameter(torch.zeros(linear.out_features))

    def forward(self, x: Tensor, out: Tensor) -> Tensor:
        return out + F.linear(x.to(self.weight.dtype), self.weight, self.bias).to(out.dtype)  # [B,T,d_in] -> [B,T,d_out]

    def updates(self, path: str) -> dict[str, Tensor]:
        """What it adds to the backbone, by parameter name."""
        return {f"{path}.weight": self.weight} | ({} if self.bias is None else {f"{path}.bias": self.bias})
