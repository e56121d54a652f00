"""Every task as text: what a model reads, what it should write, and how its words are read back.

T5 (Raffel et al. 2020, section 2.4) gets a prefix that names the task, so that one model can do all of them:

    sentiment: The stage was beautiful.                            ->  positive
    entailment: Nobody sang. context: The choir sang.              ->  contradiction
    question: Where was Pavel born? context: Rostin is ...         ->  Rostin
    choose: Who ...? choices: (a) Ada (b) Eve context: ...         ->  Eve
    relation: Ada Lunt ; Harp Ltd context: Ada Lunt works ...      ->  works for
    tagging: Ada Lunt lives in Corinth .                           ->  per : ada lunt ; loc : corinth

GPT reads the text (and the question, or "=>") and goes on writing.
"""

import re
import unicodedata
from collections.abc import Sequence
from typing import Any

from minidelta.data import Example, Task
from minidelta.evaluate import spans

Segments = list[tuple[str, bool]]  # pieces of the input in order, and whether a piece may be cut if it is too long
NOTHING = "none"  # what a tagger writes for a sentence without a name


def t5_source(task: Task, example: Example) -> Segments:
    """What T5 reads.

    >>> task = Task("nli", "classification", ("yes", "no"), "accuracy", [], [], [], prefix="entailment:")
    >>> t5_source(task, Example("The choir sang.", "Nobody sang."))
    [('entailment: Nobody sang. context:', False), ('The choir sang.', True)]
    """
    ask, _, context = (task.prefix or f"{task.name}:").partition(" ... ")
    if task.kind == "relation":
        ask += " " + " ; ".join(example.text[slice(*example.meta[end])] for end in ("head", "tail"))
    if task.kind == "tagging":
        return [(ask, False), (" ".join(example.meta["tokens"]), True)]
    if example.text_b is not None:
        ask += f" {example.text_b}"
    if task.kind == "choice":
        ask += " choices: " + " ".join(f"({letter}) {choice}" for letter, choice in zip("abcdefghijklmnopqrstuvwxyz", example.meta["choices"]))
    asked = task.kind in ("relation", "choice") or example.text_b is not None
    return [(f"{ask} {context or 'context:'}" if asked and example.text else ask, False), (example.text, True)]


def gpt_prompt(task: Task, example: Example) -> Segments:
    """What GPT reads before it answers.

    >>> gpt_prompt(Task("fr", "generation", (), "bleu", [], [], []), Example("the small wine"))
    [('the small wine', True), ('=>', False)]
    """
    return [(example.text, True), (example.text_b or "=>", False)]


def target_text(task: Task, example: Example) -> str:
    """What should be written."""
    if task.kind == "choice":
        return example.meta["choices"][example.label]
    if task.kind != "tagging":
        return str(example.target)
    words = example.meta["tokens"]
    found = sorted(spans(example.meta["tags"]), key=lambda span: span[1])
    return " ; ".join(f"{kind} : {' '.join(words[start:end])}" for kind, start, end in found).lower() or NOTHING


def read_answer(task: Task, example: Example, text: str) -> Any:
    """Words back to a prediction in the form of `Example.target`; None where they mean nothing for this task.

    >>> task = Task("s", "classification", ("negative", "positive"), "accuracy", [], [], [])
    >>> read_answer(task, Example("..."), " Positive ."), read_answer(task, Example("..."), "posit")
    ('positive', None)
    """
    if task.kind in ("classification", "relation"):
        found = _which(text, task.labels)
        return None if found is None else task.labels[found]
    if task.kind == "choice":
        return _which(text, example.meta["choices"])
    if task.kind == "tagging":
        return _read_tags(task, example.meta["tokens"], text)
    return text.strip()


def _which(text: str, known: Sequence[str]) -> int | None:
    """The place of the one that was written: letter by letter, else without signs if only one comes near.

    >>> _which("-1", ["1", "-1"]), _which("Yes .", ["no", "yes"]), _which("c", ["c++", "c#"])
    (1, 1, None)
    """
    for same in (_spelled, plain):
        places = [place for place, one in enumerate(known) if same(one) == same(text)]
        if len(places) == 1:
            return places[0]
    return None


def _spelled(text: str) -> str:
    return " ".join(unicodedata.normalize("NFC", text).casefold().split())


def plain(text: str) -> str:
    """Lower case, letters and digits only, single spaces; a text of signs alone keeps its signs.

    >>> plain(" Born  in."), plain("+")
    ('born in', '+')
    """
    return " ".join(re.findall(r"\w+", text.lower())) or text.strip()


def _read_tags(task: Task, words: list[str], text: str) -> list[str] | None:
    """Find each written span among the words, from left to right; None if some part cannot be found."""
    kinds = {label[2:].lower(): label[2:] for label in task.labels if label.startswith("B-")}
    tags, lowered, position = ["O"] * len(words), [plain(word) for word in words], 0
    for part in [] if plain(text) == NOTHING else text.split(";"):
        kind, _, name = part.partition(":")
        wanted = [word for word in map(plain, re.findall(r"\w+|[^\w\s]", name)) if word]
        kind = kinds.get(plain(kind))
        place = next((i for i in range(position, len(words) - len(wanted) + 1) if lowered[i : i + len(wanted)] == wanted), None)
        if kind is None or not wanted or place is None:
            return None
        position = place + len(wanted)
        tags[place:position] = [f"B-{kind}"] + [f"I-{kind}"] * (len(wanted) - 1)
    return tags
