"""In-context learning: description, answered examples and question are one text, and nothing trains (GPT-3; Brown et al. 2020).

    p(y | x) = prod_t p(y_t | description, (x_1, y_1), ..., (x_K, y_K), x, y_<t)

K = 0 is called zero-shot, K = 1 one-shot, more few-shot.  GPT reads the text from left to right, so whatever stands before the
question is the same for all questions and is computed once.  T5 and BERT read in both directions and compute everything anew.
"""

import re
from collections.abc import Sequence
from copy import copy
from typing import Any

import torch
from torch import Tensor, nn

from minidelta.data import Example, Task
from minidelta.errors import PromptError, near_misses
from minidelta.learner import IGNORED, Batch, Item, Learner
from minidelta.model.cache import Cache
from minidelta.prompt.answers import AnswerLearner, Answers
from minidelta.prompt.context import Context, Format, Pick, Shown, format_for
from minidelta.prompt.render import Renderer

NORMALISE = ("sum", "mean", "unconditional")
LONGEST = 24  # tokens of a written answer


class InContextLearner(AnswerLearner):
    """Scores the labels, or an example's choices, as continuations of the prompt.

    Args:
        model, tokenizer, task: any family; the task has labels or choices.
        shown: examples for all questions alike, or a function from a question to its examples.
        form: a `Format`; default by the task.
        description: what is asked, in words, at the very beginning.
        verbalizer: `Answers`; default the names of the labels.
        normalise: "sum" of log p over the tokens of an answer, their "mean", or the sum less what the answer has without
            any context, log p(y | "A:") ("unconditional"; Brown et al. 2020, section 2.4).
        settings: as of `Learner`.
    Raises: PromptError if a question does not fit behind its demonstrations.

    >>> from minidelta.data import load_task
    >>> from minidelta.hub import load_model, load_tokenizer
    >>> from minidelta.prompt.context import choose
    >>> task = load_task("sentiment")
    >>> learner = InContextLearner(load_model("gpt-nano"), load_tokenizer("gpt-nano"), task, choose(task.train, 4))
    >>> learner.score(task.test[:3]).shape
    torch.Size([3, 2])
    """

    def __init__(
        self,
        model: nn.Module,
        tokenizer: Any,
        task: Task,
        shown: Pick = (),
        form: Format | None = None,
        description: str = "",
        verbalizer: Answers | None = None,
        normalise: str = "sum",
        **settings: Any,
    ) -> None:
        if normalise not in NORMALISE:
            raise PromptError(f"Answers are not normalised by {normalise!r}. {near_misses(str(normalise), NORMALISE)}")
        form = form or format_for(task)
        super().__init__(model, tokenizer, task, form.question([], description), verbalizer, **settings)
        self.context = Context(task, form, shown, description, self.verbalizer.label_words)
        self.normalise = normalise
        self.verbalizer = copy(self.verbalizer)  # the caller's stays as it is
        self.verbalizer.normalise = "mean" if normalise == "mean" else "sum"
        self.bare = AnswerLearner(model, tokenizer, task, f"{form.cue} {{mask}}", self.verbalizer, **settings) if normalise == "unconditional" else None
        self.memory: tuple[list[int], Cache] | None = None  # tokens before every question, and their keys and values

    def encode(self, examples: Sequence[Example]) -> list[Item]:
        self.memory = None  # the weights may have changed
        items: list[Item] = []
        for self.template, shown, group in self.context.prompts(examples):
            self.renderers = {}
            try:
                found = super().encode(group)
            except PromptError as problem:
                raise (self.too_long(shown, group) if shown and "may not be cut" in str(problem) else problem) from None
            if shown and any(branch["cut"] for item in found for branch in item["branches"]):
                raise self.too_long(shown, group)
            items += found
        if self.bare:
            fixed = None if self.choosing else self.bare.score([Example("")])[0].tolist()
            for item, example in zip(items, examples):
                item["bare"] = fixed or self.bare.score([example])[0].tolist()
        return items

    def too_long(self, shown: Shown, examples: Sequence[Example]) -> PromptError:
        answers = self.verbalizer.flat or [choice for example in examples for choice in example.meta["choices"]]
        longest = max(len(ids) for ids in self.tokenizer(list(map(str, answers)), add_special_tokens=False)["input_ids"])
        return self.context.too_long(shown, examples, self.tokenizer, self.max_length - longest)

    def pad(self, items: Sequence[Item]) -> Batch:
        batch = super().pad(items)
        if self.bare:
            most = max(len(item["bare"]) for item in items)
            batch["bare"] = torch.tensor([item["bare"] + [0.0] * (most - len(item["bare"])) for item in items], device=self.model.device)
        return batch

    def at_masks(self, batch: Batch) -> Tensor:
        """The states that predict each token of the answers [rows,L,D]; of GPT, what all rows begin with is read once."""
        rows, where = batch["inputs"]["input_ids"].unique(dim=0, return_inverse=True)  # answers of one token ask the same question
        start = min(common(rows.tolist()), int(batch["masks"][batch["answers"] != IGNORED].min()))
        if self.shape != "decoder" or start == 0 or torch.is_grad_enabled():
            return super().at_masks(batch)
        hidden = self.model.hidden(rows[:, start:], cache=self.read(rows[0, :start]).repeated(len(rows)))  # [rows,T-start,D]
        return hidden[where[:, None], (batch["masks"] - start).clamp(min=0)]  # filled-up places are not looked at

    def read(self, ids: Tensor) -> Cache:
        """Keys and values of the shared beginning; those of the last batch where it began alike."""
        if self.memory is None or self.memory[0] != ids.tolist():
            cache = Cache(self.model.config)
            self.model.hidden(ids[None], cache=cache)
            self.memory = ids.tolist(), cache
        return self.memory[1]

    def scores(self, batch: Batch) -> Tensor:
        scores = super().scores(batch)
        return scores - batch["bare"] if self.bare else scores

    def settings(self) -> dict[str, Any]:
        own = super().settings()
        return {key: own[key] for key in ("seed", "max_length", "verbalizer", "prior")} | self.context.settings() | {"normalise": self.normalise}


class InContextWriter(Learner):
    """Writes the answer: greedy, up to the end of the line or what the format puts between two examples.

    Args:
        model: GPT or T5.
        task: of a kind whose examples bring their answers in words.
        shown, form, description: as of `InContextLearner`.

    >>> from minidelta.data import load_task
    >>> from minidelta.hub import load_model, load_tokenizer
    >>> task = load_task("translation")
    >>> writer = InContextWriter(load_model("gpt-micro"), load_tokenizer("gpt-micro"), task, [Example("the cat", meta={"answer": "le chat"})])
    >>> writer.predict([Example("a wolf"), Example("the milk")])
    ['un loup', 'le lait']
    """

    def __init__(self, model: nn.Module, tokenizer: Any, task: Task, shown: Pick = (), form: Format | None = None, description: str = "", **settings: Any) -> None:
        super().__init__(model, tokenizer, task, **settings)
        if task.kind != "generation":
            raise PromptError(f"The {task.kind} task {task.name!r} has answers to choose from; take InContextLearner.")
        if self.shape == "encoder":
            raise PromptError("BERT does not write; take a GPT or a T5.")
        self.context = Context(task, form or format_for(task), shown, description)
        after = tokenizer(self.context.form.between.rstrip(" "), add_special_tokens=False)["input_ids"]
        self.stops = [tokenizer.eos_token_id, *(after if len(after) == 1 else ())]  # no need to write on

    def encode(self, examples: Sequence[Example]) -> list[Item]:
        items = []
        for template, shown, group in self.context.prompts(examples):
            renderer = Renderer(template, self.tokenizer, self.shape, self.max_length, reserve=LONGEST, start=self.model.config.decoder_start_token_id)
            try:
                found = renderer(group)
            except PromptError as problem:
                raise (self.context.too_long(shown, group, self.tokenizer, renderer.room) if shown and "may not be cut" in str(problem) else problem) from None
            if shown and any(seen.cut for seen in found):
                raise self.context.too_long(shown, group, self.tokenizer, renderer.room)
            self.truncated += sum(bool(seen.cut) for seen in found)
            items += [{"ids": seen.ids, "types": seen.types, "size": len(seen.ids)} for seen in found]
        return items

    def answers(self, batch: Batch) -> list[str]:
        ids, left = [item["ids"] for item in batch["items"]], self.shape == "decoder"  # the answer begins where the prompt ends
        pad = self.tokenizer.pad_token_id or 0
        mask = self.rows([[1] * len(row) for row in ids], 0, left)
        written = self.model.generate(self.rows(ids, pad, left), mask, max_new_tokens=LONGEST, eos_token_id=self.stops, pad_token_id=pad)
        texts = self.tokenizer.batch_decode(written[:, mask.size(1) :] if left else written, skip_special_tokens=True)
        end = self.context.form.between.strip() or "\n"
        return [re.split(rf"\n|{re.escape(end)}(?:\s|$)", f"{text.strip()}\n")[0].strip() for text in texts]

    def settings(self) -> dict[str, Any]:
        return super().settings() | self.context.settings()


def common(rows: Sequence[Sequence[int]]) -> int:
    """The number of tokens with which all rows begin.

    >>> common([[1, 2, 3], [1, 2, 4]])
    2
    """
    first, last = min(rows), max(rows)  # if the least and the greatest agree, so do all between them
    return next((place for place, (one, other) in enumerate(zip(first, last)) if one != other), min(map(len, rows)))
