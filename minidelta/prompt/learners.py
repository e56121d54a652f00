"""From what a person writes on one line to a prompt learner, and back from what a run has kept."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from torch import nn

from minidelta.data import Example, Task
from minidelta.errors import PromptError, near_misses
from minidelta.prompt.answers import AnswerLearner, Answers
from minidelta.prompt.builtin import LABEL_WORDS, templates_for
from minidelta.prompt.context import CHOICES, Format, Nearest, choose, find_format
from minidelta.prompt.decompose import DecomposedVerbalizer
from minidelta.prompt.incontext import InContextLearner, InContextWriter
from minidelta.prompt.knowledge import KnowledgeVerbalizer, expand_words, refine, world_knowledge
from minidelta.prompt.label_vectors import LabelVectors
from minidelta.prompt.learner import PromptLearner
from minidelta.prompt.prototypes import Prototypes
from minidelta.prompt.rules import RELATION_RULES, compose
from minidelta.prompt.template import Template, choose_template, load_templates
from minidelta.prompt.verbalizer import TOKENS, LabelWords, Verbalizer, WordVerbalizer, read_label_words, word_tokens, words_from_names

WAYS = (*TOKENS, "span", "vectors", "prototypes", "knowledge")
POOL = 500  # training examples, at most, among which the nearest are looked for
UNLABELLED = 200  # training texts, without their labels, on which a prompt is calibrated and words of a knowledge base are refined


def prompt_learner(model: nn.Module, tokenizer: Any, task: Task, template: str | Template | None = None, verbalizer: str | dict[str, Any] | Verbalizer | None = None, tokens: str | None = None, **settings: Any) -> PromptLearner:
    """The prompt learner that a person means.

    Args:
        model, tokenizer, task: as of `PromptLearner`; the task may be a choice task.
        template: its source; the name of a built-in one; a file, or file#name; "rules" for the rules of the task relation
            (`rules.py`); None: the first built-in one.
        verbalizer: "label=word,word;label=word", a file of label words, or what `settings()` of a verbalizer gave; None: the words of
            the built-in task, else the names of the labels.
        tokens: how words count, one of WAYS: strict, first, mean, max, product (see `verbalizer.py`), span (see `answers.py`),
            vectors (see `label_vectors.py`), prototypes, or knowledge: the words are expanded by the lexicon of the embedded
            world and refined (see `knowledge.py`).  None: strict; span for label names of several tokens.
        settings: as of `PromptLearner`.
    Raises: PromptError for anything that cannot be meant.

    >>> from minidelta.data import load_task
    >>> from minidelta.hub import load_model, load_tokenizer
    >>> learner = prompt_learner(load_model("bert-nano"), load_tokenizer("bert-nano"), load_task("topic", shots=2), "cares")
    >>> learner.template.source
    '{text_a|shorten} Whoever wrote this cares about {mask}.'
    """
    if task.kind not in ("classification", "relation", "choice"):
        raise PromptError(f"The {task.kind} task {task.name!r} has no labels to put into words; take a task of labels or choices, or another method.")
    if template == "rules":
        if not (task.built_in and task.name == "relation"):
            raise PromptError(f"The built-in rules are written for relation, and the task is {task.name!r}; write rules for it with minidelta.prompt.rules.")
        if verbalizer is not None or tokens is not None:
            raise PromptError("Rules bring their own words for every mask; leave verbalizer and tokens out.")
        template, verbalizer = compose(RELATION_RULES)
    chosen = find_template(template, task)
    if task.kind == "choice":
        if isinstance(verbalizer, str) or tokens not in (None, "span"):
            raise PromptError(f"The task {task.name!r} brings its own choices with each example, which are read as a whole; leave verbalizer and tokens out.")
        return AnswerLearner(model, tokenizer, task, chosen, Answers({}, **_answer_settings(verbalizer)), **settings)
    if not isinstance(verbalizer, (dict, Verbalizer)):
        verbalizer = _from_words(verbalizer, tokens, task, tokenizer, chosen)
    ready = verbalizer if isinstance(verbalizer, Verbalizer) else rebuild(verbalizer, task)
    learner = (AnswerLearner if isinstance(ready, Answers) else PromptLearner)(model, tokenizer, task, chosen, ready, **settings)
    if isinstance(ready, Prototypes) and task.train:
        ready.start(learner, task.train[:256])
    if tokens == "knowledge":
        refine(learner, expand_words(ready.label_words, world_knowledge(), tokenizer, learner.template.mask_spaced()), task.train[:UNLABELLED])
    return learner


def in_context(
    model: nn.Module,
    tokenizer: Any,
    task: Task,
    form: str | Format | Sequence[str] | None = None,
    shown: int | Sequence[Example | dict[str, Any]] = 8,
    how: str = "balanced",
    description: str = "",
    verbalizer: str | dict[str, Any] | None = None,
    normalise: str = "sum",
    nearest: int | None = None,
    **settings: Any,
) -> InContextLearner | InContextWriter:
    """The in-context learner that a person means; one that writes for a task whose answers are words.

    Args:
        model, tokenizer, task: as of `InContextLearner`.
        form: a name of FORMATS, a template of one question, or [template, what stands between]; None: by the task.
        shown: how many demonstrations are taken from the training examples, or the demonstrations themselves.
        how: which are taken: one of CHOICES.
        description: what is asked, in words.
        verbalizer: "label=words;label=words", or what `settings()` gave; None: the names of the labels.
        normalise: one of NORMALISE.
        nearest: with demonstrations given: for each question so many of them, those most like it.
        settings: as of `Learner`; the seed is also of the draw and the order.
    Raises: PromptError for anything that cannot be meant.

    >>> from minidelta.data import load_task
    >>> from minidelta.hub import load_model, load_tokenizer
    >>> learner = in_context(load_model("gpt-nano"), load_tokenizer("gpt-nano"), load_task("sentiment"), "question", 2)
    >>> learner.context.form.one.source, len(learner.context.shown)
    ('Q: {text_a|shorten} A: {mask}', 2)
    """
    chosen = Format(Template(form[0]), form[1]) if isinstance(form, (list, tuple)) else find_format(form, task)
    if task.kind == "generation":
        if verbalizer is not None or normalise != "sum":
            raise PromptError(f"The answers to {task.name!r} are written, not chosen; leave verbalizer and normalise out.")
        learner = InContextWriter(model, tokenizer, task, (), chosen, description, **settings)
    elif task.kind in ("classification", "relation", "choice"):
        if task.kind == "choice" and isinstance(verbalizer, str):
            raise PromptError(f"The task {task.name!r} brings its own choices with each example; leave the verbalizer out.")
        words = read_label_words(verbalizer, task.labels) if isinstance(verbalizer, str) else (verbalizer or {}).get("label_words")
        learner = InContextLearner(model, tokenizer, task, (), chosen, description, Answers(words) if words else None, normalise, **settings)
    else:
        raise PromptError(f"The {task.kind} task {task.name!r} has no answer that stands at one place; take a task of labels, choices or written answers.")
    if isinstance(shown, int):
        if how not in CHOICES:
            raise PromptError(f"Demonstrations are not chosen by {how!r}. {near_misses(how, CHOICES)}")
        if how == "nearest":
            nearest, shown = shown, choose(task.train, min(max(POOL, shown), len(task.train)) if shown else 0, "random", learner.seed)
        else:
            shown = choose(task.train, shown, how, learner.seed)
    pool = [Example(**one) if isinstance(one, dict) else one for one in shown]
    learner.context.shown = Nearest(learner, pool, nearest) if nearest else pool
    return learner


def find_template(template: str | Template | None, task: Task) -> Template:
    """A template by its source, its built-in name, or the file it stands in.  Raises: PromptError if there is none."""
    if isinstance(template, Template):
        return template
    if template is None:
        return templates_for(task)[0]
    if "{" in template:
        return Template(template)
    file, _, choice = template.partition("#")
    if "/" in file or Path(file).suffix:
        return choose_template(load_templates(file), choice or None, file)
    known = templates_for(task)
    found = next((one for one in known if one.name == template), None)
    if found is None:
        raise PromptError(f"There is no template {template!r} for the task {task.name!r}. {near_misses(template, [one.name for one in known])} Or write one, such as '{{text_a|shorten}} It was {{mask}}'.")
    return found


def beside(template: str | Template | None, task: Task) -> list[Template]:
    """The templates that a template stands among: those of its file, else those built in for the task."""
    file = template.partition("#")[0] if isinstance(template, str) and "{" not in template else ""
    return load_templates(file) if "/" in file or Path(file).suffix else templates_for(task)


def _from_words(source: str | None, tokens: str | None, task: Task, tokenizer: Any, template: Template) -> Verbalizer:
    """A verbalizer from label words (or none) and the way in which they count."""
    if tokens is not None and tokens not in WAYS:
        raise PromptError(f"Label words do not count by {tokens!r}. {near_misses(tokens, WAYS)}")
    if tokens == "prototypes":
        if source is not None:
            raise PromptError("Prototypes are learnt from examples and need no label words; leave the verbalizer out.")
        return Prototypes(task.labels)
    if source is not None:
        words = read_label_words(source, task.labels)
    elif task.built_in and task.name in LABEL_WORDS:
        words = LABEL_WORDS[task.name]
    else:
        words = words_from_names(task.labels)
        if tokens is None and any(len(word_tokens(word, tokenizer, template.mask_spaced())) > 1 for own in words.values() for word in own):
            tokens = "span"  # names were not chosen to be tokens: they are read as a whole
    if tokens == "span":
        return Answers(words)
    if tokens == "vectors":
        return LabelVectors(words)
    return WordVerbalizer(words, "strict" if tokens in (None, "knowledge") else tokens)


def _answer_settings(kept: dict[str, Any] | Verbalizer | None) -> dict[str, Any]:
    kept = kept.settings() if isinstance(kept, Verbalizer) else kept or {}
    return {key: kept[key] for key in ("words", "normalise") if key in kept}


def rebuild(kept: dict[str, Any], task: Task) -> Verbalizer:
    """A verbalizer from its own `settings()`."""
    kept = dict(kept)
    if "prototypes" in kept:
        return Prototypes(task.labels, kept["prototypes"])
    if "decomposed" in kept:
        return DecomposedVerbalizer(kept["decomposed"])
    words: LabelWords = kept["label_words"]
    if kept["tokens"] == "span":
        return Answers(words, kept["words"], kept["normalise"])
    if kept["tokens"] == "vectors":
        return LabelVectors(words)
    if "weighted" in kept:
        return KnowledgeVerbalizer(words, kept["tokens"], kept["weighted"], kept["prior"])
    return WordVerbalizer(words, kept["tokens"], kept["words"])
