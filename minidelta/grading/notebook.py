"""Notebooks as the grader sees them: cells, what they define, and the code that one exercise needs.

Students split, move and copy cells, so nothing depends on a position or a cell id.  An exercise is found by its name: in a
cell that carries the tag `exercise`, else in any; the last copy that is no stub counts.  Along come the imports, functions,
classes and constants that it uses, and nothing else: plots and calls of `check` are not executed.
"""

import ast
import builtins
import json
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from minidelta.errors import DataError

TAG = "exercise"
TEACHER = "teacher"  # cells that stay in the solution
BEGIN, END = "# BEGIN SOLUTION", "# END SOLUTION"
LARGEST = 20 << 20  # bytes of a notebook; a figure or two fit


@dataclass
class Cell:
    """A code cell: its place among all cells (from 1), its source, its tags, its tree (None with a syntax error), the error's words."""

    place: int
    source: str
    tags: list[str]
    tree: ast.Module | None = None
    problem: str = ""


@dataclass
class Found:
    """The code of one exercise, and for each of its lines the cell and the line it came from; or why there is none."""

    code: str = ""
    lines: list[tuple[int, int]] = field(default_factory=list)
    problem: str = ""

    def where(self, line: int | None) -> str:
        """A line of the code as a place in the notebook, with its text."""
        if line is None or not 1 <= line <= len(self.lines):
            return ""
        cell, row = self.lines[line - 1]
        return f"cell {cell}, line {row}: {self.code.splitlines()[line - 1].strip()}"


def read(path: Path) -> list[Cell]:
    """The code cells of a notebook file.

    Raises: DataError if the file is missing, too large, or no notebook.
    """
    try:
        if path.stat().st_size > LARGEST:
            raise DataError(f"{path} has {path.stat().st_size:,} bytes, more than {LARGEST:,}; clear its outputs and save it again")
        words = json.loads(path.read_text(encoding="utf-8-sig"))
        return cells_of(words)
    except OSError as problem:
        raise DataError(f"{path} cannot be read: {problem.strerror}") from None
    except (ValueError, RecursionError):
        raise DataError(f"{path} is no notebook: it does not hold JSON; save it again from JupyterLab") from None
    except (KeyError, TypeError, AttributeError):
        raise DataError(f"{path} is no notebook of format 4: cells are missing or of another form; save it again from JupyterLab") from None


def cells_of(notebook: dict[str, Any]) -> list[Cell]:
    """The code cells of a notebook in memory."""
    found = []
    for place, words in enumerate(notebook["cells"], 1):
        if words["cell_type"] != "code":
            continue
        source = words["source"] if isinstance(words["source"], str) else "".join(words["source"])
        tags = words.get("metadata", {}).get("tags", [])
        found.append(parse(Cell(place, source, tags if isinstance(tags, list) else [])))
    return found


def parse(cell: Cell) -> Cell:
    """Parse a cell; lines that belong to the notebook and not to Python (%magic, !shell, ?help) become empty."""
    for source in (cell.source, re.sub(r"^[ \t]*[%!?].*$|^[^#\n]*\?\??[ \t]*$", "", cell.source, flags=re.MULTILINE)):
        try:
            cell.tree, cell.source, cell.problem = ast.parse(source), source, ""
            return cell
        except SyntaxError as problem:
            text = (problem.text or "").strip()
            cell.problem = cell.problem or f"cell {cell.place}, line {problem.lineno}: {problem.msg}" + (f": {text}" if text else "")
        except (ValueError, RecursionError, MemoryError) as problem:
            cell.problem = f"cell {cell.place}: {problem or 'too deeply nested'}"
            return cell
    return cell


def extract(cells: list[Cell], name: str) -> Found:
    """The code that defines `name`, with all that it uses.

    Args:
        cells: of the submitted notebook.
        name: of a function or class.

    >>> cells = cells_of({"cells": [
    ...     {"cell_type": "code", "source": "import torch", "metadata": {}},
    ...     {"cell_type": "code", "source": "TWO = 2\\ndef double(x):\\n    return TWO * x\\nprint(double(3))", "metadata": {}}]})
    >>> found = extract(cells, "double")
    >>> print(found.code)
    TWO = 2
    def double(x):
        return TWO * x
    >>> found.where(3)
    'cell 2, line 3: return TWO * x'
    >>> extract(cells, "triple").problem
    'there is no `triple` in the notebook'
    """
    bound = bindings(cells)
    target = choose(bound.get(name, []))
    if target is None:
        broken = [cell for cell in cells if cell.tree is None and re.search(rf"^\s*(def|class)\s+{re.escape(name)}\b", cell.source, flags=re.MULTILINE)]
        return Found(problem=broken[-1].problem if broken else f"there is no `{name}` in the notebook")
    chosen: dict[int, tuple[Cell, ast.stmt]] = {}
    _follow(target, bound, chosen)
    stars = [(cell, node) for cell in cells if cell.tree for node in cell.tree.body if isinstance(node, ast.ImportFrom) and node.names[0].name == "*" and not (node.module or "").startswith("minidelta")]
    found = Found()
    rows: list[str] = []
    for cell, node in [*stars, *chosen.values()]:
        first = min([node.lineno, *(item.lineno for item in getattr(node, "decorator_list", []))])
        text = cell.source.splitlines()[first - 1 : node.end_lineno]
        if node.col_offset or (len(text) == 1 and not hasattr(node, "body")):  # one of several statements on a line
            text = (ast.get_source_segment(cell.source, node) or "").splitlines()
        rows += text
        found.lines += [(cell.place, first + row) for row in range(len(text))]
    found.code = "\n".join(rows)
    return found


Bindings = dict[str, list[tuple[Cell, ast.stmt]]]


def bindings(cells: list[Cell]) -> Bindings:
    """Every top-level name of a notebook and the statements that bind it, in order."""
    bound: Bindings = {}
    for cell in cells:
        for node in cell.tree.body if cell.tree else []:
            for name in _names_bound(node):
                bound.setdefault(name, []).append((cell, node))
    return bound


def _names_bound(node: ast.stmt) -> list[str]:
    if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
        return [node.name]
    if isinstance(node, (ast.Import, ast.ImportFrom)):
        return [alias.asname or alias.name.split(".")[0] for alias in node.names]
    if isinstance(node, (ast.Assign, ast.AnnAssign)):
        targets = node.targets if isinstance(node, ast.Assign) else [node.target]
        return [leaf.id for target in targets for leaf in ast.walk(target) if isinstance(leaf, ast.Name)]
    return []


def choose(candidates: list[tuple[Cell, ast.stmt]], home: Cell | None = None) -> tuple[Cell, ast.stmt] | None:
    """The copy that counts: no stub before a stub, the own cell before a tagged one before others, the last of equals."""
    if not candidates:
        return None

    def rank(place: int) -> tuple[bool, bool, bool, int]:
        cell, node = candidates[place]
        return not is_stub(node), cell is home, TAG in cell.tags, place

    return candidates[max(range(len(candidates)), key=rank)]


def is_stub(node: ast.AST) -> bool:
    """Whether a definition still holds the line that was handed out."""
    return any(isinstance(part, ast.Raise) and "NotImplementedError" in ast.dump(part) and "Exercise" in ast.dump(part) for part in ast.walk(node))


def _follow(target: tuple[Cell, ast.stmt], bound: Bindings, chosen: dict[int, tuple[Cell, ast.stmt]], open_: frozenset[int] = frozenset()) -> None:
    """Collect a statement after all that it uses."""
    cell, node = target
    if id(node) in chosen or id(node) in open_:
        return
    for name in sorted(_names_used(node)):
        needed = choose(bound.get(name, []), home=cell)
        if needed and needed[1] is not node:
            _follow(needed, bound, chosen, open_ | {id(node)})
    chosen[id(node)] = target


def _names_used(node: ast.AST) -> set[str]:
    """Names that a statement reads, without those of its annotations (which are never evaluated)."""
    used, todo = set(), [node]
    while todo:
        part = todo.pop()
        if isinstance(part, ast.Name) and isinstance(part.ctx, ast.Load) and not hasattr(builtins, part.id):
            used.add(part.id)
        for name, value in ast.iter_fields(part):
            if name not in ("annotation", "returns"):
                todo += [item for item in (value if isinstance(value, list) else [value]) if isinstance(item, ast.AST)]
    return used
