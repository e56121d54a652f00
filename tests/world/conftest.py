"""A sample of what pre-training reads, made once for all tests of the world."""

import re
from itertools import islice

import pytest

from minidelta.world import Document, documents


@pytest.fixture(scope="session")
def sample() -> list[Document]:
    """20,000 documents of a seed that no test shares: about 590,000 words."""
    return list(islice(documents(20_26), 20_000))


def sentences(text: str) -> list[str]:
    """The sentences of a text, as plain lower-case words: what counts is what is said, not how it is typeset."""
    return [plain for one in re.split(r"(?<=[.?!])\s", text) if (plain := " ".join(words(one)))]


def words(text: str) -> list[str]:
    return re.findall(r"[^\W_]+", text.lower())


@pytest.fixture(scope="session")
def told_sentences(sample) -> set[str]:
    return {plain for document in sample for part in document.parts for plain in sentences(part)}
