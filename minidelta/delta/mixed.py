"""Rows of many tasks in one batch: each row runs through its own delta, all through one frozen backbone.

    y_b = W x_b + s_t B_t A_t x_b        t = t(b), the task of row b: here for LoRA (Wen and Chaudhuri 2023, section 3.1)

    out_b = part_t(b)(x_b, out_b)        at each site, for any family

One backbone and kilobytes per task serve many tasks; a batch need not wait until it is full of one of them.
Changes and frozen: as each delta says.  A row comes out to the bit as if the whole batch were its delta's: at each site every
part of the batch reads the whole batch, and of what it makes only its own rows are kept.  So a batch of k tasks costs one
backbone and k times its parts, which are small beside it.
Not done, though it computes less: to cut the rows of one task out and run them alone, or to stack the A_t and B_t and multiply
each row with its own (as the paper does, and S-LoRA, Sheng et al. 2024, with kernels made for it).  A matrix product adds in
another order when its shape changes, and the last bits come out differently.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, NoReturn, Self

import torch
from torch import Tensor, nn

from minidelta.delta.base import Delta
from minidelta.errors import DeltaError, near_misses


class Mixed(Delta):
    """Several deltas on one model, each for rows of its own.

    Prompts and prefixes make a text longer, so they share a batch only with others of the same length.
    Args:
        deltas: by the name of their task; trained or loaded, and not attached.
    Raises: DeltaError without deltas, for one that is attached, or one that cannot be mixed: a prefix with positions=True moves
        the text of all rows.  All other families can be mixed.

    >>> from minidelta.delta import IA3, LoRA
    >>> from minidelta.model import Transformer, TransformerConfig
    >>> model = Transformer(TransformerConfig(shape="decoder", vocab_size=100, d_model=32, n_layers=2, n_heads=4, d_ff=64), seed=0)
    >>> mixed = Mixed({"reviews": LoRA(), "news": IA3()}).attach(model)
    >>> with mixed.rows(["reviews", "news", None]):  # None: the plain backbone
    ...     model(torch.tensor([[1, 2], [3, 4], [5, 6]])).shape
    torch.Size([3, 2, 100])
    """

    name = "mixed"
    paper = "Wen and Chaudhuri 2023"
    default_targets = ()

    def __init__(self, deltas: Mapping[str, Delta]) -> None:
        super().__init__()
        if not deltas:
            raise DeltaError('Mixed serves several deltas, and none were given. Name some: Mixed({"reviews": one, "news": two}).')
        for name, delta in deltas.items():
            if delta.model is not None:
                raise DeltaError(f"The delta {name!r} is attached, so it would change the rows of all tasks. Detach it first.")
            if getattr(delta, "positions", False):
                raise DeltaError(f"The delta {name!r} is a {type(delta).__name__} with positions=True, which moves the text of all rows, so it cannot be mixed. All other families can; train it without positions.")
        self.deltas, self.batch = dict(deltas), Batch()

    def attach(self, model: nn.Module) -> Self:
        for delta in self.deltas.values():
            delta.attach(model).detach()  # builds and fills its parts, and checks that it was trained on this backbone
        return super().attach(model)

    @contextmanager
    def rows(self, tasks: Sequence[str | None]) -> Iterator[Self]:
        """Say whose the rows of the next batches are.

        Args:
            tasks: for each row the name of its delta, or None for the plain backbone.
        Raises: DeltaError for an unknown name; in the model, for another number of rows, or prompts of unequal length.
        """
        model, tasks = self._attached("mix rows"), list(tasks)
        for task in tasks:
            if task is not None and task not in self.deltas:
                raise DeltaError(f"A row names the delta {task!r}. {near_misses(str(task), self.deltas)}")
        self.batch.rows = {task: torch.tensor([task == other for other in tasks], device=model.device) for task in dict.fromkeys(tasks)}
        try:
            yield self
        finally:
            self.batch.rows = {}

    def places(self, model: nn.Module) -> list[str]:
        targeted = {path for delta in self.deltas.values() for path in delta.paths}
        return [path for path in model.sites() if path in targeted]

    def build(self, path: str, model: nn.Module) -> "Choice":
        return Choice({name: delta.parts_by_path()[path] for name, delta in self.deltas.items() if path in delta.paths}, self.batch)

    def expected(self, model: nn.Module) -> int:
        return sum(delta.expected(model) for delta in self.deltas.values())

    def save(self, *_: Any, **__: Any) -> NoReturn:
        """Not for a mixture.  Raises: DeltaError."""
        raise DeltaError("Mixed only brings deltas together. Save each of them by itself, for example in a DeltaHub.")


class Batch:
    """Whose the rows of the batch are: task -> booleans [B], True for its rows."""

    rows: dict[str | None, Tensor] = {}


class Choice(nn.Module):
    """The part at one site: those of all deltas that hang there."""

    def __init__(self, parts: dict[str, nn.Module], batch: Batch) -> None:
        super().__init__()
        self.of, self.each, self.batch = list(parts), nn.ModuleList(parts.values()), batch

    def forward(self, x: Tensor, out: Tensor | tuple[Tensor, Tensor]) -> Tensor | tuple[Tensor, Tensor]:
        if not self.batch.rows:
            raise DeltaError("A model with mixed deltas does not know whose these rows are. Say it: with mixed.rows([...]): model(...).")
        parts, result = dict(zip(self.of, self.each)), None
        for task, rows in self.batch.rows.items():
            if len(rows) != len(x):
                raise DeltaError(f"The batch has {len(x)} rows, and mixed.rows named {len(rows)}. Name one delta, or None, for each row.")
            own = parts[task](x, out) if task in parts else out  # all rows as this task has them
            result = own if result is None else choose(rows, own, result)
        return result


def choose(rows: Tensor, own: Tensor | tuple[Tensor, ...], others: Tensor | tuple[Tensor, ...]) -> Tensor | tuple[Tensor, ...]:
    """`own` [B,T,D] in these `rows` [B], `others` elsewhere; of keys and values each.

    >>> choose(torch.tensor([True, False]), torch.ones(2, 1, 1), torch.zeros(2, 1, 1)).flatten()
    tensor([1., 0.])
    """
    if isinstance(own, tuple):
        return tuple(choose(rows, a, b) for a, b in zip(own, others))
    if own.size(1) != others.size(1):
        raise DeltaError(f"Rows of one batch became {own.size(1)} and {others.size(1)} places long: a prompt or prefix shares a batch only with others of its length, and with no row that has none.")
    return torch.where(rows[:, None, None], own, others)  # [B,1,1]
