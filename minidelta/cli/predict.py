"""`minidelta predict`: label texts with what `run --out` kept."""

import argparse
import sys
from pathlib import Path

from minidelta.cli.words import answer
from minidelta.errors import ConfigError

HELP = "label texts with a model that `run --out` kept"
EXAMPLES = """examples:
  minidelta predict --run runs/reviews "a fine film"
  minidelta predict --run runs/pairs "It rains." --text-b "The sun shines."
  minidelta predict --run runs/reviews --file new.jsonl --json
  cat lines.txt | minidelta predict --run runs/reviews
"""


def arguments(command: argparse.ArgumentParser) -> None:
    """The words it understands."""
    command.add_argument("--run", required=True, type=Path, metavar="DIR", help="the folder of the run")
    command.add_argument("text", nargs="?", help="one text; without it, --file or one text a line from standard input")
    command.add_argument("--text-b", help="the second text of a pair, or the question about a passage")
    command.add_argument("--choices", nargs="+", metavar="C", help="what to choose from, for a choice task")
    command.add_argument("--file", type=Path, help="a .jsonl, .csv or .tsv file with `text`, or a text file with one text a line")


def call(options: argparse.Namespace) -> int:
    """Do it; the exit code."""
    from minidelta import predict

    if options.text is not None and options.file:
        raise ConfigError("both a text and --file were given; give one of them")
    if options.text is None and not options.file and sys.stdin.isatty():
        raise ConfigError('no text was given; write it after the run, "like this", or use --file, or a pipe')
    examples, skipped = predict.texts(options.text, options.text_b, options.file, sys.stdin, predict.kept_columns(options.run))
    for line in skipped:
        print(f"left out: {line}", file=sys.stderr)
    answers = predict.predict(options.run, examples, options.choices)
    answer(options, answers[0] if options.text is not None else answers, "\n".join(map(predict.sentence, answers)))
    return 0
