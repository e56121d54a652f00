"""One progress bar for the whole kit: plain tqdm on standard error.

It stays silent when nobody watches (standard error is not a terminal), so that logs, notebooks and
`--json` output keep clean.  MINIDELTA_PROGRESS=1 or 0 in the environment overrules that.
"""

import os
import sys
from collections.abc import Iterable

from tqdm import tqdm


def progress(iterable: Iterable | None = None, total: int | None = None, description: str = "", unit: str = "it", initial: int = 0) -> tqdm:
    """Wrap an iterable (or count by hand with `.update()`) in a progress bar with the time left.

    Args:
        iterable: what to loop over; None to call `.update()` by hand.
        total: number of steps, where the iterable does not know its length.
        description: the words in front of the bar.
        unit: what one step is called.
        initial: steps done already (a resumed run).
    Returns: a tqdm bar; `.set_postfix_str("loss 1.23")` shows a figure at its end.

    >>> sum(progress(range(4)))
    6
    """
    choice = os.environ.get("MINIDELTA_PROGRESS", "")
    silent = choice == "0" or (choice != "1" and not sys.stderr.isatty())
    return tqdm(iterable, total=total, desc=description, unit=unit, initial=initial, disable=silent, file=sys.stderr, dynamic_ncols=True, mininterval=0.5)
