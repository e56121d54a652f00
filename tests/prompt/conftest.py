"""A sample of what pre-training reads, for the proof that no template repeats it."""

from itertools import islice

import pytest

from minidelta.world import documents
from tests.prompt.tiny import words


@pytest.fixture(scope="session")
def told() -> str:
    """20,000 documents of pre-training, as the world's own honesty tests sample them: plain words, one text a line."""
    return "\n" + "\n".join(f" {' '.join(words(document.text))} " for document in islice(documents(20_26), 20_000))
