"""Two ways through the same work, in turns."""

import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from minidelta.costs.measurement import Peak
from minidelta.errors import ConfigError

Way = Callable[[], Callable[[], Any] | None]  # does the work; returns what undoes it, or nothing
TOLERANCE = 1e-3  # of the results, relative: far above rounding, far below a difference that matters
ROUNDINGS = 8  # of numbers shorter than float32, where rounding is more than that


class Different(ConfigError):
    """Two ways that should do the same do not."""


@dataclass(frozen=True)
class Contest:
    """One line of the table before it is run.

    name: what is done.
    ours, theirs: the two ways; the time of undoing is not counted.
    beside: whose way the second one is.
    goal: the largest ratio that we want; None: told only.
    results: what both find before they are timed (tensors or numbers), which must agree; None: they begin at random.
    state: () -> tensors that were there before, for the memory of a step; None: memory is not looked at.
    flops: of one run of ours, to be set beside the machine's peak.
    note: one line below the table.
    """

    name: str
    ours: Way
    theirs: Way
    beside: str = "transformers"
    goal: float | None = None
    results: tuple[Callable[[], Any], Callable[[], Any]] | None = None
    state: tuple[Callable[[], list[Tensor]], Callable[[], list[Tensor]]] | None = None
    flops: float | None = None
    note: str = ""


def race(contest: Contest, rounds: int, device: torch.device) -> dict[str, Any]:
    """Run a contest: one pair that does not count, then `rounds` pairs; who goes first alternates.

    Returns: name, beside, goal, note, `ours_ms` and `theirs_ms` (medians), `ratio` (the median of the pairs' own), `min`, `max`,
        `ours_mb` and `theirs_mb` (the most held by one run beyond what was there before it; None where it was not looked at).
    Raises: Different where the two ways do not find the same: their times would mean nothing.

    >>> row = race(Contest("sleep", lambda: time.sleep(0.001), lambda: time.sleep(0.004)), 3, torch.device("cpu"))
    >>> row["ratio"] < 1, row["min"] <= row["ratio"] <= row["max"]
    (True, True)
    """
    if contest.results:
        ours, theirs = (torch.as_tensor(found()) for found in contest.results)
        near = max(TOLERANCE, ROUNDINGS * torch.finfo(ours.dtype).eps) if ours.is_floating_point() else 0.0
        if ours.shape != theirs.shape or not torch.allclose(ours.double(), theirs.double(), rtol=near, atol=near):
            apart = f"by up to {(ours.double() - theirs.double()).abs().max():.2g}" if ours.shape == theirs.shape else "in shape"
            raise Different(f"{contest.name}: the results of ours and of {contest.beside} differ {apart}, so their times cannot be compared.")
    seconds(contest.ours, device), seconds(contest.theirs, device)
    memory = [most(way, state, device) for way, state in zip((contest.ours, contest.theirs), contest.state)] if contest.state else (None, None)
    pairs = []
    for number in range(rounds):
        if number % 2:
            theirs, ours = seconds(contest.theirs, device), seconds(contest.ours, device)
        else:
            ours, theirs = seconds(contest.ours, device), seconds(contest.theirs, device)
        pairs.append((ours, theirs))
    ratios = [ours / theirs for ours, theirs in pairs]
    ours_ms, theirs_ms = (1000 * statistics.median(times) for times in zip(*pairs))
    return {
        "name": contest.name, "beside": contest.beside, "ours_ms": ours_ms, "theirs_ms": theirs_ms, "ratio": statistics.median(ratios), "min": min(ratios), "max": max(ratios),
        "goal": contest.goal, "ours_mb": memory[0], "theirs_mb": memory[1], "flops": contest.flops, "note": contest.note,
    }  # fmt: skip


def seconds(way: Way, device: torch.device) -> float:
    """Of one run; a GPU may still be at work when Python has gone on."""
    wait = torch.cuda.synchronize if device.type == "cuda" else lambda: None
    wait()
    start = time.perf_counter()
    undo = way()
    wait()
    taken = time.perf_counter() - start
    if undo:
        undo()
    return taken


def most(way: Way, state: Callable[[], list[Tensor]], device: torch.device) -> float:
    """The most megabytes that one run holds beyond the tensors that were there before."""
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
        before = torch.cuda.memory_allocated(device)
        undo = way()
        found = torch.cuda.max_memory_allocated(device) - before
    else:
        with Peak({tensor.untyped_storage()._cdata for tensor in state()}) as watch:
            undo = way()
        found = watch.most
    if undo:
        undo()
    return found / 1e6


def matmul_peak(device: torch.device, dtype: torch.dtype, size: int = 1024, rounds: int = 8) -> float:
    """The best rate of a square matrix product here, in GFLOP/s: what all other work is measured against."""
    a, b = (torch.randn(size, size, device=device, dtype=dtype) for _ in range(2))
    return 2 * size**3 / min(seconds(lambda: (a @ b, None)[1], device) for _ in range(rounds)) / 1e9
