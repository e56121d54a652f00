"""`datasets` objects in and out, and data sets of the hub where the network (or the hub's cache) has them."""

import random
import re
from collections import Counter
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from minidelta.data.example import Example
from minidelta.data.known import KNOWN, Known, find_known
from minidelta.data.parts import NAMES, Parts, fill
from minidelta.data.readers import BadRecord, Columns, Skipped, to_example
from minidelta.errors import DataError

if TYPE_CHECKING:
    import datasets

MOST = 500_000  # rows of one split that become examples; of more (WMT has millions) so many are drawn
NAME = re.compile(r"hub:(?P<name>[^:\[\]]+)(:(?P<config>[^:\[\]]+))?(\[(?P<columns>[^\[\]]*)\])?")


def hub_parts(source: str, seed: int, limit: int | None = None, columns: Columns = Columns()) -> tuple[Parts, Known]:
    """Load "hub:NAME", "hub:NAME:CONFIG" or "hub:NAME:CONFIG[text=COLUMN,text_b=COLUMN,label=COLUMN]".

    Args:
        source: NAME is one of `KNOWN` (sst2, mnli, ag_news, semeval, squad, wmt14, wmt16), or a repository of the hub
            ("nyu-mll/glue"); of wmt, CONFIG says from which language to which (`de-en`, `en-de`).
        seed: of the split, where the data set has no test split with labels, and of what is drawn.
        limit: at most so many rows of each split, drawn by the seed; None: all, up to `MOST`.
        columns: what the data set calls its columns, where the brackets do not; None of them: those of `KNOWN`, or the usual.
    Returns: the parts, and what is known of the data set; one with a test split whose labels are hidden uses its
        validation split instead.
    Raises: DataError when the name is malformed or unknown, the hub cannot be reached, or a column is missing.
    """
    match = NAME.fullmatch(source)
    if not match:
        raise DataError(f"{source!r} is not understood; expected hub:NAME, hub:NAME:CONFIG or hub:NAME[text=COLUMN,label=COLUMN]")
    about = find_known(match["name"], match["config"])
    if match["columns"]:
        columns = _columns(source, match["columns"])
    if about is None or match["columns"] or columns not in (Columns(), about.columns):
        name, config = (about.repository, about.config) if about else (match["name"], match["config"])
        about = Known(name, config, columns, about and about.splits)
    return dataset_parts(_download(about.repository, about.config), about.columns, seed, about.splits, source, limit, about.reshape), about


def dataset_parts(
    data: "datasets.Dataset | datasets.DatasetDict",
    columns: Columns = Columns(),
    seed: int = 0,
    splits: dict[str, str] | None = None,
    name: str = "dataset",
    limit: int | None = None,
    reshape: Callable[[dict], dict] | None = None,
) -> Parts:
    """Take the three parts out of a `datasets` object; a plain `Dataset` counts as training part and is split.

    Args:
        data: with splits called train, validation (or dev), test, or as `splits` says.
        columns: what the data set calls its columns; a ClassLabel's numbers become its names.
        seed: of the split of what is missing, and of what is drawn.
        splits: part -> split.
        name: what reports call the data set.
        limit: at most so many rows of each split; None: `MOST`.
        reshape: as of `from_dataset`.
    Raises: DataError when there is no training split or no such column.
    """
    held = data if isinstance(data, dict) else {"train": data}
    splits = splits or {part: split for part, names in NAMES.items() for split in names if split in held}
    if missing := [split for split in ("train", *splits.values()) if split not in held]:
        raise DataError(f"{name}: no {missing[0]} split; it has {', '.join(map(str, held))}")
    parts = Parts([], [], [])
    for part in ("train", "validation", "test"):
        if part not in splits:
            continue
        split = splits[part]
        most = limit or MOST
        drawn = draw(len(held[split]), most, seed, _labels(held[split], columns.label) if len(held[split]) > most else ())
        if len(drawn) < len(held[split]):
            parts.notes.append(f"{len(drawn):,} of the {len(held[split]):,} rows of the {split} split are drawn (seed {seed})")
        examples, skipped = from_dataset(held[split], columns, f"{name}/{split}", drawn, reshape)
        if part == "test" and not examples and parts.validation:
            parts.notes.append(f"the labels of {split} are hidden; the validation split is the test part")
            parts.test, parts.validation = parts.validation, []
            continue
        if split not in NAMES[part]:
            parts.notes.append(f"the {part} part is the {split} split ({len(examples):,} records)")
        setattr(parts, part, examples)
        parts.skipped += skipped
    return fill(parts, seed, f"{name}/{splits['train']}")


def draw(count: int, limit: int, seed: int, labels: Sequence[Any] = ()) -> range | list[int]:
    """Which of `count` rows are taken, in their order: all, or `limit` of them.

    Of the `labels` of the rows (None: has none) none gets lost: one that chance left out takes a place of the most common
    one, as long as that has two.

    >>> draw(3, 5, seed=0), draw(100, 5, seed=0), draw(100, 5, 0, ["rare"] + 99 * ["common"])
    (range(0, 3), [10, 22, 28, 44, 99], [0, 10, 22, 28, 44])
    """
    if count <= limit:
        return range(count)
    rng = random.Random(f"{seed} limit")
    rows = rng.sample(range(count), limit)
    held = Counter(labels[row] for row in rows) if labels else Counter()
    for label in dict.fromkeys(labels):
        if label is None or label in held:
            continue
        common, number = held.most_common(1)[0]
        if number < 2:
            break
        place = next(place for place, row in enumerate(rows) if labels[row] == common)
        rows[place] = rng.choice([row for row, other in enumerate(labels) if other == label])
        held += Counter({label: 1, common: -1})
    return sorted(rows)


def _labels(rows: "datasets.Dataset", column: str) -> list[Any]:
    """The labels of all rows, None where one is missing or hidden; nothing where answers are no simple values."""
    import datasets

    feature = rows.features.get(column)
    if not isinstance(feature, (datasets.ClassLabel, datasets.Value)):
        return []
    hidden = -1 if isinstance(feature, datasets.ClassLabel) else None
    return [None if label == hidden else label for label in rows[column]]


def from_dataset(
    data: "datasets.Dataset",
    columns: Columns = Columns(),
    name: str = "dataset",
    rows: range | list[int] | None = None,
    reshape: Callable[[dict], dict] | None = None,
) -> tuple[list[Example], list[Skipped]]:
    """Turn the rows of a `datasets.Dataset` into examples and reports of what was left out (row numbers from 1).

    Columns that an `Example` has no place for are kept in `meta`, so that `from_dataset(to_dataset(x))` gives x.

    Args:
        data: the rows.
        columns: what it calls its columns.
        name: what reports call it.
        rows: which of them (numbers from 0); None: all.
        reshape: a row, its label named, -> a record with the keys of an `Example` (`known.py`).
    Raises: DataError when the data set lacks the text column.

    >>> import datasets
    >>> rows, skipped = from_dataset(datasets.Dataset.from_list([{"text": "fine", "label": 1}, {"text": "", "label": 0}]))
    >>> rows[0].label, str(skipped[0])
    ('1', "dataset:2: 'text' is empty")
    """
    missing = [column for column in (columns.text, columns.label) if column not in data.column_names]
    if missing == [columns.text] or (missing and not {"tags", "answer"} & set(data.column_names)):
        source, _, _ = name.rpartition("/")[0].partition("[")
        hint = f"; name them as {source}[text=COLUMN,label=COLUMN]" if name.startswith("hub:") else ""
        raise DataError(f"{name}: no column {missing[0]!r}; it has {', '.join(data.column_names)}{hint}")
    names = getattr(data.features.get(columns.label), "names", None)  # a ClassLabel keeps its words apart
    rows = range(len(data)) if rows is None else rows
    examples, skipped = [], []
    for row, record in zip(rows, data if len(rows) == len(data) else data.select(rows)):
        try:
            if names and record[columns.label] is not None:
                if record[columns.label] < 0:
                    raise BadRecord(f"{columns.label!r} is {record[columns.label]}: hidden")
                record[columns.label] = names[record[columns.label]]
            used = columns
            if reshape:
                record, used = reshape(record), Columns()
            if record.get("choices") is not None:  # the label is an index and stays a number; the text may be empty
                example = Example(record[used.text], record.get(used.text_b), record[used.label])
            else:
                example = to_example(record, used, labelled=record.get("tags") is None and record.get("answer") is None)
        except BadRecord as error:
            skipped.append(Skipped(name, row + 1, str(error)))
            continue
        example.meta = {key: value for key, value in record.items() if key not in (used.text, used.text_b, used.label) and value is not None}
        example.source = f"{name}:{row + 1}"
        examples.append(example)
    return examples, skipped


def to_dataset(examples: list[Example]) -> "datasets.Dataset":
    """Put examples into a `datasets.Dataset`: columns text, text_b, label, and one for each key of `meta`.

    >>> to_dataset([Example("fine", label="positive")])[0]
    {'text': 'fine', 'text_b': None, 'label': 'positive'}
    """
    import datasets

    keys = dict.fromkeys(key for example in examples for key in example.meta)
    rows = [
        {"text": example.text, "text_b": example.text_b, "label": example.label, **{key: example.meta.get(key) for key in keys}}
        for example in examples
    ]
    return datasets.Dataset.from_list(rows)


def is_dataset(value: Any) -> bool:
    """Whether `value` is a `Dataset` or `DatasetDict`; asks without importing `datasets` where it never was."""
    return type(value).__module__.split(".")[0] == "datasets"


def _columns(source: str, words: str) -> Columns:
    pairs = dict(pair.split("=", 1) for pair in words.split(",") if "=" in pair)
    if len(pairs) != len(words.split(",")) or set(pairs) - {"text", "text_b", "label"} or not all(pairs.values()):
        raise DataError(f"{source!r}: the columns are not understood; expected [text=COLUMN,label=COLUMN], text_b=COLUMN for pairs")
    return Columns(**pairs)


def _download(name: str, config: str | None) -> "datasets.DatasetDict":
    """Ask the hub once; when it does not answer, look into its cache instead of trying again and again."""
    import datasets
    import huggingface_hub
    from huggingface_hub.errors import HFValidationError, RepositoryNotFoundError

    constants = huggingface_hub.constants
    before = constants.HF_HUB_OFFLINE
    silence = "HF_HUB_OFFLINE is set" if before else "the hub cannot be reached"
    try:
        huggingface_hub.HfApi().dataset_info(name, timeout=5)
    except HFValidationError:
        raise DataError(f"{name!r} is no possible name on the hub; expected OWNER/NAME, or one of {', '.join(KNOWN)}") from None
    except RepositoryNotFoundError:
        raise DataError(f"the hub has no data set {name!r}; known short names: {', '.join(KNOWN)}") from None
    except Exception:  # whichever way the network fails, the cache is what is left
        constants.HF_HUB_OFFLINE = True
    try:
        return datasets.load_dataset(name, config)
    except Exception as error:  # a library's many ways to fail, told in one line
        if constants.HF_HUB_OFFLINE:
            raise DataError(
                f"the data set {name!r} is not in the hub's cache, and {silence}; "
                f"use a built-in task (minidelta list tasks) or a file of your own"
            ) from None
        raise DataError(f"the data set {name!r} cannot be loaded: {str(error).strip().splitlines()[0]}") from None
    finally:
        constants.HF_HUB_OFFLINE = before
