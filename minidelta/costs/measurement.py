"""What a real step holds: one is taken, and watched."""

import statistics
import time
import weakref
from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.flop_counter import FlopCounterMode, sdpa_backward_flop_count, sdpa_flop_count

from minidelta.costs.checks import choose
from minidelta.costs.ledger import Ledger
from minidelta.errors import ConfigError
from minidelta.train import OPTIMIZERS

KERNEL = torch.ops.aten._scaled_dot_product_flash_attention_for_cpu
UNCOUNTED = {  # of which PyTorch's counter has no formula
    KERNEL: lambda q, k, v, *_, **__: sdpa_flop_count(q, k, v),
    torch.ops.aten._scaled_dot_product_flash_attention_for_cpu_backward: lambda grad, q, k, v, *_, **__: sdpa_backward_flop_count(grad, q, k, v),
}


def measure(loss: Callable[[], Tensor], model: nn.Module, parameters: Iterable[Tensor], optimizer: str = "adamw", repeats: int = 0, count: bool = False) -> Ledger:
    """Take one training step and write down what it holds.

    Args:
        loss: no arguments -> scalar tensor, for one batch.  Put the model in training mode first.
        model: with or without an attached delta.
        parameters: what the optimizer gets, a head beside the model included; frozen ones are left out.
        optimizer: a name of `minidelta.train.OPTIMIZERS`.
        repeats: further steps to time (forward, backward, update); `seconds` is their median.
        count: take one more step to count `flops`, and to see the `peak`.
    Returns: the ledger.  The steps have a learning rate of zero, so the weights stay as they are; gradients are cleared.
    Raises: ConfigError for an unknown optimizer, or where nothing trains.

    >>> from minidelta.model import Transformer, gpt2_config
    >>> gpt = Transformer(gpt2_config(vocab_size=50, d_model=16, n_layers=1, n_heads=2, d_ff=32), seed=0)
    >>> measure(lambda: gpt(torch.tensor([[7, 8, 9]])).logsumexp(-1).sum(), gpt, gpt.parameters(), "sgd").gradients
    77760
    """
    trained = list({id(p): p for p in parameters if p.requires_grad}.values())
    every = list({id(p): p for p in [*model.parameters(), *trained]}.values())
    choose("optimizer", optimizer, OPTIMIZERS)
    if not trained:
        raise ConfigError("Nothing to measure: none of the parameters requires a gradient. Unfreeze some, or attach a delta first.")
    moves = OPTIMIZERS[optimizer]([{"params": trained, "lr": 0.0}], (0.9, 0.999), 0.0)
    if trained[0].is_meta:  # no fused kernel where there are no numbers
        for group in moves.param_groups:
            group["fused"] = False
    weights = {p.untyped_storage()._cdata for p in every}  # the storage itself: on the meta device all addresses are 0
    kept: dict[int, torch.UntypedStorage] = {}

    def keep(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()  # a view keeps all that it looks at, and two views keep it once
        if storage._cdata not in weights:
            kept[storage._cdata] = storage
        return tensor

    def forward() -> Tensor:
        for p in every:
            p.grad = None
        value = loss()
        if not value.requires_grad:
            raise ConfigError("The loss does not depend on any trained parameter. Pass the parameters that the loss uses.")
        return value

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        value = forward()
    activations = sum(storage.nbytes() for storage in kept.values())
    kept.clear()
    value.backward()
    moves.step()
    gradients = sum(p.grad.nbytes for p in every if p.grad is not None)
    states = sum(t.nbytes for state in moves.state.values() for t in state.values() if isinstance(t, Tensor))
    flops = forward_flops = peak = None
    if count:
        fixed = list(model.buffers())  # numbers that a delta holds and never trains
        there = weights | {b.untyped_storage()._cdata for b in fixed}
        with FlopCounterMode(display=False, custom_mapping=UNCOUNTED) as counter, Peak(there) as watch:
            value = forward()
            forward_flops = counter.get_total_flops()
            value.backward()
        flops, peak = counter.get_total_flops(), sum(t.nbytes for t in every + fixed) + states + watch.most
    times = []
    for _ in range(repeats):
        started = time.perf_counter()
        forward().backward()
        moves.step()
        if trained[0].is_cuda:
            torch.cuda.synchronize()
        times.append(time.perf_counter() - started)
    for p in every:
        p.grad = None
    return Ledger(
        sum(p.numel() for p in every), sum(p.numel() for p in trained), sum(p.nbytes for p in every), gradients, states, activations,
        sum(p.nbytes for p in trained), statistics.median(times) if times else None, flops, forward_flops, peak,
    )  # fmt: skip


class Peak(TorchDispatchMode):
    """The most bytes held at one moment by tensors that were made while it watches.

    Args:
        known: addresses of storages that were there before; a view of one of them is nothing new.

    >>> with Peak(set()) as watch:
    ...     halves = [torch.ones(100) for _ in range(2)]
    ...     del halves
    ...     whole = torch.zeros(150)
    >>> watch.now, watch.most
    (600, 800)
    """

    def __init__(self, known: set[int]) -> None:
        super().__init__()
        self.known, self.held, self.now, self.most = known, {}, 0, 0

    def __torch_dispatch__(self, func: Callable, types: Any, args: tuple = (), kwargs: dict | None = None) -> Any:
        out = func(*args, **(kwargs or {}))
        for tensor in tree_leaves(out):
            if isinstance(tensor, Tensor):
                self.hold(tensor.untyped_storage())
        self.most = max(self.most, self.now)
        return out

    def hold(self, storage: torch.UntypedStorage) -> None:
        """Count a storage until it is gone."""
        key, size = storage._cdata, storage.nbytes()

        def gone(_: object) -> None:
            self.now -= size
            del self.held[key]

        if key not in self.known and key not in self.held:
            self.held[key] = weakref.ref(storage, gone)
            self.now += size
