"""Rows of many tasks in one batch: each row runs through its own delta, all through one frozen backbone.

    y_b = W x_b + s_t B_t A_t x_b        t = t(b), the task of row b: LoRA (Chen et al. 2023, Punica)
    out_b = part_t(x, out)_b             any family, at each site: a part reads the batch, its own rows are kept

One backbone and kilobytes per task serve many tasks, and a batch need not wait until it is full of one of them.
Changes and frozen: as each delta says.  A row comes out to the bit as if the whole batch were its delta's.  For that each part
reads the whole batch, so a batch of k tasks costs one backbone and k times its parts, which are small beside it.
To run a part on its own rows alone (exact=False) computes less, and so does stacking the A_t and B_t of all rows, for which
Punica and S-LoRA (Sheng et al. 2023) wrote kernels.  But a matrix product may add in another order when its shape changes, and
then the last bits differ (IA3, which multiplies element by element, keeps them).
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, NoReturn, Self

import torch
from torch import Tensor, nn

from minidelta.delta.base import Delta
from minidelta.errors import DeltaError, near_misses

States = Tensor | tuple[Tensor, Tensor]  # a pair (k, v) at `attn.kv`


class Mixed(Delta):
    """Several deltas on one model, each for rows of its own.

    Prompts and prefixes make a text longer, so they share a batch only with others of the same length.
    Args:
        deltas: by the name of their task; trained or loaded, and not attached.
        exact: whether a part reads the whole batch, for the same bits; False: its own rows alone, for batches of many tasks or rows.
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
    paper = "Chen et al. 2023"
    default_targets = ()

    def __init__(self, deltas: Mapping[str, Delta], exact: bool = True) -> None:
        super().__init__()
        if not deltas:
            raise DeltaError('Mixed serves several deltas, and none were given. Name some: Mixed({"reviews": one, "news": two}).')
        for name, delta in deltas.items():
            if delta.model is not None:
                raise DeltaError(f"The delta {name!r} is attached, so it would change the rows of all tasks. Detach it first.")
            if getattr(delta, "positions", False):
                raise DeltaError(f"The delta {name!r} is a {type(delta).__name__} with positions=True, which moves the text of all rows, so it cannot be mixed. All other families can; train it without positions.")
        self.deltas, self.batch, self.exact = dict(deltas), Batch(), exact

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
        rows = {task: [b for b, other in enumerate(tasks) if other == task] for task in dict.fromkeys(tasks)}
        self.batch.rows = {task: torch.tensor(own, device=model.device) for task, own in rows.items()}
        self.batch.order = torch.tensor(sum(rows.values(), []), device=model.device).argsort()
        try:
            yield self
        finally:
            self.batch.rows = {}

    def places(self, model: nn.Module) -> list[str]:
        targeted = {path for delta in self.deltas.values() for path in delta.paths}
        return [path for path in model.sites() if path in targeted]

    def build(self, path: str, model: nn.Module) -> "Choice":
        return Choice({name: delta.parts_by_path()[path] for name, delta in self.deltas.items() if path in delta.paths}, self.batch, self.exact)

    def expected(self, model: nn.Module) -> int:
        return sum(delta.expected(model) for delta in self.deltas.values())

    def save(self, *_: Any, **__: Any) -> NoReturn:
        """Not for a mixture.  Raises: DeltaError."""
        raise DeltaError("Mixed only brings deltas together. Save each of them by itself, for example in a DeltaHub.")


class Batch:
    """Whose the rows of the batch are.

    rows: task -> the numbers of its rows.  order: [B], where each row stands when the tasks' rows follow each other.
    """

    rows: dict[str | None, Tensor] = {}
    order: Tensor


class Choice(nn.Module):
    """The part at one site: those of all deltas that hang there."""

    def __init__(self, parts: dict[str, nn.Module], batch: Batch, exact: bool) -> None:
        super().__init__()
        self.of, self.each, self.batch, self.exact = list(parts), nn.ModuleList(parts.values()), batch, exact

    def forward(self, x: Tensor, out: States) -> States:
        if not self.batch.rows:
            raise DeltaError("A model with mixed deltas does not know whose these rows are. Say it: with mixed.rows([...]): model(...).")
        if len(x) != len(self.batch.order):
            raise DeltaError(f"The batch has {len(x)} rows, and mixed.rows named {len(self.batch.order)}. Name one delta, or None, for each row.")
        parts = {task: part for task, part in zip(self.of, self.each) if task in self.batch.rows}
        if not parts:
            return out
        if list(self.batch.rows) == list(parts) and len(parts) == 1:  # one task has the batch to itself
            return next(iter(parts.values()))(x, out)
        kept = []
        for task, rows in self.batch.rows.items():
            if task not in parts:
                kept.append(take(out, rows))
            elif self.exact:
                kept.append(take(parts[task](x, out), rows))  # [B,T,D] -> [b,T,D], b rows of this task
            else:
                kept.append(parts[task](x[rows], take(out, rows)))
        return join(kept, self.batch.order)


def take(states: States, rows: Tensor) -> States:
    """Some rows, of keys and values each: [B,T,D] -> [b,T,D]."""
    return tuple(take(each, rows) for each in states) if isinstance(states, tuple) else states[rows]


def join(kept: Sequence[States], order: Tensor) -> States:
    """The rows of all tasks, each in its place again.

    >>> join([torch.tensor([[[1.0]], [[1.0]]]), torch.tensor([[[2.0]]])], torch.tensor([0, 2, 1])).flatten()
    tensor([1., 2., 1.])
    """
    if isinstance(kept[0], tuple):
        return tuple(join(each, order) for each in zip(*kept))
    lengths = sorted({states.size(1) for states in kept})
    if len(lengths) > 1:
        raise DeltaError(f"Rows of one batch became {' and '.join(map(str, lengths))} places long: a prompt or prefix shares a batch only with others of its length, and with no row that has none.")
    return torch.cat(kept)[order]  # [B,T,D]
