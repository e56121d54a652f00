"""MAM adapter: the best mixture of He et al. 2022 (section 4.6): short prefixes in attention, a scaled parallel adapter in feed-forward.

    attention      head = softmax(q [P_k; K]^T / sqrt(d)) [P_v; V]        prefixes of length 30 in the paper
    feed-forward   h <- h + s W_up ReLU(W_down x)                         bottleneck 512 and s = 4 in the paper

Changes: both sublayers.  Frozen: all of the backbone.  The paper finds that attention is changed well with few parameters, and
that the feed-forward makes better use of many; hence the sizes.  The adapters start at zero, the prefixes do not.
"""

from collections.abc import Sequence

from torch import nn

from minidelta.delta.adapter import Bottleneck
from minidelta.delta.base import Delta
from minidelta.delta.checks import positive, whole
from minidelta.delta.prefix import Prefix
from minidelta.errors import DeltaError


class MAM(Delta):
    """Mix-and-match: prefixes and scaled parallel adapters.

    Args:
        prefix_length: P, in vectors.
        bottleneck_dim: R of the adapters.
        scaling: s of the adapters.
    Raises: DeltaError for sizes below 1, or a target that is neither kv nor ffn_out.

    >>> from minidelta.model import Transformer, TransformerConfig
    >>> model = Transformer(TransformerConfig(shape="decoder", vocab_size=100, d_model=32, n_layers=2, n_heads=4, d_ff=64))
    >>> MAM(prefix_length=5, bottleneck_dim=4).attach(model).num_parameters()  # 2 x (2 x 5 x 32 + 2 x 4 x 32 + 4 + 32)
    1224
    """

    name = "mam"
    paper = "He et al. 2022"
    default_targets = ("kv", "ffn_out")
    learning_rate = 1e-2

    def __init__(self, prefix_length: int = 5, bottleneck_dim: int = 16, scaling: float = 4.0, targets: str | Sequence[str] | None = None) -> None:
        whole(prefix_length=prefix_length, bottleneck_dim=bottleneck_dim)
        positive(scaling=scaling)
        super().__init__(targets, prefix_length=prefix_length, bottleneck_dim=bottleneck_dim, scaling=scaling)
        self.prefix_length, self.bottleneck_dim, self.scaling = prefix_length, bottleneck_dim, scaling

    def build(self, path: str, model: nn.Module) -> nn.Module:
        if path.endswith(".kv"):
            return Prefix(self.prefix_length, model.config.n_heads * model.config.d_head)
        if path.endswith("ffn_out"):
            return Bottleneck(model.config.d_model, self.bottleneck_dim, "relu", self.scaling, parallel=True)
        raise DeltaError(f"MAM hangs prefixes on kv and adapters on ffn_out, and {path} is neither.")

    def formula(self, path: str, model: nn.Module) -> int:
        if path.endswith(".kv"):
            return 2 * self.prefix_length * model.config.n_heads * model.config.d_head
        return 2 * self.bottleneck_dim * model.config.d_model + self.bottleneck_dim + model.config.d_model
