"""One door to every task: built in, a person's file or folder, a data set of the hub, or a `datasets` object.

    task = load_task("sentiment")                    # built in
    task = load_task("reviews.jsonl")                # yours: text, optional text_b, label
    task = load_task("hub:sst2", shots=16, seed=1)   # where the network allows
"""

import functools
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from minidelta import world
from minidelta.data import huggingface, parts
from minidelta.data.example import Example
from minidelta.data.fewshot import at_most, few_shot
from minidelta.data.known import is_known
from minidelta.data.readers import ENDINGS, Columns, Skipped
from minidelta.errors import DataError, TaskError, near_misses

MOST_LABELS = 200  # more different labels than this are a wrong column, or numbers to be predicted


@dataclass
class Task:
    """A task with its three parts.

    Args:
        name: a built-in name, or the file's.
        kind: classification, relation, tagging, extraction, choice or generation (what `Example.meta` holds).
        labels: the label names in order; empty where the answer is words, tags or a choice.
        metric: the name of the measure that `evaluate` reports.
        train, validation, test: the examples.
        skipped: records that could not be used, each with file, line and reason.
        notes: what was decided on the way (where the held-out part comes from), one sentence each.
        description: one sentence.
        prefix: the words a text-to-text model is told first ("sentiment:"); behind "...", what stands between the second text
            and the first ("mnli hypothesis: ... premise:"), else "context:".
        noise: the share of wrong labels that a built-in task states it contains.
        symmetric: whether the two texts of a pair may be exchanged, as in a paraphrase task.
        built_in: whether it belongs to the embedded world.
    """

    name: str
    kind: str
    labels: tuple[str, ...]
    metric: str
    train: list[Example]
    validation: list[Example]
    test: list[Example]
    skipped: list[Skipped] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    description: str = ""
    prefix: str = ""
    noise: float = 0.0
    symmetric: bool = False
    built_in: bool = False


def load_task(
    source: Any,
    seed: int = 0,
    shots: int | None = None,
    strict: bool = False,
    columns: Columns = Columns(),
    limit: int | None = None,
) -> Task:
    """Load a task by its name, its file or folder, its name on the hub, or from a `datasets` object.

    A single file is split by `seed`: a tenth of each class is the test part, a tenth of the rest the validation
    part; a file named `..._train.jsonl` with a `..._test.jsonl` beside it keeps that one as its test part; a folder holds `train`,
    `validation` (or `dev`) and `test` files.  `task.notes` says what was done.

    Args:
        source: a built-in name (`minidelta list tasks`), a .jsonl / .csv / .tsv file, a folder, "hub:NAME",
            "hub:NAME:CONFIG" or "hub:NAME[text=COLUMN,label=COLUMN]", a `datasets.Dataset` or `DatasetDict`.
        seed: of the split of a single file, and of the few-shot draw.
        shots: K examples per class for training and at most K for validation; None takes all.  The test part
            stays whole.
        strict: raise at the first record that cannot be used instead of leaving it out.
        columns: what a file or data set calls its columns; those in the brackets of a hub name go before.
        limit: at most so many records of each part, drawn by the seed, to try a large data set; a label that is rare
            keeps one of them; None takes all.
    Returns: the task; its lists are yours to change.
    Raises: TaskError for an unknown name; DataError for a file that cannot be used, or holds too little.

    >>> task = load_task("sentiment", shots=8)
    >>> len(task.train), task.labels
    (16, ('negative', 'positive'))
    """
    if limit is not None and (isinstance(limit, bool) or not isinstance(limit, int) or limit < 1):
        raise DataError(f"limit is {limit!r}; expected a whole number of records, at least 1")
    if isinstance(source, str) and source in world.TASKS:
        task = _built_in(source)
    elif isinstance(source, str) and source.startswith("hub:"):
        found, about = huggingface.hub_parts(source, seed, limit, columns)
        task = _checked(source, found, about.kind, limit)
        task = replace(task, metric=about.metric, prefix=about.prefix, description=about.description)
    elif huggingface.is_dataset(source):
        task = _checked("dataset", huggingface.dataset_parts(source, columns, seed, limit=limit), limit=limit)
    else:
        path = _path(source)
        task = replace(_checked(path.name, parts.file_parts(path, columns, seed)), name=path.name.removesuffix(path.suffix))
    if strict and task.skipped:
        raise DataError(f"{task.skipped[0]} ({len(task.skipped)} unusable in all; strict reading stops here)")
    if limit is not None:
        task = _at_most(task, limit, seed)
    if shots is not None:
        train = few_shot(task.train, shots, seed)
        task = replace(task, train=train, validation=at_most(task.validation, shots, seed))
    return task


def _path(source: Any) -> Path:
    if not isinstance(source, (str, Path)) or not str(source):
        raise TaskError(f"A task is a name, a file or a folder, and {source!r} is none of them. {near_misses('', world.TASKS)}")
    path = Path(source)
    try:
        if path.exists():
            return path
    except OSError as problem:  # such as a name that is too long
        raise DataError(f"{str(source)[:80]}: cannot be looked up ({problem.strerror})") from None
    if is_known(str(source).lower()):
        raise TaskError(f"no task, file or folder is called {str(source)!r}. Did you mean hub:{str(source).lower()}? {near_misses('', world.TASKS)}")
    if path.suffix.lower() in ENDINGS or "/" in str(source):
        raise DataError(f"{source}: no such file or folder")
    raise TaskError(f"no task, file or folder is called {str(source)!r}. {near_misses(str(source), world.TASKS)}")


def _built_in(name: str) -> Task:
    """A fresh `Task` around the cached examples, so that a caller may change its lists."""
    info = world.TASKS[name]
    train, validation, test = (list(_world_examples(name, part)) for part in ("train", "validation", "test"))
    return Task(
        name, info.kind, tuple(info.labels), info.metric, train, validation, test,
        description=info.description, prefix=info.prefix, noise=info.noise, symmetric=info.symmetric, built_in=True,
    )  # fmt: skip


@functools.cache
def _world_examples(name: str, part: str) -> tuple[Example, ...]:
    return tuple(_from_world(record) for record in world.task_records(name, part))


def _from_world(record: dict[str, Any]) -> Example:
    """Every key of the record that is not an Example's own goes into `meta` under its name."""
    meta = {key: value for key, value in record.items() if key not in ("text", "text_b", "label")}
    text = record["text"] if "text" in record else " ".join(record["tokens"])
    return Example(text, record.get("text_b"), record.get("label"), meta)


def _at_most(task: Task, limit: int, seed: int) -> Task:
    """A task with `limit` examples of each part, or all where there are fewer; what labels that costs is noted."""
    kept = {}
    for part in ("train", "validation", "test"):
        examples = getattr(task, part)
        labels = [example.label for example in examples] if task.labels else []
        kept[part] = [examples[row] for row in huggingface.draw(len(examples), limit, seed, labels)]
        left = {example.label for example in kept[part]}
        lost = [label for label in task.labels if label in labels and label not in left]
        if len(kept[part]) < len(examples):
            without = f"; the labels that are gone: {_few(lost)}" if lost else ""
            task.notes.append(f"{limit:,} of the {len(examples):,} records of the {part} part are drawn (seed {seed}){without}")
        if part == "train" and lost and len(left) == 1:
            raise _nothing_to_learn(task.name, left.pop(), limit)
    return replace(task, **kept)


def _checked(name: str, found: parts.Parts, kind: str = "classification", limit: int | None = None) -> Task:
    """Look at a person's parts with their eyes: is there something to learn, and can it be measured?"""
    if not found.train:
        raise DataError(f"{name}: no usable record for training{_left_out(found.skipped)}")
    labels, test, validation, strangers = (), found.test, found.validation, []
    if kind in ("classification", "relation"):
        labels = _labels(name, found, limit)
        validation, test = ([example for example in part if example.label in labels] for part in (validation, test))
        for example in [*found.validation, *found.test]:
            if example.label not in labels:
                file, _, line = example.source.rpartition(":")
                strangers.append(Skipped(file, int(line), f"label {example.label!r} does not occur in training"))
    if found.test and not test:
        raise DataError(f"{name}: no usable record in the test part{_left_out(strangers[-len(found.test):])}, which has {_few(labels)}")
    if not test:
        raise DataError(f"{name}: no record is left to hold out for the test part{_left_out(found.skipped) or '; give more records, or a test file'}")
    notes = list(found.notes)
    seen = {(example.text, example.text_b) for example in found.train}
    if doubles := sum((example.text, example.text_b) in seen for example in test):
        notes.append(f"{doubles:,} of {len(test):,} test texts stand in the training part too: the score flatters")
    return Task(name, kind, labels, "accuracy", found.train, validation, test, [*found.skipped, *strangers], notes)


def _few(labels: Sequence[str]) -> str:
    return ", ".join(map(repr, labels[:5])) + ", ..." * (len(labels) > 5)


def _left_out(skipped: list[Skipped]) -> str:
    """The end of a complaint: how many records could not be used, and why the first could not."""
    if not skipped:
        return ""
    hint = "; --text-column and --label-column name others" if skipped[0].reason.startswith("no '") else ""
    return f", {len(skipped):,} left out; the first: {skipped[0]}{hint}"


def _labels(name: str, found: parts.Parts, limit: int | None) -> tuple[str, ...]:
    """The labels of the training part, if they can be classes.

    Raises: DataError if there is one only, or so many that the column is a wrong one.
    """
    labels = order_labels({str(example.label) for example in found.train})
    if len(labels) == 1:
        raise _nothing_to_learn(name, labels[0], limit)
    if len(labels) > MOST_LABELS or len(labels) > max(20, len(found.train) / 2):
        raise DataError(
            f"{name}: {len(labels):,} different labels in {len(found.train):,} records ({', '.join(labels[:3])}, ...); "
            f"a label is one of a few classes: is this the right column?"
        )
    return labels


def _nothing_to_learn(name: str, label: str, limit: int | None) -> DataError:
    within, advice = (f" within a limit of {limit:,}", "; give a larger limit") if limit else ("", "")
    return DataError(f"{name}: every training record{within} has the label {label!r}; there is nothing to learn{advice}")


def order_labels(labels: set[str]) -> tuple[str, ...]:
    """Sorted: by value where all are whole numbers, else by letter.

    >>> order_labels({"10", "9", "-1"}), order_labels({"pos", "neg"})
    (('-1', '9', '10'), ('neg', 'pos'))
    """
    if all(label.removeprefix("-").isdecimal() for label in labels):
        return tuple(sorted(labels, key=int))
    return tuple(sorted(labels))
