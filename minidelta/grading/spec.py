"""What an exercise is made of besides its notebook: tests with points, and the wrong answers that people give.

One file `tests/exercises/NN_name.py` stands beside each `solutions/NN_name.ipynb` and holds `TASKS`.  It never says what is
right: that is what the solution returns.
"""

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor


class Draw:
    """Random inputs that are the same on every machine: from Python's own generator, rounded to two decimals.

    >>> draw = Draw(0)
    >>> draw.tensor(2), draw.integer(1, 6)
    (tensor([0.6900, 0.5200]), 4)
    """

    def __init__(self, seed: int | str) -> None:
        self.random = random.Random(seed)

    def number(self, low: float = -1.0, high: float = 1.0) -> float:
        """A number with two decimals, low to high."""
        return round(self.random.uniform(low, high), 2)

    def integer(self, low: int, high: int) -> int:
        """A whole number, low to high, both included."""
        return self.random.randint(low, high)

    def tensor(self, *shape: int, low: float = -1.0, high: float = 1.0) -> Tensor:
        """A float32 tensor of the shape."""
        return torch.tensor([self.number(low, high) for _ in range(_size(shape))]).reshape(shape)

    def integers(self, *shape: int, low: int = 0, high: int = 9) -> Tensor:
        """An int64 tensor of the shape."""
        return torch.tensor([self.integer(low, high) for _ in range(_size(shape))], dtype=torch.int64).reshape(shape)

    def choice(self, things: Sequence[Any]) -> Any:
        return self.random.choice(things)

    def sample(self, things: Sequence[Any], count: int) -> list[Any]:
        return self.random.sample(things, count)


def _size(shape: tuple[int, ...]) -> int:
    size = 1
    for side in shape:
        size *= side
    return size


@dataclass(frozen=True)
class Test:
    """One idea that is tested, and its points.

    name: the idea, in a few words; unique within the task.
    points: whole points.
    inputs: from a `Draw` to the keyword arguments of the learner's function (tensors, numbers, strings, lists, dictionaries).
    use: `use(answer, **inputs)` for what is more than one call: builds the learner's class, trains two steps, ...; default
        `answer(**inputs)`.  It returns plain values (never a verdict), and its source alone is sent along: a function with
        a name (a lambda's source is its whole line), no closures, no globals but `torch`.
    judge: for answers that are not unique: `judge(value, expected, **inputs)` returns None or what is wrong.  Its source
        stands by itself as well.
    hidden: runs only when the notebook is graded, not in `check`.
    hint: a sentence for those who fail.
    tolerance: of numbers, absolute and relative.
    changes: names of inputs that the answer is meant to change in place.
    """

    __test__ = False  # the name begins as those do that pytest collects

    name: str
    points: int
    inputs: Callable[[Draw], dict[str, Any]]
    use: Callable[..., Any] | None = None
    judge: Callable[..., str | None] | None = None
    hidden: bool = False
    hint: str = ""
    tolerance: float = 1e-4
    changes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Wrong:
    """An answer that people give: the solution with a few words changed, or a whole cell.

    message: what is said to whoever gives it: the misconception by name, and what to think about.
    loses: names of the tests that it fails.
    edits: pieces of the solution and what stands there instead; each occurs exactly once.
    code: instead of edits, the whole cell.
    """

    message: str
    loses: tuple[str, ...]
    edits: dict[str, str] = field(default_factory=dict)
    code: str = ""


@dataclass(frozen=True)
class Task:
    """One graded exercise.

    name: of the function or class that the learner writes; unique in the whole course.
    tests: in the order in which they are shown.
    wrong: wrong answers, the likeliest first: where two agree with an answer in as many tests, the first one's message is said.
    forbidden: names of torch that would be the whole answer, such as torch.nn.functional.scaled_dot_product_attention.
    seconds: for all tests together, wall clock.
    """

    name: str
    tests: tuple[Test, ...]
    wrong: tuple[Wrong, ...]
    forbidden: tuple[str, ...] = ()
    seconds: float = 4.0

    @property
    def points(self) -> int:
        return sum(test.points for test in self.tests)
