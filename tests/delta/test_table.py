"""The methods' page (delta/README.md) says what is so: it is built again and compared."""

import re

import pytest

from minidelta import listing
from minidelta.delta import METHODS
from minidelta.delta.table import PAGE, READS, page, stored
from minidelta.hub import peft


def test_the_page_is_what_the_command_writes():
    assert PAGE.read_text(encoding="utf-8") == page(), "run python -m minidelta.delta.table, and look at what changed"


def test_the_page_names_every_type_that_can_be_read():
    named = {name for cell in re.findall(r"^\| ([A-Z0-9_, ]+) \|", READS, re.MULTILINE) for name in cell.split(", ")}
    assert named == set(peft.READ)


def test_every_method_stands_there_once():
    assert [row["method"] for row in stored()] == list(METHODS)
    for row in stored():
        assert (row["to PEFT"] == "no") == (METHODS[row["method"]].peft is None), row


@pytest.mark.parametrize(("name", "expected"), [("lora", {"family": "R", "on bert-micro": 16384, "merges": "yes", "peft": "LORA", "paper": "Hu et al. 2021"}), ("bitfit", {"works on": "encoder, decoder", "peft": None}), ("oft", {"peft": "OFT, not decoder"}), ("token-embeddings", {"peft": "TRAINABLE_TOKENS, not encoder-decoder", "paper": None}), ("full", {"family": None, "paper": None})])
def test_the_list_of_methods_shows_it(name, expected):
    row = next(row for row in listing.methods() if row["name"] == name)
    assert {column: row[column] for column in expected} == expected
