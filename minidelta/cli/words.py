"""What the commands share: how words are read, and how an answer is printed."""

import argparse
import json
from typing import Any, NoReturn


class Parser(argparse.ArgumentParser):
    """A mistake in the words is one line too, not a page of usage."""

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"{self.prog}: {message}; `{self.prog} --help` shows how it is used\n")


def answer(options: argparse.Namespace, value: Any, words: str) -> None:
    """Print plain words, or with --json the value."""
    print(json.dumps(value, ensure_ascii=False) if options.json else words, flush=True)


def natural(word: str) -> int:
    """A whole number of at least 1."""
    if not word.isdecimal() or int(word) < 1:
        raise argparse.ArgumentTypeError(f"{word!r} is not a whole number of at least 1")
    return int(word)


def port(word: str) -> int:
    """A port to listen on."""
    if not word.isdecimal() or not 1 <= int(word) <= 65535:
        raise argparse.ArgumentTypeError(f"{word!r} is not a port from 1 to 65535")
    return int(word)


def whole(word: str) -> int:
    """A whole number from 0 up."""
    if not word.isdecimal() or int(word) >= 2**31:
        raise argparse.ArgumentTypeError(f"{word!r} is not a whole number from 0 to 2147483647")
    return int(word)


def share(word: str) -> float:
    """A share from 0 to below 1."""
    try:
        share = float(word)
    except ValueError:
        share = 1.0
    if not 0 <= share < 1:
        raise argparse.ArgumentTypeError(f"{word!r} is not a share from 0 to below 1")
    return share


def rate(word: str) -> float:
    """A positive number."""
    try:
        rate = float(word)
    except ValueError:
        rate = 0.0
    if not 0 < rate < float("inf"):
        raise argparse.ArgumentTypeError(f"{word!r} is not a positive number")
    return rate
