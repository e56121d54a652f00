"""`minidelta bench`: how fast it is, beside transformers and peft."""

import argparse
from pathlib import Path

from minidelta.cli.words import answer, natural

HELP = "measure speed and memory beside transformers and peft, in turns, on the same weights and batch"
EXAMPLES = """examples:
  minidelta bench
  minidelta bench --shape bert-base --only step --threads 1
  minidelta bench --shape micro --shape gpt2-small --figure bench.png --json

A ratio is our time over theirs, within one pair; below 1 ours is faster.  Before two ways are timed their results are
compared.  micro takes about two minutes on 2 cores, bert-base and gpt2-small several each.
"""


def arguments(command: argparse.ArgumentParser) -> None:
    """The words it understands."""
    command.add_argument("--shape", action="append", metavar="S", help="micro (default), bert-base or gpt2-small; again for several")
    command.add_argument("--only", default="", metavar="WORDS", help="the rows whose name holds these words, such as step, write, attach")
    command.add_argument("--rounds", type=natural, metavar="N", help="pairs of each row (default: micro 15, others 5)")
    command.add_argument("--batch", type=natural, metavar="B", help="texts in a step (default: micro 16, bert-base 8, gpt2-small 4)")
    command.add_argument("--tokens", type=natural, metavar="T", help="tokens of a text (default 64)")
    command.add_argument("--threads", type=natural, metavar="N", help="CPU threads")
    command.add_argument("--dtype", default="float32", metavar="D", help="float32 (default) or bfloat16")
    command.add_argument("--compile", action="store_true", help="measure what torch.compile spares, too (needs a C++ compiler; up to a minute more)")
    command.add_argument("--figure", type=Path, metavar="FILE", help="draw it, too: .png, .svg or .pdf")


def call(options: argparse.Namespace) -> int:
    """Do it; the exit code."""
    from minidelta import bench
    from minidelta.plan import drawable

    if options.figure:
        drawable(options.figure)  # before anything is measured
    found = bench.compare(
        options.shape or ["micro"], only=options.only, rounds=options.rounds, batch=options.batch, tokens=options.tokens,
        threads=options.threads, dtype=options.dtype, compile=options.compile,
    )  # fmt: skip
    drawn = options.figure if found["rows"] else None
    answer(options, found | {"figure": str(drawn) if drawn else None}, bench.table(found))
    if drawn:
        bench.figure(found, drawn)  # last: if it fails, what was measured has been told
    return 1 if found["different"] else 0
