"""One example of a task, whatever the task is: the first form a raw record takes on its way to the model."""

from dataclasses import dataclass, field
from typing import Any


@dataclass
class Example:
    """One text (or pair of texts) with the answer that a model should give.

    Args:
        text: the sentence or passage.
        text_b: the second text of a pair (a hypothesis, a question), or None.
        label: the answer where it is one of a fixed set (a string), or which of the choices it is (an int);
            None where the answer is words or tags, or is not known.
        meta: what else the record says, under the record's own keys:
            relation: head, tail (character spans `(start, end)` in text);  tagging: tokens, tags;
            extraction: answer, start (character offset in text), answers (all that count as right, where there are several);  choice: choices;  generation: answer;
            a record of a person's own file: its further columns, as strings.
        source: where it was read ("reviews.jsonl:12"), for complaints about it.

    >>> Example("a fine film", label="positive").target
    'positive'
    >>> Example("Lena lives in Oslo", meta={"tokens": ["Lena"], "tags": ["B-PER"]}).target
    ['B-PER']
    """

    text: str
    text_b: str | None = None
    label: str | int | None = None
    meta: dict[str, Any] = field(default_factory=dict)
    source: str = field(default="an example", repr=False, compare=False)

    @property
    def target(self) -> str | int | list[str] | None:
        """What a model should answer: the label, else the tags, else the answer in words."""
        if self.label is not None:
            return self.label
        return self.meta.get("tags", self.meta.get("answer"))

    @property
    def gold(self) -> str | int | list[str] | None:
        """What counts as right: the target, or all answers that people gave to a question about a passage.

        >>> Example("Ada lives in Oslo.", "Where?", meta={"answer": "Oslo", "start": 13, "answers": ["Oslo", "in Oslo"]}).gold
        ['Oslo', 'in Oslo']
        """
        return self.meta.get("answers", self.target) if "start" in self.meta else self.target
