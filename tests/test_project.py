"""The project's own papers: one set of versions, a whole licence, and no words that belong to one machine only."""

import re
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
WRITTEN = [".py", ".md", ".toml", ".yml", ".ipynb", ".json", ".svg", ".txt"]

# Absolute places of one person's machine.  (Written in pieces, so that this file does not find itself.)
PLACES = re.compile("|".join([r"/ho" + r"me/\w", r"/Us" + r"ers/\w", r"/ro" + r"ot/", r"/wo" + r"rk/", r"[A-Z]:\\\\Us" + "ers"]))


def written_files() -> list[Path]:
    skip = {".git", ".venv", "build", "dist", "runs", "checkpoints"}
    files = [path for path in ROOT.rglob("*") if path.suffix in WRITTEN and path.is_file()]
    files = [path for path in files if not skip & set(path.relative_to(ROOT).parts) and ".egg-info" not in str(path)]
    return sorted(files) + [ROOT / ".ci" / "run"]


def test_environment_has_the_versions_of_pyproject():
    lines = [line.strip() for line in (ROOT / "environment.yml").read_text(encoding="utf-8").splitlines()]
    pins = [line.removeprefix("- ") for line in lines if "==" in line]
    assert pins == PYPROJECT["project"]["dependencies"]
    assert "- --editable ." in lines, "the environment installs this project last"
    python = next(line for line in lines if line.startswith("- python="))
    assert python == "- python=" + PYPROJECT["project"]["requires-python"].removeprefix(">=")


def test_every_version_is_pinned():
    project = PYPROJECT["project"]
    for requirement in project["dependencies"] + sum(project["optional-dependencies"].values(), []):
        assert re.fullmatch(r"[a-z_-]+==\d+(\.\d+)+", requirement), requirement


def test_version_is_told_once():
    import minidelta

    assert minidelta.__version__ == PYPROJECT["project"]["version"]


def test_licence_is_whole():
    text = (ROOT / "LICENSE").read_text(encoding="utf-8")
    assert "Apache License" in text and "END OF TERMS AND CONDITIONS" in text and len(text.splitlines()) >= 200


@pytest.mark.parametrize("path", written_files(), ids=lambda path: str(path.relative_to(ROOT)))
def test_no_place_of_one_machine(path):
    found = PLACES.search(path.read_text(encoding="utf-8"))
    assert not found, f"{path.name} names {found.group()!r}, which exists on one machine only"


def test_the_search_for_places_finds_them():
    assert PLACES.search("see /ho" + "me/anna/data") and not PLACES.search("see ./data, framework/, and homework")
