"""Structured templates: every question has the same keys, whatever its format (ProQA; Zhong et al. 2022).

    [Format]: extractive, [Task]: qa-extract, [Domain]: world, [Question]: Where was Ada born?, [Passage]: ..., [Candidates]: ...

Each key has an indicator, soft tokens that start as the key's name and are the same in all tasks; format, task and domain have
soft tokens of their own behind their value, so that what one format learns and what all share are kept apart.  One T5 answers all:
a span of the passage, one of the candidates, or words of its own (L = - sum_t log p(y_t | y_<t, x)).

The paper also pre-trains on questions that a model has made up; here the embedded T5 is taken as it is.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from minidelta.data import Example, Task
from minidelta.errors import PromptError
from minidelta.evaluate import METRICS, f1_answer
from minidelta.learner import IGNORED, Batch, Item, Learner
from minidelta.prompt.learner import SOFT_RATE
from minidelta.prompt.render import Renderer, soft_rows
from minidelta.prompt.soft import SoftTokens
from minidelta.prompt.template import Template

FORMATS = {"extraction": "extractive", "choice": "multiple choice", "generation": "abstractive", "classification": "multiple choice"}
KEYS = ("Format", "Task", "Domain", "Question", "Passage", "Candidates")
LONGEST_ANSWER = 24  # tokens


def structured(example: Example, task: Task, domain: str = "world") -> Example:
    """An example with the values of its keys in `meta`, and its answer in words, whatever it was before.

    >>> task = Task("yes-no", "classification", ("no", "yes"), "accuracy", [], [], [])
    >>> structured(Example("Ada sang.", "Did Ada sing?", "yes"), task).meta
    {'Format': 'multiple choice', 'Task': 'yes-no', 'Domain': 'world', 'Candidates': ['no', 'yes'], 'answer': 'yes'}
    """
    if task.kind not in FORMATS:
        raise PromptError(f"A {task.kind} task such as {task.name!r} is no question with an answer in words; known formats: {', '.join(FORMATS)}.")
    choices = list(task.labels) if task.kind == "classification" else example.meta.get("choices")
    answer = choices[example.label] if task.kind == "choice" and example.label is not None else example.target
    keys = {"Format": FORMATS[task.kind], "Task": task.name, "Domain": domain} | ({"Candidates": choices} if choices else {})
    return replace(example, label=None, meta=example.meta | keys | ({} if answer is None else {"answer": str(answer)}))


def together(tasks: Sequence[Task], domain: str = "world") -> Task:
    """Several tasks of questions as one, to train one model on all of them; all answers are words."""
    parts = {part: [structured(example, task, domain) for task in tasks for example in getattr(task, part)] for part in ("train", "validation", "test")}
    return Task("+".join(task.name for task in tasks), "generation", (), "exact_match", **parts)


def structured_template(example: Example, length: int = 4) -> Template:
    """The template of an example's keys.

    Args:
        example: from `structured`.
        length: soft tokens behind a value of format, task and domain; 0: words alone, no soft token anywhere.

    >>> task = Task("qa", "extraction", (), "f1_answer", [], [], [])
    >>> structured_template(structured(Example("The Normans ...", "Where is Normandy?"), task), length=0).source
    '[Format]: {meta:Format}, [Task]: {meta:Task}, [Domain]: {meta:Domain}, [Question]: {text_b}, [Passage]: {text_a|shorten}'
    """
    values = {"Question": "{text_b}", "Passage": "{text_a|shorten}"}
    pieces = []
    for key in KEYS:
        if key == "Candidates" and key not in example.meta or key == "Passage" and not example.text or key == "Question" and example.text_b is None:
            continue
        indicator = f'{{soft#{key}:"{key.lower()}"}} ' if length else ""
        own = f" {{soft#{_mark(key, example.meta[key])}:{length}}}" if length and key in KEYS[:3] else ""
        pieces.append(f"{indicator}[{key}]: {values.get(key, f'{{meta:{key}}}')}{own}")
    return Template(", ".join(pieces))


def _mark(key: str, value: str) -> str:
    """The id of a value's soft tokens: letters, digits and - only."""
    return f"{key}-" + "".join(c if c.isalnum() else "-" for c in value)


class StructuredLearner(Learner):
    """One T5 for all formats.

    Args:
        model, tokenizer: a T5.
        task: from `together`: its training part says which values there are.  A value that comes up later has soft tokens of the
            key "other", which nothing has trained.
        length: soft tokens of a value.
        settings: as of `Learner`.
    Raises: PromptError for a model of another family.

    >>> from minidelta.data import load_task
    >>> from minidelta.hub import load_model, load_tokenizer
    >>> both = together([load_task("qa-extract", shots=2), load_task("qa-choice", shots=2)])
    >>> learner = StructuredLearner(load_model("t5-nano"), load_tokenizer("t5-nano"), both, length=2)
    >>> learner.soft.weight.shape[0]  # six indicators, 2 for each of two formats, two tasks, one domain, and "other"
    23
    """

    def __init__(self, model: nn.Module, tokenizer: Any, task: Task, length: int = 4, **settings: Any) -> None:
        super().__init__(model, tokenizer, task, **settings)
        if self.shape != "encoder-decoder":
            raise PromptError(f"Structured questions are answered in words by a T5, and this is an {self.shape}; take t5-micro.")
        self.length, self.renderers = length, {}
        self.values = {_mark(key, example.meta[key]) for example in task.train for key in KEYS[:3]}
        self.soft = None
        if length:
            marks = [*sorted(self.values), "other"]
            whole = Template(" ".join([*(f'{{soft#{key}:"{key.lower()}"}}' for key in KEYS), *(f"{{soft#{mark}:{length}}}" for mark in marks)]))
            self.rows_of = {whole.parts[place].label: rows for place, rows in soft_rows(whole, tokenizer).items()}  # the one table of all templates
            self.soft = SoftTokens(whole, model, tokenizer, seed=self.seed)
            model.encoder.embed_out.parts["prompt"] = self.soft
            self.head, self.rate = nn.ModuleDict({"soft": self.soft}), SOFT_RATE

    def renderer_for(self, example: Example) -> Renderer:
        template = structured_template(example, self.length)
        return self.renderers.setdefault(template, Renderer(template, self.tokenizer, self.shape, self.max_length, writes=True))

    def encode(self, examples: Sequence[Example]) -> list[Item]:
        """An item knows its ids, its soft rows, and its answer's tokens where there is one."""
        items = []
        for example in examples:
            renderer = self.renderer_for(example)
            (seen,) = renderer([example])
            self.truncated += bool(seen.cut)
            answer = self.tokens([example.meta["answer"]])[0][: LONGEST_ANSWER - 1] if "answer" in example.meta else []
            items.append({"ids": seen.ids, "types": seen.types, "soft": self._shared(renderer, seen.origin, seen.soft), "size": len(seen.ids), "answer": [*answer, self.tokenizer.eos_token_id], "example": example})
        return items

    def _shared(self, renderer: Renderer, origin: list[int], soft: list[int]) -> list[int]:
        """Rows of one template as rows of the table that all templates share."""
        to_table = {-1: -1}
        for place, rows in renderer.rows.items():
            label = renderer.template.parts[place].label
            to_table |= dict(zip(rows, self.rows_of[label if label in self.rows_of else "other"]))
        return [to_table[row] for row in soft]

    def pad(self, items: Sequence[Item]) -> Batch:
        batch = super().pad(items)
        answers = [item["answer"] for item in items]
        batch["inputs"]["decoder_input_ids"] = self.rows([[self.model.config.decoder_start_token_id, *answer[:-1]] for answer in answers], self.tokenizer.pad_token_id)
        batch["targets"] = self.rows(answers, IGNORED)  # [B,T]
        if self.soft is not None:
            batch["soft"] = self.rows([item["soft"] for item in items], -1)
        return batch

    def hidden(self, batch: Batch) -> Tensor:
        if self.soft is not None:
            self.model.encoder.embed_out.parts["prompt"] = self.soft
            self.soft.which = batch["soft"]
        return super().hidden(batch)

    def loss(self, batch: Batch) -> Tensor:
        wanted = batch["targets"] != IGNORED
        return F.cross_entropy(self.model.lm_logits(self.hidden(batch)[wanted]), batch["targets"][wanted])

    def write(self, batch: Batch) -> list[str]:
        """The words that the model answers with."""
        if self.soft is not None:
            self.model.encoder.embed_out.parts["prompt"] = self.soft
            self.soft.which = batch["soft"]
        ids = batch["inputs"]["input_ids"]
        mask = batch["inputs"].get("attention_mask", torch.ones_like(ids))
        written = self.model.generate(ids, mask, max_new_tokens=LONGEST_ANSWER, eos_token_id=self.tokenizer.eos_token_id, pad_token_id=self.tokenizer.pad_token_id)
        return self.tokenizer.batch_decode(written[:, 1:], skip_special_tokens=True)

    def answers(self, batch: Batch) -> list:
        return [read(text, item["example"]) for text, item in zip(self.write(batch), batch["items"])]

    def report(self, tasks: Sequence[Task]) -> dict[str, float]:
        """The score of each task's test part, by its own measure."""
        found = {}
        for task in tasks:
            examples = [structured(example, task) for example in task.test]
            found[task.name] = METRICS[task.metric](self.predict(examples), [example.gold for example in examples])
        return found

    def settings(self) -> dict[str, Any]:
        return super().settings() | {"length": self.length}


def read(text: str, example: Example) -> str | None:
    """What was written, as an answer: where there are candidates the one that shares most words with it, None if none shares any.

    >>> read("the blue harp", Example("", meta={"Candidates": ["red kite", "Blue Harp"]}))
    'Blue Harp'
    """
    candidates = example.meta.get("Candidates")
    if not candidates:
        return text.strip()
    shared = [f1_answer([text], [candidate]) for candidate in candidates]
    if not max(shared):
        return None
    return candidates[shared.index(max(shared))]
