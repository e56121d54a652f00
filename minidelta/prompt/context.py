"""The text of an in-context question: how it is written, which examples are shown, and what stands before it.

    description, (x_1, y_1), ..., (x_K, y_K), x

Nothing here asks a model for an answer; that is incontext.py.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate
from random import Random
from typing import Any

import torch
from torch import Tensor

from minidelta.data import Example, Task
from minidelta.errors import PromptError, near_misses
from minidelta.learner import Learner
from minidelta.prompt.demonstrations import answered
from minidelta.prompt.template import Part, Template

CHOICES = ("balanced", "random", "nearest")

Shown = list[tuple[Example, str]]  # demonstrations: examples with the words of their answers, in the order in which they are read


@dataclass(frozen=True)
class Format:
    """How a question and its answer are written.

    one: a template with one {mask}, where the answer stands.
    between: what stands between two of them; an answer that is written ends there.
    """

    one: Template
    between: str = "\n"

    def question(self, shown: Shown, description: str = "") -> Template:
        """The whole prompt as a template: description and demonstrations as they are, then the question.

        >>> FORMATS["arrow"].question([(Example("cheese"), "fromage")], "Translate English to French:").source
        'Translate English to French: cheese => fromage . {text_a} => {mask}'
        """
        opening = [str(Part("literal", description + (self.between if "\n" in self.between else " ")))] if description else []
        demonstrations = [answered(self.one, example, answer) + str(Part("literal", self.between)) for example, answer in shown]
        return Template("".join([*opening, *demonstrations, str(self.one)]), self.one.name, self.one.seen)

    @property
    def cue(self) -> str:
        """The words right before the answer, such as "=>" or "A:"."""
        before = self.one.parts[: next(place for place, part in enumerate(self.one.parts) if part.kind == "mask")]
        words = before[-1].value.split() if before and before[-1].kind == "literal" else []
        return words[-1] if words else "Answer:"


FORMATS = {
    "arrow": Format(Template("{text_a} => {mask}", "arrow", seen=True), " . "),
    "question": Format(Template("Q: {text_a|shorten} A: {mask}", "question")),
    "label": Format(Template("Text: {text_a|shorten} Label: {mask}", "label")),
    "pair": Format(Template("Text: {text_a|shorten} And: {text_b|shorten} Label: {mask}", "pair")),
    "passage": Format(Template("{text_a|shorten} Q: {text_b|shorten} A: {mask}", "passage")),
    "relation": Format(Template("Text: {text_a|shorten} {head} and {tail}: {mask}", "relation")),
}


def format_for(task: Task) -> Format:
    """A format for a task, by what its examples hold.

    >>> from minidelta.data import load_task
    >>> [format_for(load_task(name)).one.name for name in ("translation", "sentiment", "entailment", "qa-yesno", "relation")]
    ['arrow', 'label', 'pair', 'passage', 'relation']
    """
    if task.kind == "relation":
        return FORMATS["relation"]
    if task.kind == "generation" and not any(example.text_b for example in task.train):
        return FORMATS["arrow"]
    if not any(example.text_b for example in task.train):
        return FORMATS["label"]
    if not any(example.text for example in task.train):
        return Format(Template("Q: {text_b|shorten} A: {mask}", "question"))
    return FORMATS["passage" if task.name.startswith("qa") or task.kind in ("choice", "generation") else "pair"]


def find_format(source: str | Format | None, task: Task) -> Format:
    """A format by its name, or a template of one question with its {mask}.  Raises: PromptError for an unknown name."""
    if isinstance(source, Format):
        return source
    if source is None:
        return format_for(task)
    if "{" in source:
        return Format(Template(source))
    if source not in FORMATS:
        raise PromptError(f"There is no format {source!r}. {near_misses(source, FORMATS)} Or write one, such as 'Text: {{text_a|shorten}} Label: {{mask}}'.")
    return FORMATS[source]


def choose(examples: Sequence[Example], count: int, how: str = "balanced", seed: int = 0) -> list[Example]:
    """Demonstrations for all questions alike.

    Args:
        examples: to choose from, with their answers.
        count: K.
        how: "balanced" takes from each label in turn, "random" does not look at labels; both in a random order.
        seed: of the draw and the order.
    Raises: PromptError if there are too few examples, or for an unknown way.

    >>> from minidelta.data import load_task
    >>> sorted(example.label for example in choose(load_task("sentiment").train, 4))
    ['negative', 'negative', 'positive', 'positive']
    """
    if how not in CHOICES[:2]:
        raise PromptError(f"Demonstrations for all questions are not chosen by {how!r}. {near_misses(str(how), CHOICES[:2])}")
    if count > len(examples):
        raise PromptError(f"{count} demonstrations were asked for, and there are {len(examples)} examples to choose from; ask for fewer.")
    rng = Random(seed)
    shuffled = rng.sample(list(examples), len(examples))
    if how == "balanced":
        turn: dict[Any, int] = {}
        places = {}
        for place, example in enumerate(shuffled):
            places[place] = turn[example.label] = turn.get(example.label, -1) + 1  # the how-manieth of its label
        shuffled = [shuffled[place] for place in sorted(places, key=lambda place: (places[place], place))]
    return rng.sample(shuffled[:count], count)


class Nearest:
    """Demonstrations like the question: nearest by the cosine of the model's own mean states (Liu et al. 2022, KATE).

    The nearest stands last, right before the question, which is one of the orders that they try.  A question that is itself among the
    examples is shown its own answer: ask about others.

    Args:
        learner: gives model and tokenizer.
        examples: to choose from.
        count: K.

    >>> from minidelta.data import load_task
    >>> from minidelta.hub import load_model, load_tokenizer
    >>> task = load_task("question-type", shots=4)
    >>> near = Nearest(Learner(load_model("gpt-nano"), load_tokenizer("gpt-nano"), task), task.train, 2)
    >>> near(task.train[3])[-1] == task.train[3]
    True
    """

    def __init__(self, learner: Learner, examples: Sequence[Example], count: int) -> None:
        if count > len(examples):
            raise PromptError(f"{count} demonstrations were asked for, and there are {len(examples)} examples to choose from; ask for fewer.")
        self.learner, self.examples, self.count = learner, list(examples), count
        self.states = torch.cat([self.look(self.examples[start : start + 64]) for start in range(0, len(self.examples), 64)])  # [N,D]

    @torch.no_grad()
    def look(self, examples: Sequence[Example]) -> Tensor:
        """The mean of the last hidden states of each text, of length 1 [N,D]."""
        texts = [f"{example.text} {example.text_b or ''}".strip() or "." for example in examples]
        ids = self.learner.tokenizer(texts, add_special_tokens=False, truncation=True, max_length=self.learner.max_length)["input_ids"]
        batch = self.learner.pad_rows(ids)
        with self.learner.resting():
            model = self.learner.model
            hidden = model.encode(**batch["inputs"]) if self.learner.shape == "encoder-decoder" else model.hidden(**batch["inputs"])  # [N,T,D]
        real = torch.arange(hidden.size(1), device=hidden.device) < batch["lengths"][:, None]
        return torch.nn.functional.normalize((hidden * real[..., None]).sum(1), dim=-1)

    def __call__(self, example: Example) -> list[Example]:
        likeness = self.states @ self.look([example])[0]
        return [self.examples[place] for place in likeness.topk(self.count).indices.flip(0).tolist()]


Pick = Sequence[Example] | Callable[[Example], Sequence[Example]]  # demonstrations, or from a question to its own, such as `Nearest`


class Context:
    """What stands before a question.

    Args:
        task: says what an answer is.
        form, shown, description: format, demonstrations, and what is asked in words.
        label_words: label -> its words, of which the first is shown; empty where examples bring their answers.
    """

    def __init__(self, task: Task, form: Format, shown: Pick = (), description: str = "", label_words: Mapping[str, Sequence[str]] | None = None) -> None:
        self.task, self.form, self.shown, self.description, self.label_words = task, form, shown, description, label_words or {}

    def prompts(self, examples: Sequence[Example]) -> Iterator[tuple[Template, Shown, Sequence[Example]]]:
        """Prompts, their demonstrations and the questions that share them: all, or each its own."""
        for group in [[example] for example in examples] if callable(self.shown) else [examples]:
            shown = [(example, self.words(example)) for example in (self.shown(group[0]) if callable(self.shown) else self.shown)]
            yield self.form.question(shown, self.description), shown, group

    def words(self, example: Example) -> str:
        """The words of an example's answer: its choice, its own words, or those of its label."""
        if self.task.kind == "choice":
            return str(example.meta["choices"][int(example.label)])
        return str(example.meta["answer"]) if self.task.kind == "generation" else self.label_words[example.label][0]

    def settings(self) -> dict[str, Any]:
        """As plain values what the constructor needs: of a function of the question, the examples that it chooses from."""
        near = self.shown if isinstance(self.shown, Nearest) else None
        if callable(self.shown) and near is None:
            raise PromptError("Demonstrations that a function of your own chooses cannot be kept; take Nearest, or the same for all questions.")
        shown = [{"text": one.text, "text_b": one.text_b, "label": one.label, "meta": one.meta} for one in (near.examples if near else self.shown)]
        return {"form": [self.form.one.source, self.form.between], "shown": shown, "nearest": near and near.count, "description": self.description}

    def too_long(self, shown: Shown, examples: Sequence[Example], tokenizer: Any, room: int) -> PromptError:
        """What does not fit, and how much of it would."""

        def tokens(text: str) -> int:
            return len(tokenizer(text, add_special_tokens=False)["input_ids"])

        question = max(tokens(self.form.question([], self.description).fill(example, "")) for example in examples)
        each = [tokens(self.form.one.fill(example, answer) + self.form.between) for example, answer in shown]
        fit = sum(total + question <= room for total in accumulate(sorted(each, reverse=True)))
        return PromptError(f"{len(each)} demonstrations take {sum(each)} tokens and a question up to {question}, and the model has room for {room}; show {fit} at most, or shorter ones.")
