"""`datasets` objects in and out, and data sets of the hub where the network (or the hub's cache) has them."""

import re
from typing import TYPE_CHECKING, Any

from minidelta.data.example import Example
from minidelta.data.parts import NAMES, Parts, fill
from minidelta.data.readers import BadRecord, Columns, Skipped, to_example
from minidelta.errors import DataError

if TYPE_CHECKING:
    import datasets

# Short name -> repository, configuration, columns, and which split plays which part.  The labels of GLUE's own
# test splits are hidden, so that the published validation split is the test part here, as in most papers.
KNOWN = {
    "sst2": ("nyu-mll/glue", "sst2", Columns("sentence"), {"train": "train", "test": "validation"}),
    "mnli": ("nyu-mll/glue", "mnli", Columns("premise", "hypothesis"), {"train": "train", "test": "validation_matched"}),
    "ag_news": ("fancyzhx/ag_news", None, Columns(), {"train": "train", "test": "test"}),
}
NAME = re.compile(r"hub:(?P<name>[^:\[\]]+)(:(?P<config>[^:\[\]]+))?(\[(?P<columns>[^\[\]]*)\])?")


def hub_parts(source: str, seed: int) -> Parts:
    """Load "hub:NAME", "hub:NAME:CONFIG" or "hub:NAME:CONFIG[text=COLUMN,text_b=COLUMN,label=COLUMN]".

    Args:
        source: NAME is sst2, mnli, ag_news, or a repository of the hub ("nyu-mll/glue").
        seed: of the split, where the data set has no test split with labels.
    Returns: the parts; data sets with a test split whose labels are hidden use their validation split instead.
    Raises: DataError when the name is malformed or unknown, the hub cannot be reached, or a column is missing.
    """
    match = NAME.fullmatch(source)
    if not match:
        raise DataError(f"{source!r} is not understood; expected hub:NAME, hub:NAME:CONFIG or hub:NAME[text=COLUMN,label=COLUMN]")
    name, config, columns, splits = KNOWN.get(match["name"], (match["name"], match["config"], Columns(), None))
    if match["columns"]:
        columns = _columns(source, match["columns"])
    return dataset_parts(_download(name, config), columns, seed, splits, source)


def dataset_parts(
    data: "datasets.Dataset | datasets.DatasetDict",
    columns: Columns = Columns(),
    seed: int = 0,
    splits: dict[str, str] | None = None,
    name: str = "dataset",
) -> Parts:
    """Take the three parts out of a `datasets` object; a plain `Dataset` counts as training part and is split.

    Args:
        data: with splits called train, validation (or dev), test, or as `splits` says.
        columns: what the data set calls its columns; a ClassLabel's numbers become its names.
        seed: of the split of what is missing.
        splits: part -> split.
        name: what reports call the data set.
    Raises: DataError when there is no training split or no such column.
    """
    held = data if isinstance(data, dict) else {"train": data}
    splits = splits or {part: split for part, names in NAMES.items() for split in names if split in held}
    if "train" not in splits:
        raise DataError(f"{name}: no train split; it has {', '.join(map(str, held))}")
    parts = Parts([], [], [])
    for part in ("train", "validation", "test"):
        if part not in splits:
            continue
        examples, skipped = from_dataset(held[splits[part]], columns, f"{name}/{splits[part]}")
        if part == "test" and not examples and parts.validation:
            parts.notes.append(f"the labels of {splits[part]} are hidden; the validation split is the test part")
            parts.test, parts.validation = parts.validation, []
            continue
        setattr(parts, part, examples)
        parts.skipped += skipped
    return fill(parts, seed, f"{name}/{splits['train']}")


def from_dataset(data: "datasets.Dataset", columns: Columns = Columns(), name: str = "dataset") -> tuple[list[Example], list[Skipped]]:
    """Turn the rows of a `datasets.Dataset` into examples and reports of what was left out (row numbers from 1).

    Columns that an `Example` has no place for are kept in `meta`, so that `from_dataset(to_dataset(x))` gives x.

    Raises: DataError when the data set lacks the text column.

    >>> import datasets
    >>> rows, skipped = from_dataset(datasets.Dataset.from_list([{"text": "fine", "label": 1}, {"text": "", "label": 0}]))
    >>> rows[0].label, str(skipped[0])
    ('1', "dataset:2: 'text' is empty")
    """
    missing = [column for column in (columns.text, columns.label) if column not in data.column_names]
    if missing == [columns.text] or (missing and not {"tags", "answer"} & set(data.column_names)):
        raise DataError(f"{name}: no column {missing[0]!r}; it has {', '.join(data.column_names)}")
    names = getattr(data.features.get(columns.label), "names", None)  # a ClassLabel keeps its words apart
    own = {columns.text, columns.text_b, columns.label}
    examples, skipped = [], []
    for row, record in enumerate(data, start=1):
        try:
            if names and record[columns.label] is not None:
                if record[columns.label] < 0:
                    raise BadRecord(f"{columns.label!r} is {record[columns.label]}: hidden")
                record[columns.label] = names[record[columns.label]]
            if record.get("choices") is not None:  # the label is an index and stays a number; the text may be empty
                example = Example(record[columns.text], record.get(columns.text_b), record[columns.label])
            else:
                example = to_example(record, columns, labelled=record.get("tags") is None and record.get("answer") is None)
        except BadRecord as error:
            skipped.append(Skipped(name, row, str(error)))
            continue
        example.meta = {key: value for key, value in record.items() if key not in own and value is not None}
        example.source = f"{name}:{row}"
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
    from huggingface_hub.errors import RepositoryNotFoundError

    constants = huggingface_hub.constants
    before = constants.HF_HUB_OFFLINE
    try:
        huggingface_hub.HfApi().dataset_info(name, timeout=5)
    except RepositoryNotFoundError:
        raise DataError(f"the hub has no data set {name!r}; known short names: {', '.join(KNOWN)}") from None
    except Exception:  # whichever way the network fails, the cache is what is left
        constants.HF_HUB_OFFLINE = True
    try:
        return datasets.load_dataset(name, config)
    except Exception as error:  # a library's many ways to fail, told in one line
        if constants.HF_HUB_OFFLINE:
            raise DataError(
                f"the data set {name!r} is not in the hub's cache, and the hub cannot be reached; "
                f"use a built-in task (minidelta list tasks) or a file of your own"
            ) from None
        raise DataError(f"the data set {name!r} cannot be loaded: {str(error).strip().splitlines()[0]}") from None
    finally:
        constants.HF_HUB_OFFLINE = before
