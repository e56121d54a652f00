"""One warm server for all tests of the grader, and the answer keys that were computed once."""

from functools import cache

import pytest

from minidelta.grading.key import build
from minidelta.grading.server import Server

SEED = "a test"


@pytest.fixture(scope="session")
def server():
    with Server() as running:
        yield running


@pytest.fixture(scope="session")
def key_of(server):
    """From an exercise's name to its key, with inputs that no learner has seen."""
    return cache(lambda exercise: build(exercise, SEED, server))
