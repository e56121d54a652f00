"""A backbone in int8 below a delta in float: the frozen weights in a quarter of the bytes.

    W_ij ~ s_i q_ij        s_i = max_j |W_ij| / 127,   q_ij = round(W_ij / s_i) in -127 ... 127
    h = (s q) x + (alpha / R) B A x        with LoRA on top: the delta reads and adds as before
    h = s r (q p) + ...                    dynamic: x ~ r p too, r = max |x| / 127 of each token, and q p is a product of integers

(Absmax quantization, row by row: Dettmers et al. 2022, sections 2.1 and 3.1.  A delta trained above a quantized backbone is the idea
of QLoRA, Dettmers et al. 2023, section 3, equation 5, there with 4 bits.)
Changes: every linear that has a site, to n + 4 d_out bytes from 4 n, n = d_out d_in.  As they were: embeddings, norms, biases, heads
and the delta.  Each weight is off by half a step at most, s_i / 2 = max_j |W_ij| / 254.
Only the weights are int8, not what passes through: a layer writes s q out as floats whenever it runs, and lets them go.  That saves
memory and costs time, little for many tokens at once, more than the product itself for a single one in a wide layer.
Dynamic turns what a layer reads into int8 as well, each token by its own largest value, and multiplies integers by integers, which
processors with instructions for it do several times as fast.  The price is a second rounding, and that no gradient passes: it is for
answering, and a delta trains on floats, or on int8 weights alone.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from minidelta.errors import DeltaError
from minidelta.model import Transformer
from minidelta.model.layers import Linear


class Int8Linear(Linear):
    """A linear layer whose weight is kept as q [d_out,d_in] in int8 and s [d_out,1]; dynamic: that reads int8, too.

    >>> linear = Linear(2, 1, bias=False)
    >>> _ = linear.weight.data.copy_(torch.tensor([[1.27, -0.504]]))
    >>> Int8Linear(linear).q
    tensor([[127, -50]], dtype=torch.int8)
    """

    def __init__(self, linear: Linear, dynamic: bool = False) -> None:
        nn.Module.__init__(self)  # not Linear's: it would draw a weight
        self.dynamic = dynamic
        self.in_features, self.out_features, self.site, self.bias = linear.in_features, linear.out_features, linear.site, linear.bias
        weight = linear.weight.detach()
        scale = weight.abs().amax(1, keepdim=True) / 127  # s [d_out,1]
        scale[scale == 0] = 1.0
        self.register_buffer("scale", scale)
        self.register_buffer("q", (weight / scale).round().clamp(-127, 127).to(torch.int8))  # in bfloat16 the quotient may be 128

    @property
    def weight(self) -> Tensor:
        """s q [d_out,d_in], made anew each time it is read."""
        return self.q.to(self.scale.dtype).mul_(self.scale)  # one large tensor, not two

    def forward(self, x: Tensor) -> Tensor:
        return self.site(x, self.multiply(x) if self.dynamic else F.linear(x, self.weight, self.bias))  # [..., d_in] -> [..., d_out]

    def multiply(self, x: Tensor) -> Tensor:
        """s r (q p) + b, in integers from p to q p."""
        if x.requires_grad:
            raise DeltaError("A dynamic int8 backbone passes no gradient on. Train on the floats, or on quantize(model) with int8 weights alone, and answer under torch.no_grad().")
        tokens = x.reshape(-1, self.in_features).float()  # [N,d_in]
        r = tokens.abs().amax(1, keepdim=True) / 127  # [N,1]
        p = (tokens / r.clamp(min=torch.finfo(r.dtype).tiny)).round().to(torch.int8)
        out = torch._int_mm(p, self.q.t()).mul(r).mul_(self.scale.t())  # [N,d_out]; PyTorch's own product of int8 has no other name yet
        return (out if self.bias is None else out + self.bias).to(x.dtype).view(*x.shape[:-1], self.out_features)


@torch.no_grad()
def quantize(model: Transformer, dynamic: bool = False) -> Transformer:
    """Turn the linears of a backbone into int8, in place; there is no way back but to load the model again.

    A delta that was trained on this very model may be attached again; one from a folder was trained on other numbers, so say
    `load_delta(folder, check_backbone=False)`, or `DeltaHub(folder, check_backbone=False)`.  It cannot be merged.
    Args:
        model: without a delta.
        dynamic: whether what a linear reads becomes int8 as well: faster, a little coarser, and without gradients.
    Raises: DeltaError if a delta hangs on it, or it is int8 already; of a dynamic one, when it should pass a gradient.

    >>> from minidelta.model import TransformerConfig
    >>> model = Transformer(TransformerConfig(shape="decoder", vocab_size=100, d_model=32, n_layers=2, n_heads=4, d_ff=64))
    >>> before = weight_bytes(model)
    >>> before - weight_bytes(quantize(model))  # 3 bytes of each of 16,384 weights, less 4 for each of 448 rows
    47360
    """
    if getattr(model, "deltas", None):
        raise DeltaError(f"The delta {model.deltas[0].key!r} hangs on this model. Detach it, quantize, and attach it again.")
    linears = {path: module for path, module in model.named_modules() if isinstance(module, Linear)}
    if any(isinstance(linear, Int8Linear) for linear in linears.values()):
        raise DeltaError("This model is int8 already. To begin anew, load it again.")
    for path, linear in linears.items():
        around, _, name = path.rpartition(".")
        setattr(model.get_submodule(around), name, Int8Linear(linear, dynamic).train(linear.training))
    return model


def weight_bytes(model: Transformer) -> int:
    """What the backbone's values take, in bytes, without what deltas hung on."""
    return sum(value.numel() * value.element_size() for value in model.backbone_state().values())
