"""Exercises that grade themselves: `check` in the notebook, `minidelta grade` in the terminal.

The order to read: spec.py (what a task is), notebook.py (what a submission is), child.py (where foreign code runs),
key.py (what is right, computed from the solution), grade.py (points), check.py (the same in the notebook), release.py
(the exercise made of the solution).
"""

from minidelta.grading.check import check

__all__ = ["check"]
