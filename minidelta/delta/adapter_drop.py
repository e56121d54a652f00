"""AdapterDrop: adapters in the upper layers only (Rücklé et al. 2021, section 3).

    h <- h                       in layers below n
    h <- h + W_up f(W_down h)    from layer n on

Changes: what the sublayers of the upper layers add to the stream.  Frozen: all of the backbone.  Below the lowest adapter
nothing trains, so the backward pass ends there, which saves time and memory.
Difference: the n is chosen once (the paper's specialised form); its robust form draws n anew for each batch.
"""

import re
from collections.abc import Sequence

from torch import nn

from minidelta.delta.adapter import HoulsbyAdapter
from minidelta.errors import DeltaError


class AdapterDrop(HoulsbyAdapter):
    """Adapters without those of the lowest layers.

    Args:
        dropped: n, the number of lower layers (of each stack) without adapters; None: five twelfths of them, and
            at least one.
    Raises: DeltaError if no layer is left, or nothing is dropped.

    >>> from minidelta.model import Transformer, TransformerConfig
    >>> model = Transformer(TransformerConfig(shape="decoder", vocab_size=100, d_model=32, n_layers=3, n_heads=4, d_ff=64))
    >>> AdapterDrop(dropped=2).attach(model).paths
    ['layers.2.attn_out', 'layers.2.ffn_out']
    """

    name = "adapter-drop"
    paper = "Rücklé et al. 2021"
    learning_rate = 1e-2

    def __init__(self, dropped: int | None = None, bottleneck_dim: int = 16, activation: str = "gelu", scaling: float = 1.0, targets: str | Sequence[str] | None = None) -> None:
        if dropped is not None and (not isinstance(dropped, int) or dropped < 0):
            raise DeltaError(f"dropped is {dropped!r}; give the number of lower layers without adapters, such as 1.")
        super().__init__(bottleneck_dim, activation, scaling, targets)
        self.dropped, self.settings = dropped, {"dropped": dropped} | self.settings

    def places(self, model: nn.Module) -> list[str]:
        depth = min(model.config.n_layers, model.config.n_decoder_layers)
        n = max(1, round(5 / 12 * depth)) if self.dropped is None else self.dropped
        kept = [path for path in super().places(model) if layer_number(path) >= n]
        if not kept:
            raise DeltaError(f"With {n} layers dropped no adapter is left in a model of {depth}. Give dropped less than {depth}.")
        return kept


def layer_number(path: str) -> int:
    """The layer that a path lies in: `decoder.layers.3.attn_out` -> 3; -1 outside of the layers."""
    found = re.search(r"layers\.(\d+)\.", path)
    return int(found[1]) if found else -1
