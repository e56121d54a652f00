"""`minidelta claims`: what the experiments found."""

import argparse
from pathlib import Path

from minidelta.cli.words import answer

HELP = "show what the experiments found, or measure it again"
EXAMPLES = """examples:
  minidelta claims                 the table of what was measured
  minidelta claims C2              one of them, part by part
  minidelta claims C2 --rerun      measure it again; goes on where it was interrupted
  minidelta claims C2 --rerun --light      a version with fewer runs, in minutes
  minidelta claims --markdown --figure claims.png
"""


def arguments(command: argparse.ArgumentParser) -> None:
    """The words it understands."""
    command.add_argument("ids", nargs="*", metavar="ID", help="such as C1 C2 (default: all)")
    command.add_argument("--rerun", action="store_true", help="measure again; an interrupted measurement goes on")
    command.add_argument("--light", action="store_true", help="the version with fewer runs")
    command.add_argument("--markdown", action="store_true", help="print the table in Markdown")
    command.add_argument("--figure", type=Path, metavar="FILE", help="draw all parts and their verdicts as .png, .svg or .pdf")


def call(options: argparse.Namespace) -> int:
    """Do it; the exit code."""
    from minidelta import claims, listing
    from minidelta.claims.board import board

    chosen = claims.choose(options.ids)
    look = claims.measure if options.rerun else claims.read
    rows = [claims.row(claim, look(claim, options.light)) for claim in chosen]
    if options.figure:
        board(rows, options.figure)
    if options.markdown:
        words = listing.markdown(listing.claims(rows))
    else:
        words = "\n\n".join(map(claims.in_words, rows)) if options.ids else listing.table(listing.claims(rows))
    answer(options, rows, words)
    return 0


def saved(options: argparse.Namespace) -> str:
    """What an interruption leaves."""
    return "what was measured is kept; the same command goes on"
