"""Where a person's train, validation and test parts come from: one file, a file with siblings, or a folder."""

import random
import re
from dataclasses import dataclass, field
from pathlib import Path

from minidelta.data.example import Example
from minidelta.data.readers import ENDINGS, Columns, Skipped, read_examples
from minidelta.errors import DataError

NAMES = {"train": ("train", "training"), "validation": ("validation", "valid", "val", "dev"), "test": ("test",)}


@dataclass
class Parts:
    """The examples of the three parts, what was left out, and one sentence for each decision."""

    train: list[Example]
    validation: list[Example]
    test: list[Example]
    skipped: list[Skipped] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def file_parts(path: Path, columns: Columns, seed: int) -> Parts:
    """Read a file, its siblings if it is called `..._train`, or a folder; split off what is missing.

    Args:
        path: a file or a folder that exists.
        columns: what the files call their columns.
        seed: of the split.
    Returns: the three parts, with notes.
    Raises: DataError when a folder has no train file, or a file cannot be used.
    """
    files = _in_folder(path) if path.is_dir() else _beside(path)
    train, skipped = read_examples(files["train"], columns)
    parts = Parts(train, [], [], skipped)
    for part in ("validation", "test"):
        if part not in files:
            continue
        try:
            examples, reports = read_examples(files[part], columns)
        except DataError as error:
            examples, reports = [], []
            parts.notes.append(f"{files[part].name} is not used: {error}")
        setattr(parts, part, examples)
        parts.skipped += reports
        if examples:
            parts.notes.append(f"the {part} part is {files[part].name} ({len(examples):,} records)")
    return fill(parts, seed, files["train"].name)


def fill(parts: Parts, seed: int, name: str) -> Parts:
    """Hold out of the training examples what has no part of its own: a tenth of each class, drawn by `seed`."""
    for part in ("test", "validation"):
        if not getattr(parts, part):
            parts.train, held_out = hold_out(parts.train, 0.1, seed, part)
            setattr(parts, part, held_out)
            if held_out:
                parts.notes.append(f"the {part} part is {len(held_out):,} records held out of {name} (seed {seed})")
    return parts


def hold_out(examples: list[Example], share: float, seed: int, part: str) -> tuple[list[Example], list[Example]]:
    """Take `share` of each class out of `examples`, at least one of a class that has three or more.

    Returns: (what stays, what is held out), both in the order they came.

    >>> stays, held = hold_out([Example(str(i), label="ab"[i % 2]) for i in range(40)], 0.1, 0, "test")
    >>> len(stays), [example.label for example in held].count("a")
    (36, 2)
    """
    places: dict[str, list[int]] = {}
    for place, example in enumerate(examples):
        places.setdefault(str(example.label), []).append(place)
    taken: set[int] = set()
    for label, members in places.items():
        number = max(round(share * len(members)), 1 if len(members) >= 3 else 0)
        taken |= set(random.Random(f"{seed} {part} {label}").sample(members, number))
    stays = [example for place, example in enumerate(examples) if place not in taken]
    return stays, [examples[place] for place in sorted(taken)]


def _in_folder(folder: Path) -> dict[str, Path]:
    files = sorted(file for file in folder.iterdir() if file.suffix.lower() in ENDINGS and file.is_file())
    found: dict[str, Path] = {}
    for part, names in NAMES.items():
        fitting = [file for file in files if re.fullmatch(rf"(.*[_.-])?({'|'.join(names)})", file.stem.lower())]
        if len(fitting) > 1:
            raise DataError(f"{folder}: {' and '.join(file.name for file in fitting)} could each be the {part} part; leave one")
        if fitting:
            found[part] = fitting[0]
    if "train" not in found:
        listing = ", ".join(file.name for file in files) or "no .jsonl, .csv or .tsv file"
        raise DataError(f"{folder}: no train file (train.jsonl, train.csv); the folder has {listing}")
    return found


def _beside(path: Path) -> dict[str, Path]:
    """The file itself, and where it is called `..._train`, its `..._test` and `..._validation`."""
    found = {"train": path}
    match = re.fullmatch(r"(.*[_.-])?(train|training)", path.stem, flags=re.IGNORECASE)
    for part in ("validation", "test") if match else ():
        for name in NAMES[part]:
            sibling = path.with_name(f"{match.group(1) or ''}{name}{path.suffix}")
            if sibling.is_file():
                found.setdefault(part, sibling)
    return found
