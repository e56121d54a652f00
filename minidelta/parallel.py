"""Several processes, one model: data-parallel training with the same `fit`.

    g = sum_r g_r          process r of W adds up its own batches of an update; then all hold g and take the same step

    torchrun --nproc-per-node 2 my_training.py        # which calls join() first, and is otherwise written as for one process

Every process holds the whole model.  Of an update's `accumulate` batches process r takes every W-th, beginning with its own number.  What
the processes send each other is the gradient of what trains, 4 bytes a number: of bert-nano 16 kB an update for a LoRA of rank 8, and
1.6 MB for full tuning.  The result is that of one process with the same `accumulate`: to the bit for two processes that take one batch
each, up to the order of the sum for more.

Each process takes a GPU of its own where there are as many; else, or with MINIDELTA_DEVICE=cpu, all compute on the CPU.  A backbone
that does not fit on one has to be cut up besides, for which PyTorch has `torch.distributed.fsdp.fully_shard`; it reduces gradients by
itself, so then do not call `join`, but start it in the script (not tried here).
"""

import atexit
import os
from collections.abc import Sequence

import torch
import torch.distributed as dist
from torch import Tensor


def join() -> tuple[int, int]:
    """Meet the other processes that torchrun has started; call it before a model is loaded.

    Returns: (number of this process, how many there are); (0, 1) outside of torchrun.

    >>> join()
    (0, 1)
    """
    if "RANK" in os.environ and not dist.is_initialized():
        local, here = int(os.environ["LOCAL_RANK"]), int(os.environ["LOCAL_WORLD_SIZE"])
        gpus = os.environ.get("MINIDELTA_DEVICE") != "cpu" and torch.cuda.device_count() >= here
        if gpus:
            torch.cuda.set_device(local)
        os.environ["MINIDELTA_DEVICE"] = f"cuda:{local}" if gpus else "cpu"
        from torch import _dynamo  # noqa: F401  the first optimizer would import it: after gloo's threads have begun, that ends in an abort at exit

        dist.init_process_group("nccl" if gpus else "gloo")
        atexit.register(leave)
    return place()


def leave() -> None:
    """Part from the others; `join` sees to it that this happens before the process ends."""
    if dist.is_initialized():
        dist.destroy_process_group()


def place() -> tuple[int, int]:
    """(number of this process, how many share the training)."""
    return (dist.get_rank(), dist.get_world_size()) if dist.is_available() and dist.is_initialized() else (0, 1)


def add_gradients(parameters: Sequence[Tensor]) -> int:
    """Put the sum over all processes in place of each gradient, in one message.

    Args:
        parameters: the same, in the same order, in every process.
    Returns: the bytes that each process sends.
    """
    reached = torch.tensor([p.grad is not None for p in parameters], dtype=parameters[0].dtype, device=parameters[0].device)
    message = torch.cat([*((torch.zeros_like(p) if p.grad is None else p.grad).flatten() for p in parameters), reached])  # [numbers + parameters]
    dist.all_reduce(message)
    *sums, reached = message.split([*(p.numel() for p in parameters), len(parameters)])
    for p, total, count in zip(parameters, sums, reached.tolist()):
        p.grad = total.view_as(p).clone() if count else None  # what no batch reached stays without a gradient, and does not decay
    return message.numel() * message.element_size()
