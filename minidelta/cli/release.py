"""`minidelta release`: exercises from solutions, and a copy of the course for a class."""

import argparse
from pathlib import Path

from minidelta.cli.words import answer
from minidelta.errors import ConfigError

HELP = "make the exercises of the solutions, or copy the course for a class"
EXAMPLES = """examples:
  minidelta release                               make exercises/ of solutions/ again
  minidelta release --check                       only compare; exit code 1 if something differs
  minidelta release class-2027                    copy the course for a class, solutions included
  minidelta release class-2027 --without-solutions
"""


def arguments(command: argparse.ArgumentParser) -> None:
    """The words it understands."""
    command.add_argument("dest", nargs="?", type=Path, metavar="DEST", help="copy the course into this new folder")
    command.add_argument("--without-solutions", dest="solutions", action="store_false", help="leave out solutions, hidden tests and wrong answers")
    command.add_argument("--check", action="store_true", help="only compare; exit with 1 if an exercise is not as its solution makes it")


def call(options: argparse.Namespace) -> int:
    """Do it; the exit code."""
    from minidelta.grading import release

    if options.dest is not None:
        if options.check:
            raise ConfigError("--check compares the exercises here; leave out the folder")
        count = release.hand_out(options.dest, options.solutions)
        kept = "with solutions" if options.solutions else "without solutions, hidden tests and wrong answers"
        answer(options, {"folder": str(options.dest), "files": count, "solutions": options.solutions}, f"{count} files in {options.dest}, {kept}")
        return 0
    if not options.solutions:
        raise ConfigError("--without-solutions needs a folder to copy to, such as `minidelta release class-2027 --without-solutions`")
    paths = release.release(options.check)
    verb = "differs from what its solution makes" if options.check else "written"
    answer(options, {"changed": [str(path) for path in paths], "check": options.check}, "\n".join(f"{path}: {verb}" for path in paths) or "every exercise is as its solution makes it")
    return 1 if options.check and paths else 0
