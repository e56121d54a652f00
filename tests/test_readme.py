"""The README keeps its word: its code runs and prints what it says, its commands and its links exist."""

import contextlib
import io
import json
import re
from pathlib import Path

import pytest

from minidelta import cli, listing

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"```(\w+)\n(.*?)```", README, flags=re.DOTALL)
NUMBER = re.compile(r"\d[\d,]*\.?\d*")


def blocks(language: str) -> list[str]:
    return [text for kind, text in BLOCKS if kind == language]


def test_the_code_prints_what_stands_beside_it():
    code, promised = blocks("python")[0], blocks("text")[0]
    assert len([line for line in code.splitlines() if line.strip()]) <= 12
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        exec(compile(code, "README.md", "exec"), {"__name__": "readme"})
    assert NUMBER.sub("#", printed.getvalue()) == NUMBER.sub("#", promised), printed.getvalue()
    for ours, theirs in zip(NUMBER.findall(printed.getvalue()), NUMBER.findall(promised), strict=True):
        if "." in ours and float(ours.replace(",", "")) <= 1:  # a score moves a little with the number of threads and the device
            assert abs(float(ours) - float(theirs)) <= 0.03, f"{ours} printed, {theirs} promised"
        else:
            assert ours == theirs


def test_two_commands_on_the_first_screen():
    shell = "".join(blocks("bash")).splitlines()
    assert shell[0].startswith("pip install -e .") and shell[0].endswith("minidelta lab")
    assert [line for line in shell if line.endswith("&& python -m pytest")] == [shell[1]]
    assert README.splitlines().index(shell[1]) < 30


def test_every_command_that_is_named_exists():
    known = next(action.choices for action in cli.parser()._actions if action.choices)
    prose = re.sub(r"```.*?```", "", README, flags=re.DOTALL)
    named = set(re.findall(r"minidelta ([a-z]+)\b", " ; ".join(re.findall(r"`([^`\n]+)`", prose) + blocks("bash"))))
    assert named and named <= set(known), named - set(known)


@pytest.mark.parametrize("target", sorted(set(re.findall(r"\]\(([^)#\s]+)\)", README))))
def test_every_link_leads_somewhere(target):
    assert (ROOT / target).exists()


def test_the_table_of_models_says_what_their_records_say():
    """Each line of the table of models repeats what the checkpoint's own history says."""
    rows = re.findall(r"^\| `((?:bert|gpt|t5)-[\w-]+)` \| ([\d,]+) \| ([\d.]+) M \| ([\d.]+) \|", README, flags=re.MULTILINE)
    assert rows
    for name, parameters, tokens, held_out in rows:
        record = json.loads((ROOT / "minidelta" / "checkpoints" / name / "history.json").read_text(encoding="utf-8"))
        assert int(parameters.replace(",", "")) == record["parameters"]
        assert float(tokens) == round(record["tokens"] / 1e6, 1)
        assert float(held_out) == round(next(point["held_out"] for point in reversed(record["curve"]) if "held_out" in point), 3)


def test_the_table_of_claims_says_what_their_records_say():
    lines = [f"| {line['name']} | {line['claim']} | {line['parts'] or '-'} | {line['verdict']} |" for line in listing.claims()]
    start = README.index("| | what is claimed")
    assert README[start:].splitlines()[2 : 2 + len(lines)] == lines
