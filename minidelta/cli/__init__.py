"""The command `minidelta`: a thin door.  Every command prints plain words, or one JSON value with --json.

    doctor lab lists run predict pretrain plan bench claims grade release    one file for each: what it does, its words, its examples
    words                                                              what they share

Errors that a user can cause go to standard error in one line, with exit code 2; an interruption exits with 130.
Torch is imported only by the commands that compute, so that `--help` answers at once.
"""

import argparse
import os
import sys
from collections.abc import Sequence

import minidelta
from minidelta.cli import bench, claims, doctor, grade, lab, lists, plan, predict, pretrain, release, run
from minidelta.cli.words import Parser
from minidelta.errors import MinideltaError

COMMANDS = {"doctor": doctor, "lab": lab, "list": lists, "run": run, "predict": predict, "pretrain": pretrain, "plan": plan, "bench": bench, "claims": claims, "grade": grade, "release": release}
EXAMPLES = """examples:
  minidelta doctor
  minidelta lab
  minidelta run --model bert-micro --task sentiment --method lora
  minidelta run --model bert-micro --task reviews.jsonl --method full --out runs/reviews
  minidelta predict --run runs/reviews "a fine film"
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command.

    Args:
        arguments: the words after `minidelta`; default those of the process.
    Returns: the exit code: 0 well, 1 `doctor` found something wrong, 2 a mistake to mend, 130 interrupted.
    """
    if hasattr(sys.stdout, "reconfigure"):
        sys.stdout.reconfigure(errors="backslashreplace")  # a terminal that cannot show a letter shows its number
    options = parser().parse_args(arguments)
    try:
        return options.command(options)
    except MinideltaError as error:
        print(f"minidelta: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print(f"\nminidelta: interrupted; {options.saved(options)}", file=sys.stderr)
        return 130
    except BrokenPipeError:  # the reader of our output (head, less) had enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except OSError as problem:  # a full disk, a folder that may not be read: what no one closer to it has put into words
        print(f"minidelta: {problem.strerror or problem}{f': {problem.filename}' if problem.filename else ''}", file=sys.stderr)
        return 2


def parser() -> Parser:
    """All commands with their words."""
    style = argparse.RawDescriptionHelpFormatter
    top = Parser(prog="minidelta", description="Adapt pre-trained language models: fine-tuning, prompts, delta tuning.", epilog=EXAMPLES, formatter_class=style)
    top.add_argument("--version", action="version", version=f"minidelta {minidelta.__version__}")
    commands = top.add_subparsers(title="commands", required=True, metavar="COMMAND")
    for name, module in COMMANDS.items():
        command = commands.add_parser(name, help=module.HELP, description=module.HELP[0].upper() + module.HELP[1:] + ".", epilog=module.EXAMPLES, formatter_class=style)
        command.set_defaults(command=module.call, saved=getattr(module, "saved", lambda options: "nothing was changed"))
        if name != "lab":
            command.add_argument("--json", action="store_true", help="print one JSON value and nothing else on standard output")
        if hasattr(module, "arguments"):
            module.arguments(command)
    return top
