"""What all learners share: from examples to padded batches, and from batches to predictions.

A learner joins a model, its tokenizer and a task.  It turns an `Example` into an item (token numbers and
what should be answered), items into a batch, a batch into a loss, and a batch into answers.  It says
nothing about which parameters train: frozen, full and delta all run through the same code.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from minidelta.data import Example, Task
from minidelta.errors import ConfigError, DataError

IGNORED = -100  # a label that no loss counts
UNBOUNDED = 512  # most tokens of a text for models whose positions have no end, such as T5

Item = dict[str, Any]  # ids and types (lists of int), size (for sorting), and what the learner wants to know later
Batch = dict[str, Any]  # inputs (what model.hidden takes), lengths [B], items, and targets


class Learner:
    """Base of all learners; the subclasses say how to encode, what the loss is and how to read the answer.

    Args:
        model: a Transformer.
        tokenizer: its own.
        task: kind, labels and prefix; the examples are needed only by those who generate answers.
        seed: of a new head's weights.
        max_length: most tokens of an input; default what the model's positions allow.

    Attributes:
        rate: tested learning rate of the task's own parameters beside a frozen backbone, where they are no head; None: a head's.
        needed: shape of the model -> the special tokens without which its inputs cannot be written.
    Raises: ConfigError if the tokenizer has not all of them, so that it must be another model's.
    """

    rate: float | None = None
    needed = {"encoder": ("cls_token", "sep_token"), "decoder": ("eos_token",), "encoder-decoder": ("pad_token", "eos_token")}

    def __init__(self, model: nn.Module, tokenizer: Any, task: Task, seed: int = 0, max_length: int | None = None) -> None:
        self.model, self.tokenizer, self.task, self.seed = model, tokenizer, task, seed
        self.shape = model.config.shape
        self.check_tokenizer()
        longest = model.config.max_positions if model.config.positions == "learned" else UNBOUNDED
        self.max_length = min(max_length or longest, longest)
        self.head: nn.Module | None = None
        self.truncated = 0  # examples that had to be shortened so far
        self.unreadable = 0  # answers of the last `predict` that could not be parsed

    # -- what a learner says -------------------------------------------------------------------------

    def encode(self, examples: Sequence[Example]) -> list[Item]:
        """Examples as token numbers, with their targets where they have one."""
        raise NotImplementedError

    def loss(self, batch: Batch) -> Tensor:
        """Mean loss of a batch, a scalar."""
        raise NotImplementedError

    def answers(self, batch: Batch) -> list:
        """The prediction for each item, in the form of `Example.target`."""
        raise NotImplementedError

    # -- what all do alike ---------------------------------------------------------------------------

    def check_tokenizer(self) -> None:
        """Refuse a tokenizer that lacks special tokens now, since a batch would only say that None is no number."""
        absent = [name for name in self.needed[self.shape] if getattr(self.tokenizer, name) is None]
        if not absent:
            return
        remedy = "use the tokenizer that belongs to this model"
        if self.shape == "encoder" and self.model.config.positions == "relative":
            remedy = "T5's encoder alone has never seen any, so take the whole T5"
        raise ConfigError(f"The tokenizer has no {' and no '.join(absent)} for the inputs of this {self.shape}; {remedy}.")

    def make_room(self, vectors: int) -> None:
        """Leave positions free for a prompt of so many vectors, which a delta puts before every text."""
        if self.model.config.positions == "learned":
            self.max_length = min(self.max_length, self.model.config.max_positions - vectors)

    def collate(self, examples: Sequence[Example]) -> Batch:
        """Examples as one padded batch."""
        return self.pad(self.encode(examples))

    def pad(self, items: Sequence[Item]) -> Batch:
        """Items as tensors, padded to the longest of them."""
        return self.pad_rows([item["ids"] for item in items], [item["types"] for item in items]) | {"items": items}

    def pad_rows(self, ids: Sequence[list[int]], types: Sequence[list[int]] | None = None) -> Batch:
        """Rows of token numbers as the model's inputs; without a mask if nothing is padded."""
        pad = self.tokenizer.pad_token_id if self.tokenizer.pad_token_id is not None else 0
        lengths = [len(row) for row in ids]
        inputs = {"input_ids": self.rows(ids, pad)}  # [B,T]
        if min(lengths) < max(lengths):
            inputs["attention_mask"] = self.rows([[1] * n for n in lengths], 0)
        if types and self.model.config.token_types:
            inputs["token_type_ids"] = self.rows(types, 0)
        return {"inputs": inputs, "lengths": self.rows([lengths], 0)[0]}

    def rows(self, values: Sequence[list[int]], filling: int, left: bool = False) -> Tensor:
        """Lists of unequal length as one tensor [B,T] on the model's device."""
        longest = max(map(len, values))
        gaps = [[filling] * (longest - len(row)) for row in values]
        table = torch.tensor([gap + row if left else row + gap for row, gap in zip(values, gaps)])
        if self.model.device.type == "cuda":
            table = table.pin_memory()  # from there a copy does not hold up the loop
        return table.to(self.model.device, non_blocking=True)

    def hidden(self, batch: Batch) -> Tensor:
        """Last hidden states [B,T,D]; without a graph where nothing below them trains."""
        with torch.set_grad_enabled(torch.is_grad_enabled() and self.backbone_trains):
            return self.model.hidden(**batch["inputs"])

    def predict(self, examples: Sequence[Example], batch_size: int = 64) -> list:
        """The answer to each example, in order; texts of like length share a batch."""
        items, found = self.encode(examples), {}
        order = sorted(range(len(items)), key=lambda i: items[i]["size"])
        with self.resting(), torch.no_grad():
            for start in range(0, len(order), batch_size):
                chosen = order[start : start + batch_size]
                found.update(zip(chosen, self.answers(self.pad([items[i] for i in chosen]))))
        self.unreadable = sum(answer is None for answer in found.values())
        return [found[i] for i in range(len(items))]

    def parameters(self) -> list[nn.Parameter]:
        """The parameters that the task adds to the model: its head's."""
        return list(self.head.parameters()) if self.head is not None else []

    def open_head(self) -> list[nn.Parameter]:
        """The parameters that train when the backbone is frozen; `method="head"`."""
        return self.parameters()

    def settings(self) -> dict[str, Any]:
        """What the constructor needs to build this learner again."""
        return {"seed": self.seed, "max_length": self.max_length}

    @property
    def backbone_trains(self) -> bool:
        """Whether anything that the hidden states depend on trains: backbone parameters or an attached delta's."""
        return any(p.requires_grad for name, p in self.model.named_parameters() if not name.startswith("lm_head."))

    def train(self) -> None:
        """Switch dropout on, except in a backbone that is wholly frozen: its features are then fixed."""
        self.model.train(self.backbone_trains)
        if self.head is not None:
            self.head.train()

    def rest(self) -> None:
        """Switch dropout off, for use after training."""
        self.model.eval()
        if self.head is not None:
            self.head.eval()

    @contextmanager
    def resting(self) -> Iterator[None]:
        """Dropout off for a while; afterwards every module as it was."""
        modules = [*self.model.modules(), *(self.head.modules() if self.head is not None else ())]
        modes = [module.training for module in modules]
        for module in modules:
            module.training = False
        try:
            yield
        finally:
            for module, mode in zip(modules, modes):
                module.training = mode

    # -- text to token numbers -----------------------------------------------------------------------

    def tokens(self, texts: Sequence[str]) -> list[list[int]]:
        """Texts as token numbers, without special tokens."""
        return self.tokenizer(list(texts), add_special_tokens=False, verbose=False)["input_ids"] if texts else []

    def shorten(self, parts: list[list[int]], room: int) -> list[list[int]]:
        """Cut the ends of the longest parts until all fit into `room` tokens; count the example if anything went."""
        limit = fair_limit([len(part) for part in parts], room)
        self.truncated += any(len(part) > limit for part in parts)
        return [part[:limit] for part in parts]

    def label_number(self, example: Example) -> int:
        """The place of the label among the task's labels; IGNORED for an example without one."""
        if example.label is None:
            return IGNORED
        if example.label not in self.task.labels:
            raise DataError(f"{example.source}: the label {example.label!r} is none of the task's: {', '.join(self.task.labels)}.")
        return self.task.labels.index(example.label)


def fair_limit(lengths: list[int], room: int) -> int:
    """The largest length to which all may be cut so that together they fit: short parts stay whole.

    >>> fair_limit([10, 3], room=9), fair_limit([10, 12], room=9), fair_limit([2, 3], room=9)
    (6, 4, 9)
    """
    limit = room
    while limit > 0 and sum(min(n, limit) for n in lengths) > room:
        limit -= 1
    return limit
