"""Settings that cannot work, refused where they are given: what was met, what was expected, what to write instead."""

import math
from typing import Any

from minidelta.errors import DeltaError


def whole(**settings: Any) -> None:
    """Each counts something.  Raises: DeltaError unless it is a whole number of at least 1.

    >>> whole(rank=8, prefix_length=10)
    """
    for name, value in settings.items():
        if not isinstance(value, int) or isinstance(value, bool) or value < 1:
            raise DeltaError(f"{name} is {value!r}; it counts something, so give a whole number of at least 1, such as 8.")


def positive(**settings: Any) -> None:
    """Each scales something.  Raises: DeltaError unless it is a finite number above 0."""
    for name, value in settings.items():
        if not isinstance(value, (int, float)) or isinstance(value, bool) or not 0 < value < math.inf:
            raise DeltaError(f"{name} is {value!r}; it scales something, so give a positive number, such as 1.0.")


def share(**settings: Any) -> None:
    """Each is a part of a whole.  Raises: DeltaError unless it is a number from 0 up to but not including 1."""
    for name, value in settings.items():
        if not isinstance(value, (int, float)) or isinstance(value, bool) or not 0 <= value < 1:
            raise DeltaError(f"{name} is {value!r}; give a share from 0 up to but not including 1, such as 0.1.")
