"""What a step will hold for any delta: the step is taken with shapes in place of numbers."""

import copy
from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from minidelta.costs.checks import check
from minidelta.costs.ledger import Ledger
from minidelta.costs.measurement import KERNEL, measure
from minidelta.errors import ConfigError
from minidelta.model import Transformer, TransformerConfig


def rehearse(
    config: TransformerConfig, delta: Any, batch_size: int, length: int, optimizer: str = "adamw", *, target_length: int | None = None,
    classes: int = 0, scored: int | None = None, padded: bool = False,
) -> Ledger:  # fmt: skip
    """What `measure` will find for a delta, whichever it is.

    The model is made, and the step is taken, on PyTorch's meta device, where tensors have shapes and no numbers: it costs
    neither the memory nor the time that it tells of.  A delta that cannot begin without numbers (FISH looks at examples)
    gets a model that has them, for as long as it attaches.  One thing is not seen: a CPU's kernel for LSTMs (p-tuning)
    keeps copies of their weights, and its flops are told but not measured.
    Args:
        delta: as built, not attached, and it is left as it is; or a function that builds one for the model it gets.
        all others: as in `predict`.
    Returns: the ledger with flops and peak, without seconds.
    Raises: ConfigError for a value that cannot work; what the delta raises at `attach`.

    >>> from minidelta.model import bert_config
    >>> from minidelta.costs import table
    >>> from minidelta.delta import BitFit, LoRA  # or any other
    >>> bert = bert_config(vocab_size=4000, d_model=64, n_layers=2, n_heads=4, d_ff=256)
    >>> print(table({"lora": rehearse(bert, LoRA(), 32, 40, classes=2), "bitfit": rehearse(bert, BitFit(), 32, 40, classes=2)}))
              total  trainable  weights MB  gradients MB  optimizer MB  activations MB  stored MB  10^9 flops
    lora    405,666      4,226       1.623         0.017         0.034          12.692      0.017       0.573
    bitfit  403,042      1,602       1.612         0.006         0.013          12.528      0.006       0.583
    """
    check(config, optimizer, classes, scored, batch_size=batch_size, length=length, target_length=target_length or 1, classes=classes or 1)
    try:
        with torch.device("meta"), WithoutNumbers():
            model, delta = hang(config, delta)
    except (RuntimeError, ConfigError):  # it asked for a number, or brought some along
        model, delta = hang(config, delta, seed=0)
    head = nn.Sequential(nn.Dropout(config.dropout), nn.Linear(config.d_model, classes)).to("meta") if classes else None
    model.train().to("meta")
    two = config.shape == "encoder-decoder"
    written = target_length or length if two else length
    ids, answers = (torch.zeros(batch_size, size, dtype=torch.long, device="meta") for size in (length, written))
    mask = torch.ones_like(ids) if padded else None

    def loss() -> Tensor:
        hidden = model.hidden(ids, mask, decoder_input_ids=answers if two else None)  # [B,T,D]
        told = delta.penalty()
        if head is not None:
            told = told + F.cross_entropy(head(model.pool(hidden) if config.pooler else hidden[:, -1].clone()), ids[:, 0])
        if scored or head is None:
            n = scored or answers.numel()
            told = told + F.cross_entropy(model.lm_logits(hidden.flatten(0, 1)[:n]), answers.flatten()[:n])
        return told

    with AsOnCPU():
        return measure(loss, model, [*delta.parameters(), *(head.parameters() if head else ())], optimizer, count=True)


def hang(config: TransformerConfig, delta: Any, seed: int | None = None) -> tuple[Transformer, Any]:
    """A new model with a copy of the delta on it."""
    model = Transformer(config, seed).eval()
    return model, (copy.deepcopy(delta) if isinstance(delta, nn.Module) else delta(model)).attach(model)


class WithoutNumbers(TorchFunctionMode):
    """What stands on the meta device may be sent to the CPU, and stays; a check of its numbers, which are not there, finds nothing wrong."""

    def __torch_function__(self, func: Callable, types: Any, args: tuple = (), kwargs: dict | None = None) -> Any:
        if func in (Tensor.cpu, Tensor.__bool__) and args[0].is_meta:
            return args[0] if func is Tensor.cpu else False
        return func(*args, **(kwargs or {}))


class AsOnCPU(TorchFunctionMode):
    """On the meta device PyTorch writes attention out; a CPU has a kernel for it, which keeps less, unless there is dropout or a gradient of the mask."""

    def __torch_function__(self, func: Callable, types: Any, args: tuple = (), kwargs: dict | None = None) -> Any:
        if func is F.scaled_dot_product_attention:
            q, k, v, mask, dropout, causal = args
            if not dropout and not (mask is not None and mask.requires_grad):
                mask = mask if mask is None or mask.is_floating_point() else torch.zeros_like(mask, dtype=q.dtype)
                return KERNEL(q, k, v, 0.0, causal, attn_mask=mask, **(kwargs or {}))[0]
        return func(*args, **(kwargs or {}))
