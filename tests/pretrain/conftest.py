"""A small tokenizer of each family, and the documents it was trained on."""

from itertools import islice

import pytest

from minidelta.hub import train_tokenizer
from minidelta.world import documents


@pytest.fixture(scope="session")
def some_documents():
    return list(islice(documents(3), 400))


@pytest.fixture(scope="session")
def tokenizers(some_documents):
    texts = [document.text for document in some_documents]
    return {family: train_tokenizer(family, texts, 600) for family in ("bert", "gpt", "t5")}
