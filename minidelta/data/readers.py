"""Read a person's own file: JSON lines, CSV or TSV with a header.

A file is taken record by record.  A record that cannot be used (a broken line, no label, an empty text, bytes
that are not UTF-8) is left out, and told with its file, line and reason: nothing disappears silently.  Blank lines
are no records.
"""

import csv
import itertools
import json
import math
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from minidelta.data.example import Example
from minidelta.errors import DataError

ENDINGS = {".jsonl": "json", ".ndjson": "json", ".json": "json", ".csv": "csv", ".tsv": "tsv"}
WHOLE = re.compile(r"-?[0-9]+\.0")  # how pandas writes a whole number of a column that had a gap
LONGEST = 100_000  # characters in one record; more is a file that lost its line ends, not a text


@dataclass(frozen=True)
class Columns:
    """What a file calls its columns (the keys of a JSON record).

    Args:
        text: the column of the text.
        text_b: the column of the second text; a record may lack it.
        label: the column of the answer.
    """

    text: str = "text"
    text_b: str = "text_b"
    label: str = "label"


@dataclass(frozen=True)
class Skipped:
    """A record that was left out: where it stands, and why.

    >>> str(Skipped("reviews.jsonl", 3, "no label"))
    'reviews.jsonl:3: no label'
    """

    file: str
    line: int
    reason: str

    def __str__(self) -> str:
        return f"{self.file}:{self.line}: {self.reason}"


class BadRecord(ValueError):
    """Says, inside this floor, why one record cannot be used."""


def read_examples(path: str | Path, columns: Columns = Columns(), labelled: bool = True) -> tuple[list[Example], list[Skipped]]:
    """Read a .jsonl, .csv or .tsv file into examples and reports of what was left out.

    Args:
        path: the file.  JSON lines: one object a line.  CSV: a header, quotes as spreadsheets write them, `,` or
            `;`.  TSV: a header, no quotes (a `"` is just a character), as GLUE's files have it.
        columns: what the file calls its text, second text and label.
        labelled: False for texts whose label is to be predicted.
    Returns: the examples (each with its `source`, "file:line") and the reports, both in the file's order.
    Raises: DataError when the file is missing, of an unknown kind, not UTF-8 as a whole, or has no such column; when
        its objects go over several lines; when a table has a header alone.
    """
    path = Path(path)
    kind = ENDINGS.get(path.suffix.lower())
    if kind is None:
        raise DataError(f"{path}: files of this kind are not read; expected one of {', '.join(ENDINGS)}")
    rows = _json_rows(path) if kind == "json" else _table_rows(path, kind, columns, labelled)
    examples, skipped = [], []
    for line, row in rows:
        try:
            if isinstance(row, BadRecord):
                raise row
            example = to_example(row, columns, labelled)
        except BadRecord as error:
            skipped.append(Skipped(path.name, line, str(error)))
        else:
            example.source = f"{path.name}:{line}"
            examples.append(example)
    return examples, skipped


def to_example(record: dict[str, Any], columns: Columns = Columns(), labelled: bool = True) -> Example:
    """Turn one raw record into an `Example`, or say (BadRecord) why not.

    >>> to_example({"text": "a fine film", "label": 1})
    Example(text='a fine film', text_b=None, label='1', meta={})
    >>> to_example({"text": "a fine film", "label": 1, "year": 1999, "tags": []}).meta  # what is no string or number is not kept
    {'year': '1999'}
    """
    if columns.text not in record:
        raise BadRecord(f"no {columns.text!r}; its keys are {', '.join(map(repr, record)) or 'none'}")
    text = _text(record[columns.text], columns.text)
    second = record.get(columns.text_b)
    text_b = None if second is None else _text(second, columns.text_b)
    if labelled and columns.label not in record:
        raise BadRecord(f"no {columns.label!r}; its keys are {', '.join(map(repr, record))}")
    label = _label(record[columns.label], columns.label) if labelled else None
    further = {key: _further(value) for key, value in record.items() if key not in (columns.text, columns.text_b, columns.label)}
    return Example(text, text_b, label, {key: value for key, value in further.items() if key and value})


def _further(value: Any) -> str:
    """The value of a column that is neither text nor label, as a string; "" for what is not kept."""
    if isinstance(value, bool) or not isinstance(value, (str, int, float)) or (isinstance(value, float) and not math.isfinite(value)):
        return ""
    try:
        return _text(str(int(value) if isinstance(value, float) and value.is_integer() else value), "")
    except BadRecord:  # empty, endless or broken: no reason to lose the record, whose text and label are sound
        return ""


def _text(value: Any, name: str) -> str:
    if not isinstance(value, str):
        raise BadRecord(f"{name!r} is {_kind(value)}, expected a string")
    value = value.strip()
    if not value:
        raise BadRecord(f"{name!r} is empty")
    if len(value) > LONGEST:
        raise BadRecord(f"{name!r} has {len(value):,} characters; at most {LONGEST:,} are read")
    try:
        value.encode("utf-8")
    except UnicodeEncodeError:
        raise BadRecord(f"{name!r} holds a broken character (half of a surrogate pair)") from None
    return value


def _label(value: Any, name: str) -> str:
    """A label as a string: words as they are, 1 and 1.0 as "1", True as "true" (the cell 1.0 of a table is "1" by then)."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int) or (isinstance(value, float) and value.is_integer()):
        return str(int(value))
    if isinstance(value, float):
        raise BadRecord(f"{name!r} is missing (NaN)" if math.isnan(value) else f"{name!r} is the number {value:g}; a label is a name or a whole number")
    if value is None or (isinstance(value, str) and not value.strip()):
        raise BadRecord(f"{name!r} is empty")
    return _text(value, name)


def _kind(value: Any) -> str:
    names = {str: "a string", type(None): "null", bool: "a truth value", int: "a number", float: "a number", list: "a list", dict: "an object"}
    return names.get(type(value), type(value).__name__)


def _lines(path: Path) -> Iterator[tuple[int, str | BadRecord]]:
    """The lines of a text file, numbered from 1; a line that is not UTF-8 or is endless comes as its BadRecord."""
    try:
        with path.open("rb") as file:
            if file.read(2) in (b"\xff\xfe", b"\xfe\xff"):
                raise DataError(f"{path}: the file is in UTF-16; save it as UTF-8")
            file.seek(0)
            for number in itertools.count(1):
                raw = file.readline(4 * LONGEST)
                if not raw:
                    return
                if number == 1:
                    raw = raw.removeprefix(b"\xef\xbb\xbf")  # the byte-order mark that some editors write
                    if b"\r" in raw and not raw.endswith(b"\n"):
                        raise DataError(f"{path}: the lines end in CR alone, as on very old Macs; save the file with LF or CRLF line ends")
                if len(raw) == 4 * LONGEST:
                    while raw and not raw.endswith(b"\n"):
                        raw = file.readline(4 * LONGEST)
                    yield number, BadRecord(f"the line is longer than {4 * LONGEST:,} bytes; is a line end missing?")
                    continue
                try:
                    yield number, raw.decode("utf-8")
                except UnicodeDecodeError as error:
                    yield number, BadRecord(f"not UTF-8 at byte {error.start + 1} of the line; save the file as UTF-8 (Excel: CSV UTF-8)")
    except FileNotFoundError:
        raise DataError(f"{path}: no such file") from None
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror or error})") from None


def _json_rows(path: Path) -> Iterator[tuple[int, dict | BadRecord]]:
    for number, line in _lines(path):
        if isinstance(line, BadRecord):
            yield number, line
            continue
        if number == 1 and line.lstrip().startswith("["):
            raise DataError(f"{path}: the file is one JSON list; expected JSON lines, one object {{...}} a line")
        if number == 1 and line.strip() == "{":
            raise DataError(f"{path}: an object goes over several lines; expected JSON lines, one object {{...}} a line")
        if line.strip():
            yield number, _json_object(line)


def _json_object(line: str) -> dict | BadRecord:
    try:
        value = json.loads(line)
    except (ValueError, RecursionError) as error:
        where = f" at column {error.colno}" if isinstance(error, json.JSONDecodeError) else ""
        return BadRecord(f"broken JSON{where}")
    return value if isinstance(value, dict) else BadRecord(f"the line is {_kind(value)}, expected an object {{...}}")


def _table_rows(path: Path, kind: str, columns: Columns, labelled: bool) -> Iterator[tuple[int, dict | BadRecord]]:
    lines = list(_lines(path))
    if not lines:
        raise DataError(f"{path}: the file is empty; expected a header and records")
    bad = {number: line for number, line in lines if isinstance(line, BadRecord)}
    if 1 in bad:
        raise DataError(f"{path}: the header cannot be read ({bad[1]})")
    texts = ["" if isinstance(line, BadRecord) else line for _, line in lines]
    delimiter = "\t" if kind == "tsv" else max(",;\t", key=texts[0].count)
    style = {"delimiter": delimiter, "quoting": csv.QUOTE_NONE if kind == "tsv" else csv.QUOTE_MINIMAL, "skipinitialspace": True}

    parsed = _parse(texts, style)
    _, _, header = next(parsed)
    if isinstance(header, BadRecord):
        raise DataError(f"{path}: the header cannot be read ({header})")
    header = [name.strip() for name in header]
    named = [name for name in header if name]  # spreadsheets write empty columns behind the last one
    missing = [name for name in (columns.text, *([columns.label] if labelled else [])) if name not in named]
    if missing:
        raise DataError(f"{path}: no column {missing[0]!r}; the header has {', '.join(map(repr, named))}; --text-column and --label-column name others")
    if len(set(named)) < len(named):
        raise DataError(f"{path}: the header names a column twice: {', '.join(named)}")
    if not "".join(texts[1:]).strip() and not bad:
        raise DataError(f"{path}: the file has a header and no records")
    for number, last, row in parsed:
        spoilt = [bad[inner] for inner in range(number, last + 1) if inner in bad]
        if spoilt:
            yield number, spoilt[0]
        elif isinstance(row, BadRecord):
            yield number, row
        elif not any(cell.strip() for cell in row):
            continue  # a blank line, or an empty row of a spreadsheet
        elif len(row) != len(header):
            yield number, BadRecord(f"{len(row)} column{'s' * (len(row) != 1)}, the header has {len(header)}")
        else:
            record = {name: cell for name, cell in zip(header, row) if name}
            if WHOLE.fullmatch(label := record.get(columns.label, "").strip()):
                record[columns.label] = label.removesuffix(".0")
            if not record.get(columns.text_b, "x").strip():
                record[columns.text_b] = None  # an empty cell: this record has no second text
            yield number, record


def _parse(texts: list[str], style: dict[str, Any]) -> Iterator[tuple[int, int, list[str] | BadRecord]]:
    """Rows with the first and last line each covers.  A quote that never closes costs its own line, not the rest of the file."""
    start = 0
    while start < len(texts):
        reader = csv.reader(iter(texts[start:]), strict=True, **style)
        line = start
        try:
            for row in reader:
                yield line + 1, start + reader.line_num, row
                line = start + reader.line_num
            return
        except csv.Error as error:
            yield line + 1, line + 1, BadRecord(f"broken CSV ({str(error).partition(' - ')[0]})")  # behind the dash: advice for programmers
            start = line + 1
