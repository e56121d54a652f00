"""Errors that a user can cause, and that therefore say what to do.

Every such error is a `MinideltaError`.  Its first line is complete by itself: what was met, what was
expected, what to do; indented detail (a list, a tree, a caret) may follow.  The command line prints it
without a stack trace and exits with 2.
"""

import difflib
from collections.abc import Iterable


class MinideltaError(Exception):
    """Base of every error that a user can cause."""


class ConfigError(MinideltaError):
    """A setting has a value that cannot work."""


class CheckpointError(MinideltaError):
    """A model folder is missing, damaged, or of a kind that is not read."""


class DataError(MinideltaError):
    """A file or record of the user's data cannot be used."""


class TaskError(MinideltaError):
    """A task is unknown, or does not suit the model or the method asked for."""


class DeltaError(MinideltaError):
    """A delta cannot be attached, merged, saved or loaded as asked."""


class PromptError(MinideltaError):
    """A template cannot be read or rendered, or label words do not suit it."""


def near_misses(name: str, known: Iterable[str]) -> str:
    """Say which known names are close to `name`: the tail of a good "unknown name" message.

    Args:
        name: what the user wrote.
        known: the names that exist.
    Returns: one sentence that can follow the complaint.

    >>> near_misses("bert-mico", ["bert-micro", "gpt-nano"])
    'Did you mean bert-micro? Known: bert-micro, gpt-nano.'
    """
    known = list(known)
    close = difflib.get_close_matches(name, known, n=3)
    guess = f"Did you mean {' or '.join(close)}? " if close else ""
    return f"{guess}Known: {', '.join(known)}."
