"""`minidelta pretrain`: make a model from nothing."""

import argparse
import json
from pathlib import Path

from minidelta.cli.words import answer, natural, whole

HELP = "pre-train a model on the embedded language or on your text"
EXAMPLES = """examples:
  minidelta pretrain bert-nano
  minidelta pretrain gpt-nano --corpus my-text.txt --out my-gpt

An interrupted run goes on where it was when the same command is given again.
"""


def arguments(command: argparse.ArgumentParser) -> None:
    """The words it understands."""
    command.add_argument("name", metavar="NAME", help="such as bert-nano, gpt-micro, t5-mini")
    command.add_argument("--corpus", type=Path, metavar="FILE", help="a UTF-8 text file instead of the embedded language")
    command.add_argument("--out", type=Path, metavar="DIR", help="where to write (default ./checkpoints/NAME; load it from there with --model ./checkpoints/NAME)")
    command.add_argument("--steps", type=natural, help="updates of about 2,048 tokens, for gpt-mini and t5-mini 8,192 (default: the recipe's)")
    command.add_argument("--seed", type=whole, default=0)
    command.add_argument("--threads", type=natural, help="CPU threads")
    command.add_argument("--fresh", action="store_true", help="forget an interrupted run")


def call(options: argparse.Namespace) -> int:
    """Do it; the exit code."""
    from minidelta.pretrain import pretrain

    folder = pretrain(
        options.name, corpus=options.corpus, folder=options.out, steps=options.steps, seed=options.seed,
        threads=options.threads, resume=not options.fresh,
    )  # fmt: skip
    record = json.loads((Path(folder) / "history.json").read_text(encoding="utf-8"))
    about = {key: value for key, value in record.items() if key != "curve"} | {"folder": str(folder)}
    held_out = next((point["held_out"] for point in reversed(record["curve"]) if "held_out" in point), None)
    words = f"{options.name} stands in {folder}: held-out loss {held_out}, {record['tokens']:,} tokens, {record['seconds']:,} s"
    answer(options, about | {"held_out": held_out}, words)
    return 0


def saved(options: argparse.Namespace) -> str:
    """What an interruption leaves."""
    return "the run is kept; the same command goes on from its last saved step"
