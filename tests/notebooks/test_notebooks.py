"""Every notebook keeps the form that a reader of the course relies on.

Nothing is executed here: running the cells and comparing their promises is nbval's work.  Each rule is a function that
takes a notebook and yields complaints; the last test spoils a good notebook in one way for each rule, to show that no
rule is deaf.
"""

import ast
import base64
import copy
import re
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path

import nbformat
import pytest
from nbformat import NotebookNode

from minidelta.hub import embedded_models
from minidelta.world import TASKS

FOLDER = Path(__file__).parents[2] / "notebooks"
PATHS = sorted(FOLDER.glob("*.ipynb"))
PROMISE = "nbval-check-output"
FEWEST, MOST = 25, 45  # cells
LONGEST = 20  # lines of a code cell, blank ones not counted; the first cell, with the imports, is free
HEAVIEST = 100_000  # bytes of a figure
ENDING = ["## Summary · 小结", "## Exercises · 练习", "## Reading · 阅读"]
HOSTS = r"https://(arxiv\.org/abs/\d{4}\.\d{4,5}|aclanthology\.org/[\w./-]+|github\.com/thunlp/(PromptPapers|DeltaPapers|OpenPrompt|OpenDelta))"
CHINESE, LATIN = r"[\u4e00-\u9fff]", r"[A-Za-z]"

# What changes from run to run or from computer to computer, and so has no place in a stored output.
VOLATILE = {
    "a place of one computer": r"(?<![\w.])/(ho" r"me|ro" r"ot|wo" r"rk|tmp|usr|opt|var|Users)/|[A-Z]:\\",
    "a memory address": r"\b0x[0-9a-f]{6,}",
    "a duration": r"\b\d[\d.]*\s?(ms|s|sec|seconds|minutes|min)\b(?!/)",
    "a date or a time of day": r"\b20\d\d-\d\d-\d\d\b|\b\d\d:\d\d:\d\d\b",
    "a progress bar": r"\d+%\||\bit/s\b",
}


def headings(notebook: NotebookNode) -> list[str]:
    """The lines that begin with `## `, outside of code fences."""
    texts = (re.sub(r"```.*?```", "", cell.source, flags=re.DOTALL) for cell in notebook.cells if cell.cell_type == "markdown")
    return [line for text in texts for line in text.splitlines() if line.startswith("## ")]


def code_cells(notebook: NotebookNode) -> list[NotebookNode]:
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def printed(cell: NotebookNode) -> str:
    """All text that a cell shows: streams, and the textual forms of what it displays."""
    texts = [output.get("text", "") for output in cell.outputs]
    texts += [value for output in cell.outputs for kind, value in output.get("data", {}).items() if kind in ("text/plain", "text/html")]
    return "\n".join(texts)


def is_promise(cell: NotebookNode) -> bool:
    return PROMISE in cell.metadata.get("tags", [])


def section(notebook: NotebookNode, heading: str) -> str:
    """The text under a heading, up to the next one or the end of its cell."""
    whole = next((cell.source for cell in notebook.cells if heading in cell.source.splitlines()), "")
    return re.split(r"^## ", whole.partition(heading)[2], flags=re.MULTILINE)[0]


# -- the rules -----------------------------------------------------------------------------------------------


def opening(notebook: NotebookNode, name: str) -> Iterator[str]:
    """Title in two languages with the file's number; goals, time, prerequisites."""
    first = notebook.cells[0].source
    title = re.match(rf"# {re.escape(name[:2])} · [^·\n]*{LATIN}[^·\n]* · [^·\n]*{CHINESE}", first)
    if notebook.cells[0].cell_type != "markdown" or not title:
        yield f"begin with `# {name[:2]} · English title · 中文标题`"
    goals = re.split(r"\n\*\*|\n#", first.partition("Goals")[2].partition("\n")[2])[0]
    if not 3 <= len(re.findall(r"^- ", goals, flags=re.MULTILINE)) <= 5:
        yield "list three to five goals under a line that says Goals"
    if not all(re.search(word, first) for word in ("Time", "CPU", "GPU", "Prerequisites")):
        yield "say Time (on CPU and GPU) and Prerequisites in the first cell"


def setup(notebook: NotebookNode, name: str) -> Iterator[str]:
    """The first code cell: imports, model, task and device from outside with embedded defaults, one seed, figures."""
    source = code_cells(notebook)[0].source
    for needed in ("import minidelta", "MINIDELTA_MODEL", "MINIDELTA_TASK", "from minidelta.hub.device import device", "rcParams"):
        if needed not in source:
            yield f"the first code cell lacks {needed!r}"
    if len(re.findall(r"^SEED = \d+", source, flags=re.MULTILINE)) != 1:
        yield "the first code cell sets one SEED"
    defaults = dict(re.findall(r'"MINIDELTA_(MODEL|TASK)", "([\w-]+)"', source))
    if defaults.get("MODEL") not in embedded_models() or defaults.get("TASK") not in TASKS:
        yield f"the defaults {defaults} are not an embedded model and a built-in task"


def two_languages(notebook: NotebookNode, name: str) -> Iterator[str]:
    """Each `##` heading in English and Chinese."""
    for heading in headings(notebook):
        if not re.fullmatch(rf"## [^·]*{LATIN}[^·]* · [^·]*{CHINESE}[^·]*", heading):
            yield f"{heading!r}: write `## English · 中文`"


def ending(notebook: NotebookNode, name: str) -> Iterator[str]:
    """Summary in both languages, exercises, reading with years."""
    if headings(notebook)[-3:] != ENDING:
        yield f"end with {', '.join(ENDING)}"
        return
    summary, exercises, reading = (section(notebook, heading) for heading in ENDING)
    bullets = re.findall(r"^- .*", summary, flags=re.MULTILINE)
    if sum(bool(re.search(CHINESE, bullet)) for bullet in bullets) < 3 or sum(not re.search(CHINESE, bullet) for bullet in bullets) < 3:
        yield "sum up in at least three English and three Chinese bullets"
    if len(re.findall(r"^(\d+\.|-) ", exercises, flags=re.MULTILINE)) < 3:
        yield "ask at least three questions under Exercises"
    entries = re.findall(r"^- .*", reading, flags=re.MULTILINE)
    if not entries or not all(re.search(r"\((19|20)\d\d\w?\)", entry) for entry in entries):
        yield "give each entry of Reading its authors and its year in brackets"


def size(notebook: NotebookNode, name: str) -> Iterator[str]:
    """Enough cells for a story and few enough for an evening; code that fits the eye; light figures."""
    if not FEWEST <= len(notebook.cells) <= MOST:
        yield f"{len(notebook.cells)} cells; have {FEWEST} to {MOST}"
    for cell in code_cells(notebook)[1:]:
        lines = [line for line in cell.source.splitlines() if line.strip()]
        if len(lines) > LONGEST:
            yield f"{len(lines)} lines in the cell that begins {lines[0]!r}; have at most {LONGEST}"
    for cell in code_cells(notebook):
        for output in cell.outputs:
            picture = output.get("data", {}).get("image/png", "")
            if len(base64.b64decode(picture)) > HEAVIEST:
                yield f"cell {cell.id} stores a picture of more than {HEAVIEST:,} bytes"


def stored(notebook: NotebookNode, name: str) -> Iterator[str]:
    """Executed once from top to bottom and stored without errors, warnings, or what belongs to one computer."""
    if [cell.execution_count for cell in code_cells(notebook)] != list(range(1, len(code_cells(notebook)) + 1)):
        yield "the cells were not run once, in order: python tests/notebooks/refresh.py"
    for cell in code_cells(notebook):
        if any(output.output_type == "error" or output.get("name") == "stderr" for output in cell.outputs):
            yield f"cell {cell.id} stores an error or a warning"
        for what, pattern in VOLATILE.items():
            if found := re.search(pattern, printed(cell)):
                yield f"cell {cell.id} stores {what}: {found.group()!r}"
        if any(before.output_type == after.output_type == "stream" for before, after in pairwise(cell.outputs)):
            yield f"cell {cell.id} stores its output in pieces: python tests/notebooks/refresh.py"


def metadata(notebook: NotebookNode, name: str) -> Iterator[str]:
    """Format 4.5 with cell ids, kernel python3, and nothing that a refresh would change."""
    if (notebook.nbformat, notebook.nbformat_minor) != (4, 5):
        yield f"the format is {notebook.nbformat}.{notebook.nbformat_minor}; save it as 4.5"
    ids = [cell.get("id") for cell in notebook.cells]  # looked at before `validate`, which mends them silently
    if None in ids or len(set(ids)) < len(ids):
        yield "each cell has an id of its own"
    if notebook.metadata.get("kernelspec", {}).get("name") != "python3":
        yield "name the kernel python3"
    surplus = {key for cell in notebook.cells for key in cell.metadata} - {"tags"} | set(notebook.metadata) - {"kernelspec", "language_info"}
    if surplus or set(notebook.metadata.get("language_info", {})) - {"name"}:
        yield f"metadata that changes from run to run ({', '.join(sorted(surplus)) or 'versions'}): python tests/notebooks/refresh.py"
    if not nbformat.validator.isvalid(copy.deepcopy(notebook)):
        yield "this is no valid notebook"


def promises(notebook: NotebookNode, name: str) -> Iterator[str]:
    """Some outputs are promised; each promise can be compared; figures and ranges are asserted."""
    if not any(map(is_promise, code_cells(notebook))):
        yield f"no cell carries the tag {PROMISE}"
    for cell in filter(is_promise, code_cells(notebook)):
        if not printed(cell).strip():
            yield f"cell {cell.id} promises an output and has none"
        if cell.source.rstrip().endswith(";"):
            yield f"cell {cell.id} promises an output and ends in `;`"
        if any("image/png" in output.get("data", {}) for output in cell.outputs):
            yield f"cell {cell.id} promises a picture, which nobody compares: assert on its numbers instead"
    trees = [ast.parse(cell.source) for cell in code_cells(notebook)]
    if sum(isinstance(node, ast.Assert) for tree in trees for node in ast.walk(tree)) < 3:
        yield "assert what matters, as ranges"


def offline(notebook: NotebookNode, name: str) -> Iterator[str]:
    """Code needs no network and no shell; links lead to papers, to the lecture's repositories, or to files that exist."""
    for cell in code_cells(notebook):
        if re.search(r"https?://|^\s*[!%]", cell.source, flags=re.MULTILINE):
            yield f"cell {cell.id} reaches out of Python: {cell.source.splitlines()[0]!r}"
    text = "\n".join(cell.source for cell in notebook.cells if cell.cell_type == "markdown")
    for link in re.findall(r"https?://[^\s)>\]]+", text):
        if not re.fullmatch(HOSTS, link.rstrip(".,;:")):
            yield f"the link {link} leads to none of the hosts that the course relies on"
    for target in re.findall(r"\]\((?!https?:)([^)#\s]+)", text):
        if not (FOLDER / target).exists():
            yield f"the link to {target} leads nowhere"


RULES: list[Callable[[NotebookNode, str], Iterator[str]]] = [opening, setup, two_languages, ending, size, stored, metadata, promises, offline]


@pytest.fixture(scope="module")
def read() -> Callable[[Path], NotebookNode]:
    """Each file is parsed once."""
    seen: dict[Path, NotebookNode] = {}
    return lambda path: seen.setdefault(path, nbformat.read(path, as_version=4)) if path not in seen else seen[path]


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.__name__)
@pytest.mark.parametrize("path", PATHS, ids=lambda path: path.stem)
def test_notebook(path, rule, read):
    complaints = list(rule(read(path), path.name))
    assert not complaints, "\n".join([path.name, *complaints])


def test_numbers_are_given_once():
    assert PATHS and len({path.name[:2] for path in PATHS}) == len(PATHS)
    assert all(re.fullmatch(r"[01]\d_[a-z0-9_]+\.ipynb", path.name) for path in PATHS)


# -- no rule is deaf -----------------------------------------------------------------------------------------


def swap(old: str, new: str, where: int | None = None) -> Callable[[NotebookNode], None]:
    """Replace words in the first cell (or the one at `where`) that holds them."""

    def spoil(notebook: NotebookNode) -> None:
        cells = notebook.cells if where is None else [notebook.cells[where]]
        cell = next(cell for cell in cells if old in cell.source)
        cell.source = cell.source.replace(old, new)

    return spoil


def on_code(change: Callable[[NotebookNode], object], which: int = 1) -> Callable[[NotebookNode], None]:
    return lambda notebook: change(code_cells(notebook)[which])


def on_promise(change: Callable[[NotebookNode], object]) -> Callable[[NotebookNode], None]:
    return lambda notebook: change(next(filter(is_promise, code_cells(notebook))))


def says(text: str, name: str = "stdout") -> Callable[[NotebookNode], object]:
    return lambda cell: cell.outputs.append(nbformat.v4.new_output("stream", name=name, text=text))


def without(text: str) -> Callable[[NotebookNode], None]:
    """Take a heading's cell out."""
    return lambda notebook: notebook.cells.remove(next(cell for cell in notebook.cells if cell.source.startswith(text)))


def no_asserts(notebook: NotebookNode) -> None:
    for cell in code_cells(notebook):
        cell.source = re.sub(r"\bassert\b", "0,", cell.source)


def no_promises(notebook: NotebookNode) -> None:
    for cell in code_cells(notebook):
        cell.metadata.pop("tags", None)


SPOILED = {
    "another number": (opening, swap("# 00", "# 07")),
    "no Chinese title": (opening, swap(" · 课程地图与环境", "")),
    "no goals": (opening, swap("Goals", "Hopes")),
    "no time": (opening, swap("GPU", "machine", where=0)),
    "no seed": (setup, swap("SEED = 0", "")),
    "a foreign default": (setup, swap('"bert-nano")', '"bert-base-uncased")')),
    "a device of its own": (setup, swap("from minidelta.hub.device import device", "device = lambda: 'cuda'")),
    "an English heading": (two_languages, swap("## A small world · 内置的小世界", "## A small world")),
    "no exercises": (ending, without("## Exercises")),
    "no Chinese summary": (ending, lambda notebook: swap(section(notebook, ENDING[0]), "\n- one\n- two\n- three\n")(notebook)),
    "a paper without a year": (ending, swap("Chen (2021), *", "Chen, *")),
    "too few cells": (size, lambda notebook: notebook.cells.__delitem__(slice(3, None))),
    "a long cell": (size, on_code(lambda cell: cell.update(source=cell.source + "\nx = 1" * 20))),
    "a heavy figure": (size, on_code(lambda cell: cell.outputs.append(nbformat.v4.new_output("display_data", data={"image/png": base64.b64encode(bytes(HEAVIEST + 1)).decode()})))),
    "not run": (stored, on_code(lambda cell: cell.update(execution_count=None))),
    "an error": (stored, on_code(lambda cell: cell.outputs.append(nbformat.v4.new_output("error", ename="E", evalue="", traceback=[])))),
    "a warning": (stored, on_code(says("careful", "stderr"))),
    "an absolute path": (stored, on_code(says("see /tm" "p/abc/model\n"))),
    "an address": (stored, on_code(says("<object at 0x7f3a2c1d9e50>"))),
    "a duration": (stored, on_code(says("trained in 12.3 s"))),
    "a date": (stored, on_code(says("2031-02-03 04:05:06"))),
    "a progress bar": (stored, on_code(says(" 45%|####    | 9/20"))),
    "output in pieces": (stored, on_code(lambda cell: (says("a")(cell), says("b")(cell)))),
    "an old format": (metadata, lambda notebook: notebook.update(nbformat_minor=4)),
    "an id twice": (metadata, lambda notebook: notebook.cells[1].update(id=notebook.cells[2].id)),
    "another kernel": (metadata, lambda notebook: notebook.metadata.kernelspec.update(name="my-env")),
    "time stamps": (metadata, on_code(lambda cell: cell.metadata.update(execution={}))),
    "a version of Python": (metadata, lambda notebook: notebook.metadata.language_info.update(version="3.11.7")),
    "no promise": (promises, no_promises),
    "an empty promise": (promises, on_promise(lambda cell: cell.update(outputs=[]))),
    "a muted promise": (promises, on_promise(lambda cell: cell.update(source=cell.source + ";"))),
    "a promised picture": (promises, on_promise(lambda cell: cell.outputs.append(nbformat.v4.new_output("display_data", data={"image/png": ""})))),
    "nothing asserted": (promises, no_asserts),
    "a download": (offline, on_code(lambda cell: cell.update(source="url = 'http" "s://example.org/data'"))),
    "a shell": (offline, on_code(lambda cell: cell.update(source="!pip install x"))),
    "a blog": (offline, swap("https://arxiv.org/abs/2107.13586", "https://blog.example.org/prompts")),
    "a dead link": (offline, swap("**Prerequisites", "See [here](gone.ipynb). **Prerequisites")),
}


@pytest.mark.parametrize("what", SPOILED)
def test_each_rule_can_fail(what, read):
    rule, spoil = SPOILED[what]
    notebook = copy.deepcopy(read(FOLDER / "00_course_map.ipynb"))
    before = list(rule(notebook, "00_course_map.ipynb"))
    spoil(notebook)
    after = list(rule(notebook, "00_course_map.ipynb"))
    assert len(after) > len(before), f"{rule.__name__} does not notice {what}"
