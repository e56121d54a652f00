"""`minidelta grade`: points and reasons for one notebook, or for a class."""

import argparse
from pathlib import Path

from minidelta.cli.words import answer
from minidelta.errors import ConfigError

HELP = "grade exercises: one notebook, or those of a class"
EXAMPLES = """examples:
  minidelta grade 11                              your exercises/11_adapters.ipynb
  minidelta grade 11 --task rung                  one of its exercises
  minidelta grade my-11.ipynb --exercise 11       a notebook under another name
  minidelta grade --class submissions --csv grades.csv
  minidelta grade 11 --class submissions --json
  minidelta grade 11 --gradescope results.json

Of several definitions the one in the exercise's own cell counts, unless that is left undone.
A class is a folder with a folder (or a notebook) for each student.  Learners' code runs in processes of its own with
limits and without the answers; the last line says which fences stood.  They deter and detect, and are no sandbox for an exam.
"""


def arguments(command: argparse.ArgumentParser) -> None:
    """The words it understands."""
    command.add_argument("what", nargs="?", metavar="WHAT", help="a number or name of the exercises, or a notebook file")
    command.add_argument("--class", dest="group", type=Path, metavar="FOLDER", help="grade every notebook in a folder of submissions")
    command.add_argument("--exercise", metavar="N", help="which exercises a notebook answers, where its name does not say so")
    command.add_argument("--task", metavar="NAME", help="only this exercise of the notebook")
    command.add_argument("--csv", type=Path, metavar="FILE", help="write a line for each notebook")
    command.add_argument("--gradescope", type=Path, metavar="FILE", help="write the results.json that Gradescope reads")
    command.add_argument("--seed", metavar="S", help="of the hidden inputs (default: drawn anew; the same for all of a class)")
    command.add_argument("--public", action="store_true", help="only the public tests")
    command.add_argument("--require-all", action="store_true", help="exit with 1 if a point is lost")


def call(options: argparse.Namespace) -> int:
    """Do it; the exit code."""
    from minidelta.grading import grade

    if not options.what and not options.group:
        raise ConfigError("nothing was given to grade; say which, such as `minidelta grade 11`, or --class FOLDER")
    if options.gradescope and options.group:
        raise ConfigError("--gradescope writes the result of one notebook; with --class use --csv or --json")
    files = grade.class_files(options.group, options.exercise or options.what) if options.group else [grade.one_file(options.what, options.exercise)]
    results = grade.grade_files(files, seed=options.seed, public=options.public, task=options.task)
    if options.csv:
        grade.write(options.csv, grade.as_csv(results))
    if options.gradescope:
        grade.write(options.gradescope, grade.as_gradescope(results[0]))
    words = grade.class_table(results) if options.group else grade.in_table(results[0])
    answer(options, [result.as_json() for result in results] if options.group else results[0].as_json(), words)
    return 1 if options.require_all and any(result.points < result.of for result in results) else 0
