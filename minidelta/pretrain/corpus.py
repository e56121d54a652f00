"""Where the documents of pre-training come from: the embedded world, or a text file.

Both give the same two things: an endless seeded stream to train on, and a fixed set that is never trained on.
"""

import hashlib
import random
import re
import textwrap
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

from torch import nn

from minidelta.errors import DataError
from minidelta.pretrain.shots import accuracies
from minidelta.world import WORLD_VERSION, Document, documents
from minidelta.world.lists import LISTS_VERSION, lists

TOKENIZER_SEED, HELD_OUT_SEED = 2**40, 2**40 + 1  # training seeds stay below
TOKENIZER_DOCUMENTS = 20_000
HELD_OUT = 400  # documents
LONGEST = 1000  # characters of a document made from a file: about 200 tokens


class WorldCorpus:
    """The embedded world: documents without end, no two streams alike."""

    name, version, repeats = "world", WORLD_VERSION, False

    def texts(self) -> Iterator[str]:
        """What the tokenizer is trained on: the same for every seed and size."""
        for document in islice(documents(TOKENIZER_SEED), TOKENIZER_DOCUMENTS):
            yield from (document.text, *(document.pair or ()))

    def stream(self, seed: int) -> Iterator[Document]:
        """Training documents; `seed` below 2**40."""
        return documents(seed)

    def held_out(self) -> list[Document]:
        """The documents on which every run measures its held-out loss."""
        return list(islice(documents(HELD_OUT_SEED), HELD_OUT))

    def watch(self, model: nn.Module, tokenizer) -> dict[str, float]:
        """What is measured along a run beside the held-out loss."""
        return {}


class ListCorpus(WorldCorpus):
    """The world with lists of answered questions, from which a model learns to learn in context."""

    name, version = "lists", LISTS_VERSION

    def texts(self) -> Iterator[str]:
        return (document.text for document in islice(lists(TOKENIZER_SEED), TOKENIZER_DOCUMENTS))

    def stream(self, seed: int) -> Iterator[Document]:
        return lists(seed)

    def held_out(self) -> list[Document]:
        return list(islice(lists(HELD_OUT_SEED), HELD_OUT))

    def watch(self, model: nn.Module, tokenizer) -> dict[str, float]:
        """Accuracy after so many examples: the change that comes all at once."""
        return accuracies(model, tokenizer)


CORPORA = {"world": WorldCorpus, "lists": ListCorpus}


class FileCorpus:
    """A text file of the user's: paragraphs between blank lines, or, where there are no blank lines, one document a line.

    Long paragraphs are cut, after a sentence where possible.  Every twentieth document (400 at most) is held out.

    Args:    path: a text file in UTF-8.
    Raises:  DataError if the file cannot be read, is not UTF-8, or holds fewer than two documents.
    """

    repeats = True

    def __init__(self, path: str | Path) -> None:
        path = Path(path)
        try:
            raw = path.read_bytes()
            text = raw.decode("utf-8-sig").replace("\r\n", "\n")
        except UnicodeDecodeError as problem:
            line = raw[: problem.start].count(b"\n") + 1
            raise DataError(f"{path}, line {line}: this is not UTF-8 text. Save the corpus as UTF-8 and try again.") from None
        except OSError as problem:
            raise DataError(f"The corpus {path} cannot be read ({problem.strerror}). Give a text file.") from None
        blank = re.search(r"\S[^\S\n]*\n\s*\n\s*\S", text)  # a blank line with text before and after it
        blocks = re.split(r"\n\s*\n" if blank else r"\n", text)
        found = [document for block in blocks if block.strip() for document in paragraph(block)]
        if len(found) < 2:
            raise DataError(f"{path} holds {len(found)} documents; at least 2 are needed. Put one document on a line, or blank lines between paragraphs.")
        every = max(2, min(20, len(found)), len(found) // HELD_OUT)
        self._held_out = found[every - 1 :: every]
        self._training = [document for i, document in enumerate(found) if i % every != every - 1]
        self.name, self.version = path.stem, hashlib.sha256(raw).hexdigest()[:12]

    def texts(self) -> Iterator[str]:
        """What the tokenizer is trained on."""
        return (document.text for document in self._training)

    def stream(self, seed: int) -> Iterator[Document]:
        """Training documents drawn at random, without end."""
        lots = random.Random(seed)
        while True:
            yield lots.choice(self._training)

    def held_out(self) -> list[Document]:
        """The documents that are never trained on."""
        return self._held_out

    def watch(self, model: nn.Module, tokenizer) -> dict[str, float]:
        """Nothing more than the held-out loss."""
        return {}


def paragraph(text: str) -> list[Document]:
    """One block of text as documents of at most 1,000 characters, whose parts are sentences.

    >>> [document.parts for document in paragraph("Good cheese.  Is it old? Yes!")]
    [['Good cheese.', 'Is it old?', 'Yes!']]
    """
    parts = [piece for sentence in re.split(r"(?<=[.!?。！？])\s+", " ".join(text.split())) for piece in textwrap.wrap(sentence, LONGEST)]
    documents: list[Document] = []
    for part in parts:
        if documents and len(documents[-1].text) + len(part) < LONGEST:
            documents[-1] = Document("text", [*documents[-1].parts, part])
        else:
            documents.append(Document("text", [part]))
    return documents


def take(stream: Iterator[Document], characters: float) -> list[Document]:
    """Documents from a stream until their texts reach a number of characters, or it ends.

    >>> [document.text for document in take(iter(paragraph("a" * 2500)), 1500)] == ["a" * 1000] * 2
    True
    """
    taken = []
    while characters > 0 and (document := next(stream, None)):
        taken.append(document)
        characters -= len(document.text)
    return taken
