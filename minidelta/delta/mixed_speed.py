"""How long a batch of many tasks takes, mixed and task by task.

    python -m minidelta.delta.mixed_speed --model bert-micro --tasks 4 --rows 8 --tokens 32

Three ways through the same rows: mixed in one batch; task by task, each delta attached, run on its rows and detached; task by task
again with nothing to attach.  They take turns, A B C A B C, so that whatever else the machine does meets all of them alike.
"""

import argparse
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from minidelta.delta import HoulsbyAdapter, IA3, LoRA, Mixed
from minidelta.delta.base import Delta
from minidelta.hub import load_model
from minidelta.model import Transformer

FAMILIES = {"lora": LoRA, "houlsby": HoulsbyAdapter, "ia3": IA3}


@dataclass(frozen=True)
class Race:
    """Medians over the rounds: seconds for all rows, and how many times as long as mixed the others take (of each round its own ratio)."""

    mixed: float
    switching: float
    apart: float
    switching_ratio: float
    apart_ratio: float


@torch.no_grad()
def race(model: Transformer, deltas: dict[str, Delta], ids: Tensor, tasks: list[str], rounds: int = 20, exact: bool = True) -> Race:
    """Time the three ways.

    Args:
        model: with nothing attached, in evaluation mode.
        deltas: detached, as `Mixed` takes them.
        ids: [B,T]; the decoder of an encoder-decoder reads them, too.
        tasks: the delta of each row.
        rounds: how often each way is run, after two that do not count.
        exact: as for `Mixed`.

    >>> from minidelta.model import bert_config
    >>> bert = Transformer(bert_config(vocab_size=50, d_model=16, n_layers=1, n_heads=2, d_ff=32), seed=0).eval()
    >>> times = race(bert, {"a": LoRA(), "b": IA3()}, torch.ones(4, 3, dtype=torch.long), ["a", "b", "a", "b"], rounds=3)
    >>> min(times.mixed, times.switching, times.apart) > 0
    True
    """
    own = {task: torch.tensor([b for b, other in enumerate(tasks) if other == task], device=ids.device) for task in dict.fromkeys(tasks)}
    more = (lambda ids: {"decoder_input_ids": ids}) if model.config.shape == "encoder-decoder" else (lambda ids: {})

    def mixed_way() -> None:
        with mixed.rows(tasks):
            model.hidden(ids, **more(ids))

    def apart() -> None:
        for task, rows in own.items():
            with mixed.rows([task] * len(rows)):
                model.hidden(ids[rows], **more(ids[rows]))

    def switching() -> None:
        for task, rows in own.items():
            with deltas[task].attach(model):
                model.hidden(ids[rows], **more(ids[rows]))

    mixed, found = Mixed(deltas, exact), []
    for _ in range(rounds + 2):
        with mixed.attach(model):
            a, c = seconds(mixed_way, model), seconds(apart, model)
        found.append((a, seconds(switching, model), c))
    found = found[2:]
    middle = [statistics.median(column) for column in zip(*found)]
    return Race(*middle, *(statistics.median(times[i] / times[0] for times in found) for i in (1, 2)))


def seconds(way: Callable[[], None], model: Transformer) -> float:
    """Of one run, all of it: a GPU may still be at work when Python has gone on."""
    wait = torch.cuda.synchronize if model.device.type == "cuda" else lambda: None
    wait()
    start = time.perf_counter()
    way()
    wait()
    return time.perf_counter() - start


def main() -> None:
    """The command."""
    ask = argparse.ArgumentParser(prog="python -m minidelta.delta.mixed_speed", description="Time a batch of many tasks, mixed and task by task.")
    ask.add_argument("--model", default="bert-micro")
    for name, value in (("tasks", 4), ("rows", 8), ("tokens", 32), ("rounds", 20)):
        ask.add_argument(f"--{name}", type=int, default=value)
    given = ask.parse_args()
    model = load_model(given.model)
    ids = torch.arange(1, given.rows * given.tokens + 1, device=model.device).view(given.rows, given.tokens)
    tasks = [f"task {b % given.tasks}" for b in range(given.rows)]
    for name, family in FAMILIES.items():
        for exact in (True, False):
            times = race(model, {task: family() for task in dict.fromkeys(tasks)}, ids, tasks, given.rounds, exact)
            print(f"{name:8} {'exact    ' if exact else 'own rows '} {1000 * times.mixed:7.1f} ms   task by task {times.switching_ratio:5.2f} times as long, {times.apart_ratio:5.2f} without attaching")


if __name__ == "__main__":
    main()
