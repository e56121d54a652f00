"""A class that runs nbgrader uses the solutions as they are (runs only where the command `nbgrader` is installed)."""

import csv
import shutil
import subprocess

import pytest

from minidelta.grading.key import ROOT, exercises, load

pytestmark = pytest.mark.skipif(shutil.which("nbgrader") is None, reason="pip install nbgrader, in this environment or another on the PATH")


@pytest.mark.parametrize("name", exercises())
def test_nbgrader_makes_and_grades_the_assignment(name, tmp_path):
    def nbgrader(command: str) -> None:
        done = subprocess.run(["nbgrader", *command.split()], cwd=tmp_path, capture_output=True, text=True, timeout=300)
        assert done.returncode == 0, done.stderr[-2000:]

    (tmp_path / "nbgrader_config.py").write_text('get_config().CourseDirectory.course_id = "trial"\n')
    file = f"{name}/{name}.ipynb"
    for target in (f"source/{file}", f"submitted/solved/{file}"):
        (tmp_path / target).parent.mkdir(parents=True)
        shutil.copy(ROOT / "solutions" / f"{name}.ipynb", tmp_path / target)
    nbgrader(f"generate_assignment {name}")
    (tmp_path / "submitted" / "empty" / name).mkdir(parents=True)
    shutil.copy(tmp_path / "release" / file, tmp_path / "submitted" / "empty" / file)
    nbgrader(f"autograde {name}")
    nbgrader("export --to grades.csv")
    with (tmp_path / "grades.csv").open() as lines:
        scores = {row["student_id"]: (float(row["score"]), float(row["max_score"])) for row in csv.DictReader(lines)}
    whole = sum(task.points + task.hidden_points for task in load(name).tasks)
    assert scores == {"solved": (whole, whole), "empty": (0, whole)}
