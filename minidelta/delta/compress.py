"""The values of a stored delta in fewer bytes: bfloat16 keeps 8 bits of every value, int8 a step on a ruler of its line.

    bfloat16    w' = round(w to 8 significant bits)                          |w' - w| <= |w| / 256
    int8        w' = s q,  q = round(w / s),  s = max |w| along a line / 127   |w' - w| <= s / 2 = max |w| / 254

(int8: absmax quantization, Dettmers et al. 2022, section 2.1, line by line as in their section 3.1; both bounds up to the
rounding of float32, 6e-8 |w|.)  A line runs along the longest side of a tensor, so that there are few s: R of them for lora_A [R,d_in] and
R for lora_B [d_out,R].  In bytes, for a tensor of n values whose longest side is l:

    float32 4 n        bfloat16 2 n        int8 n + 4 n / l

Loaded, the values are float32 again.
"""

import torch
from torch import Tensor

from minidelta.errors import DeltaError, near_misses

STEPS = 127  # int8 reaches from -127 to 127 here: zero in the middle, so that zero stays zero
SCALE = ".scale"  # int8 values `name` have their s beside them


@torch.no_grad()
def compress(name: str, value: Tensor, dtype: str | None) -> dict[str, Tensor]:
    """What to store for one tensor.

    Args:
        name: of the tensor.
        value: any shape, finite.
        dtype: "bfloat16", "int8", or None: as it is.
    Returns: name -> tensor; for "int8" [...] int8 and, with 1 in place of the longest side, its s in float32.
    Raises: DeltaError for another dtype, or values that are not finite.

    >>> compress("lora_A", torch.tensor([[1.27, 0.5, -0.004]]), "int8")
    {'lora_A': tensor([[127,  50,   0]], dtype=torch.int8), 'lora_A.scale': tensor([[0.0100]])}
    """
    value = value.detach().contiguous()
    if dtype is None:
        return {name: value}
    if dtype not in ("bfloat16", "int8"):
        raise DeltaError(f"dtype is {dtype!r}. {near_misses(str(dtype), ['bfloat16', 'int8'])} None keeps the values as they are.")
    if not value.isfinite().all():
        raise DeltaError(f"{name} holds values that are not finite, so it cannot be stored as {dtype}. The delta diverged while it trained; train it with a smaller rate.")
    if dtype == "bfloat16":
        return {name: value.to(torch.bfloat16)}
    side = max(range(value.dim()), key=lambda i: value.size(i))
    scale = value.float().abs().amax(side, keepdim=True) / STEPS
    scale[scale == 0] = 1.0  # a line of zeros
    q = (value / scale).round()  # w = s q
    return {name: q.to(torch.int8), name + SCALE: scale}


def expand(stored: dict[str, Tensor]) -> dict[str, Tensor]:
    """What `compress` stored, as float32; all other tensors as they are.

    >>> expand({"b": torch.tensor([100], dtype=torch.int8), "b.scale": torch.tensor([0.5]), "places": torch.tensor([7])})
    {'b': tensor([50.]), 'places': tensor([7])}
    """
    scales = {name + SCALE for name, value in stored.items() if value.dtype == torch.int8}
    return {name: _expand(value, stored.get(name + SCALE)) for name, value in stored.items() if name not in scales}


def _expand(value: Tensor, scale: Tensor | None) -> Tensor:
    if value.dtype == torch.int8 and scale is not None:
        return value * scale
    return value.float() if value.dtype == torch.bfloat16 else value


def stored_bytes(shape: torch.Size, dtype: str | None) -> int:
    """The closed formula: bytes of one stored tensor, of float32 before.

    >>> [stored_bytes(torch.Size([8, 128]), dtype) for dtype in (None, "bfloat16", "int8")]
    [4096, 2048, 1056]
    """
    n = shape.numel()
    return {None: 4 * n, "bfloat16": 2 * n, "int8": n + 4 * n // max(shape)}[dtype]
