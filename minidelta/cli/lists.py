"""`minidelta list`: what there is."""

import argparse

from minidelta.cli.words import answer
from minidelta.errors import ConfigError

HELP = "list what there is"
EXAMPLES = "examples:\n  minidelta list models\n  minidelta list tasks --baselines --json\n"
LISTS = ("models", "tasks", "methods", "templates", "claims", "exercises")


def arguments(command: argparse.ArgumentParser) -> None:
    """The words it understands."""
    command.add_argument("what", choices=LISTS, metavar="WHAT", help=" | ".join(LISTS))
    command.add_argument("--baselines", action="store_true", help="with tasks: also what the most common answer and a bag of words reach")


def call(options: argparse.Namespace) -> int:
    """Do it; the exit code."""
    from minidelta import listing

    if options.baselines and options.what != "tasks":
        raise ConfigError(f"--baselines belongs to `list tasks`, not to `list {options.what}`")
    rows = listing.tasks(options.baselines) if options.what == "tasks" else getattr(listing, options.what)()
    answer(options, rows, listing.table(rows) if rows else f"no {options.what} yet")
    return 0
