"""Whatever a file holds, each record is either an example or a report that names its line."""

import json

import pytest

from minidelta.data import Columns, read_examples
from minidelta.data.readers import LONGEST
from minidelta.errors import DataError


def write(path, content: str | bytes):
    path.write_bytes(content if isinstance(content, bytes) else content.encode("utf-8"))
    return path


def test_json_lines(tmp_path):
    path = write(tmp_path / "a.jsonl", '{"text": " fine ", "label": "yes"}\n{"text": "bad", "text_b": "worse", "label": 0, "more": []}\n')
    examples, skipped = read_examples(path)
    assert [(e.text, e.text_b, e.label, e.meta) for e in examples] == [
        ("fine", None, "yes", {}),
        ("bad", "worse", "0", {}),
    ]
    assert [e.source for e in examples] == ["a.jsonl:1", "a.jsonl:2"] and skipped == []


def test_further_columns_are_kept_as_strings(tmp_path):
    record = {"text": "a", "label": 1, "domain": " sport ", "year": 1999, "share": 0.5, "whole": 3.0, "source": "paper", "head": "Ada"}
    lost = {"text_b": None, "list": ["a"], "object": {}, "flag": True, "none": None, "blank": " ", "": "b", "nan": float("nan"), "inf": float("inf"), "half": "\ud800", "long": "x" * (LONGEST + 1)}
    kept = {"domain": "sport", "year": "1999", "share": "0.5", "whole": "3", "source": "paper", "head": "Ada"}
    for labelled in (True, False):
        examples, skipped = read_examples(write(tmp_path / "a.jsonl", json.dumps(record | lost)), labelled=labelled)
        assert [(e.meta, e.source) for e in examples] == [(kept, "a.jsonl:1")] and not skipped
    examples, _ = read_examples(write(tmp_path / "a.csv", "review,stars,text,domain\nfine,5,x,sport\nbad,1,y,\n"), Columns("review", label="stars"))
    assert [e.meta for e in examples] == [{"text": "x", "domain": "sport"}, {"text": "y"}]


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (b"{broken", "broken JSON at column 2"),
        (b'{"text": "a", "label": "x"', "broken JSON"),
        (b"[1, 2]", "the line is a list, expected an object"),
        (b"null", "the line is null"),
        (b'{"label": "x"}', "no 'text'; its keys are 'label'"),
        (b"{}", "no 'text'; its keys are none"),
        (b'{"text": "a"}', "no 'label'"),
        (b'{"text": "  ", "label": "x"}', "'text' is empty"),
        (b'{"text": 7, "label": "x"}', "'text' is a number, expected a string"),
        (b'{"text": null, "label": "x"}', "'text' is null"),
        (b'{"text": true, "label": "x"}', "'text' is a truth value"),
        (b'{"text": ["a"], "label": "x"}', "'text' is a list"),
        (b'{"text": "a", "text_b": 3, "label": "x"}', "'text_b' is a number"),
        (b'{"text": "a", "text_b": "", "label": "x"}', "'text_b' is empty"),
        (b'{"text": "a", "label": ""}', "'label' is empty"),
        (b'{"text": "a", "label": null}', "'label' is empty"),
        (b'{"text": "a", "label": 0.5}', "'label' is the number 0.5"),
        (b'{"text": "a", "label": NaN}', "'label' is missing (NaN)"),
        (b'{"text": "a", "label": Infinity}', "'label' is the number inf"),
        (b'{"text": "a", "label": {}}', "'label' is an object"),
        (b'{"text": "a\xff", "label": "x"}', "not UTF-8 at byte 12 of the line; save the file as UTF-8 (Excel: CSV UTF-8)"),
        (b'{"text": "\\ud800", "label": "x"}', "broken character"),
        (b'{"text": ' + b"[" * 100_000, "broken JSON"),
        (b'{"text": "a", "label": 1' + b"0" * 5_000 + b"}", "broken JSON"),
        (json.dumps({"text": "x" * (LONGEST + 1), "label": "x"}).encode(), "has 100,001 characters"),
        (json.dumps({"text": "x" * (5 * LONGEST), "label": "x"}).encode(), "the line is longer than 400,000 bytes"),
    ],
    ids=lambda value: None if isinstance(value, bytes) else value[:24],
)
def test_a_bad_record_is_told_with_its_line_and_costs_no_other(tmp_path, line, reason):
    good = b'{"text": "a", "label": "x"}'
    examples, skipped = read_examples(write(tmp_path / "a.jsonl", good + b"\n" + line + b"\n" + good))
    assert [e.source for e in examples] == ["a.jsonl:1", "a.jsonl:3"]
    assert [s.line for s in skipped] == [2] and str(skipped[0]).startswith("a.jsonl:2: ") and reason in skipped[0].reason


def test_blank_lines_are_no_records(tmp_path):
    for name, content in [("a.jsonl", '\n{"text": "a", "label": "x"}\n   \n{"text": "b", "label": "y"}\n\n'), ("a.csv", "text,label\na,x\n\n  \n,\nb,y\n\n")]:
        examples, skipped = read_examples(write(tmp_path / name, content))
        assert [e.text for e in examples] == ["a", "b"] and not skipped


def test_labels_become_strings(tmp_path):
    lines = [json.dumps({"text": "a", "label": label}) for label in (True, False, 3, -1, 2.0, " word ")]
    examples, skipped = read_examples(write(tmp_path / "a.jsonl", "\n".join(lines)))
    assert [e.label for e in examples] == ["true", "false", "3", "-1", "2", "word"] and not skipped


def test_whole_numbers_of_a_table_are_written_one_way(tmp_path):
    """pandas writes 1.0 where the column had a gap, and 1 where it had none."""
    for name in ("a.csv", "a.tsv"):
        cells = ["1", "1.0", " -2.0 ", "0.5", "1.00", "v1.0"]
        examples, _ = read_examples(write(tmp_path / name, "\n".join(["label?text", *(f"{cell}?a" for cell in cells)]).replace("?", "\t" if name == "a.tsv" else ",")))
        assert [e.label for e in examples] == ["1", "1", "-2", "0.5", "1.00", "v1.0"]


def test_byte_order_mark_and_windows_line_ends(tmp_path):
    for name, content in [("a.jsonl", '{"text": "é", "label": "x"}\r\n'), ("a.csv", "text,label\r\né,x\r\n")]:
        examples, skipped = read_examples(write(tmp_path / name, b"\xef\xbb\xbf" + content.encode()))
        assert [(e.text, e.label) for e in examples] == [("é", "x")] and not skipped


def test_csv_with_everything_a_spreadsheet_writes(tmp_path):
    text = 'id,label,text\n1,pos,"He said ""fine"", twice"\n2,neg,"over\ntwo lines"\n\n3,neg\n4,pos,a,b\n5,pos,last\n6\n'
    examples, skipped = read_examples(write(tmp_path / "a.csv", text))
    assert [(e.text, e.label, e.source) for e in examples] == [
        ('He said "fine", twice', "pos", "a.csv:2"),
        ("over\ntwo lines", "neg", "a.csv:3"),
        ("last", "pos", "a.csv:8"),
    ]
    assert [str(s) for s in skipped] == ["a.csv:6: 2 columns, the header has 3", "a.csv:7: 4 columns, the header has 3", "a.csv:9: 1 column, the header has 3"]


def test_a_blank_before_a_quote_and_columns_without_a_name(tmp_path):
    examples, skipped = read_examples(write(tmp_path / "a.csv", 'text, label,,\nfine, "pos",,\n"a, b", "neg",,x\n'))
    assert [(e.text, e.label, e.meta) for e in examples] == [("fine", "pos", {}), ("a, b", "neg", {})] and not skipped


def test_an_open_quote_costs_its_own_line_only(tmp_path):
    text = b'text,label\n"open,pos\ngood,neg\n"a "bad" quote",pos\n"spans\nbad \xff byte",pos\nfine,pos\n'
    examples, skipped = read_examples(write(tmp_path / "a.csv", text))
    assert [e.text for e in examples] == ["good", "fine"]
    assert [(s.line, s.reason[:10]) for s in skipped] == [(2, "broken CSV"), (4, "broken CSV"), (5, "broken CSV"), (6, "not UTF-8 ")]
    _, skipped = read_examples(write(tmp_path / "a.csv", "text,label\nfine\rfilm,pos\n"))
    assert skipped[0].reason == "broken CSV (new-line character seen in unquoted field)"


def test_semicolons_tabs_and_a_missing_second_text(tmp_path):
    examples, _ = read_examples(write(tmp_path / "a.csv", "text;text_b;label\nx, y;;1\na;b;0\n"))
    assert [(e.text, e.text_b, e.label) for e in examples] == [("x, y", None, "1"), ("a", "b", "0")]
    examples, _ = read_examples(write(tmp_path / "a.tsv", 'sentence\tgold\n"quoted, as is\t1\n'), Columns("sentence", label="gold"))
    assert [(e.text, e.label) for e in examples] == [('"quoted, as is', "1")]


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.txt", "x", "files of this kind are not read; expected one of .jsonl"),
        ("a.jsonl", None, "no such file"),
        ("a.json", '[{"text": "a"}]', "one JSON list; expected JSON lines"),
        ("a.json", '{\n  "text": "a",\n  "label": "x"\n}\n', "an object goes over several lines; expected JSON lines, one object {...} a line"),
        ("a.csv", "text,label\ra,x\rb,y\r", "the lines end in CR alone"),
        ("a.jsonl", '{"text": "a", "label": "x"}\r{"text": "b", "label": "x"}', "the lines end in CR alone"),
        ("a.csv", "text,label\n", "the file has a header and no records"),
        ("a.jsonl", '{"text": "a"}'.encode("utf-16"), "in UTF-16; save it as UTF-8"),
        ("a.csv", "", "the file is empty"),
        ("a.csv", "review,stars\nfine,5\n", "no column 'text'; the header has 'review', 'stars'"),
        ("a.csv", "text,stars\nfine,5\n", "no column 'label'"),
        ("a.csv", "text,label,label\nfine,5,5\n", "names a column twice"),
        ("a.csv", b"text,label\xff\nfine,5\n", "the header cannot be read (not UTF-8 at byte 11 of the line; save the file as UTF-8"),
    ],
)
def test_a_file_that_cannot_be_used_at_all(tmp_path, name, content, message):
    path = tmp_path / name
    if content is not None:
        write(path, content)
    with pytest.raises(DataError, match=r".*") as caught:
        read_examples(path)
    assert message in str(caught.value) and name in str(caught.value) and "\n" not in str(caught.value)


def test_a_folder_is_not_a_file(tmp_path):
    (tmp_path / "x.jsonl").mkdir()
    with pytest.raises(DataError, match="cannot be read"):
        read_examples(tmp_path / "x.jsonl")


def test_texts_without_labels(tmp_path):
    examples, _ = read_examples(write(tmp_path / "a.csv", "text\nfine\n"), labelled=False)
    assert [(e.text, e.label) for e in examples] == [("fine", None)]
