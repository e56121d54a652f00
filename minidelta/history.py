"""What a training leaves behind: its history, the best values on the way, and the state from which it can go on.

The state is one safetensors file, written beside and moved into place; what is no tensor stands in its metadata as JSON.
"""

import json
import math
import os
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from minidelta.errors import CheckpointError

STATE_FILE = "training.safetensors"


@dataclass
class History:
    """What happened during `fit`, for reading, plotting and storing.

    records: one dictionary per logged step: step (1 = after the first update), loss (mean since the last
        record), lr (of the first group), and on validation steps `validation`, a dictionary of figures.
    seconds: time spent training, over all resumed parts.
    best_step: the step whose values were restored by early stopping; None without early stopping.
    stopped_early: whether patience ran out before the last step.

    >>> history = History([{"step": 1, "loss": 2.0, "lr": 0.1}, {"step": 2, "loss": 1.5, "lr": 0.0}])
    >>> history.losses, History.from_json(history.to_json()) == history
    ([2.0, 1.5], True)
    """

    records: list[dict[str, Any]] = field(default_factory=list)
    seconds: float = 0.0
    best_step: int | None = None
    stopped_early: bool = False

    @property
    def steps(self) -> list[int]:
        """The logged steps."""
        return [record["step"] for record in self.records]

    @property
    def losses(self) -> list[float]:
        """The logged training losses, one for each of `steps`."""
        return [record["loss"] for record in self.records]

    @property
    def validations(self) -> list[tuple[int, dict[str, float]]]:
        """(step, figures) of every validation."""
        return [(record["step"], record["validation"]) for record in self.records if "validation" in record]

    def to_json(self) -> str:
        """The history as JSON text."""
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> "History":
        """Read what `to_json` wrote."""
        return cls(**json.loads(text))


class Best:
    """The best validation figure so far, and the values of the parameters that reached it."""

    def __init__(self, maximize: bool) -> None:
        self.maximize, self.figure, self.step, self.misses = maximize, None, None, 0
        self.values: list[Tensor] = []

    def see(self, figure: float, step: int, trained: list[Tensor]) -> None:
        better = not math.isnan(figure) and (self.figure is None or (figure > self.figure if self.maximize else figure < self.figure))
        if better:
            self.figure, self.step, self.misses = figure, step, 0
            self.values = [p.detach().clone() for p in trained]
        else:
            self.misses += 1

    @torch.no_grad()
    def restore(self, trained: list[Tensor]) -> None:
        for p, value in zip(trained, self.values):
            p.copy_(value)


def state_place(checkpoint: str | Path) -> Path:
    """The place of the training state; that it can be written is found out before the first step, not after it."""
    try:
        Path(checkpoint).mkdir(parents=True, exist_ok=True)
    except OSError as problem:
        raise CheckpointError(f"{checkpoint} cannot hold the training state ({problem.strerror}). Choose another folder.") from None
    if not os.access(checkpoint, os.W_OK):
        raise CheckpointError(f"{checkpoint} cannot be written. Choose another folder.")
    return Path(checkpoint) / STATE_FILE


def save_state(file: Path, settings: dict, trained: list[Tensor], moves: torch.optim.Optimizer, best: Best, history: History, done: int) -> None:
    """Write everything a resume needs into one file, and move it into place in one stroke."""
    tensors = {f"parameter.{i}": p.detach() for i, p in enumerate(trained)}
    tensors |= {f"best.{i}": value for i, value in enumerate(best.values)}
    plain: dict[str, Any] = {}  # optimizer state that is not a tensor
    for index, state in moves.state_dict()["state"].items():
        for key, value in state.items():
            if isinstance(value, Tensor):
                tensors[f"optimizer.{index}.{key}"] = value
            elif value is not None:
                plain[f"{index}.{key}"] = value
    about = {"settings": settings, "done": done, "history": asdict(history), "plain": plain, "best": [best.figure, best.step, best.misses]}
    unfinished = file.with_suffix(".partial")
    try:
        save_file({name: t.contiguous().clone() for name, t in tensors.items()}, unfinished, metadata={"minidelta": json.dumps(about)})
        os.replace(unfinished, file)
    except (OSError, SafetensorError) as problem:
        raise CheckpointError(f"{file} cannot be written ({problem}). Make room, or choose another folder.") from None


def load_state(file: Path, settings: dict, trained: list[Tensor], moves: torch.optim.Optimizer, best: Best) -> tuple[History, int]:
    """Put the saved values back in place; return the history and the number of updates made."""
    try:
        with safe_open(file, "pt") as stored:
            about = json.loads(stored.metadata()["minidelta"])
            tensors = {name: stored.get_tensor(name) for name in stored.keys()}
    except Exception as problem:
        raise CheckpointError(f"{file} is not a readable training state ({problem}). Delete it to start afresh.") from problem
    there, now = about["settings"], json.loads(json.dumps(settings))
    differing = [f"{key}: {there.get(key)} there, {now.get(key)} now" for key in {**now, **there} if there.get(key) != now.get(key)]
    if differing:
        raise CheckpointError(f"{file} belongs to a run with other settings. Use the same settings to resume, or another folder.\n  " + "\n  ".join(differing))
    with torch.no_grad():
        for i, p in enumerate(trained):
            p.copy_(tensors[f"parameter.{i}"])
    best.values = [tensors[f"best.{i}"].to(p.device) for i, p in enumerate(trained) if f"best.{i}" in tensors]
    best.figure, best.step, best.misses = about["best"]
    state: dict[int, dict[str, Any]] = {}
    found = {name.removeprefix("optimizer."): value for name, value in tensors.items() if name.startswith("optimizer.")} | about["plain"]
    for name, value in found.items():
        index, key = name.split(".", 1)
        state.setdefault(int(index), {})[key] = value
    moves.load_state_dict({"state": state, "param_groups": moves.state_dict()["param_groups"]})
    return History(**about["history"]), about["done"]
