"""The house has floors: imports only go down, nothing goes in circles, and what is used is declared."""

import ast
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "minidelta"

# From the ground up.  A module may import its own floor (without circles) and every floor below it.
FLOORS = [
    {"errors", "progress"},
    {"model"},
    {"hub"},
    {"world"},
    {"data"},
    {"history", "parallel", "train", "evaluate", "learner", "pretrain", "costs", "plots"},
    {"finetune", "prompt", "delta"},
    {"bench", "cli", "doctor", "listing", "plan", "predict", "run", "claims", "grading"},
    {"__init__", "__main__"},
]
FLOOR = {room: height for height, rooms in enumerate(FLOORS) for room in rooms}

# What stands apart though the floors would allow it.
APART = {"world": {"model", "hub"}, "finetune": {"prompt", "delta"}, "prompt": {"finetune", "delta"}, "delta": {"finetune", "prompt"}}
ALLOWED = {("prompt.soft", "delta.base")}  # a soft prompt is a delta built from a template

# Packages that arrive with a declared one, and are imported by name here and there.
COMPANIONS = {
    "numpy": "transformers", "tqdm": "transformers", "tokenizers": "transformers", "safetensors": "transformers",
    "huggingface_hub": "transformers", "httpx": "transformers", "nbformat": "nbval", "nbclient": "nbval", "nbconvert": "jupyterlab", "pandas": "datasets",
}

EXTRAS = {"bench.contests": {"peft"}}  # imported only where it is installed


def modules() -> dict[str, Path]:
    """Every module of the library by its dotted name below the package (a package by its folder's name)."""
    found = {}
    for path in sorted(PACKAGE.rglob("*.py")):
        parts = path.relative_to(PACKAGE).with_suffix("").parts
        name = ".".join(parts[:-1] if parts[-1] == "__init__" and len(parts) > 1 else parts)
        found[name] = path
    return found


def imports(source: str, name: str, is_package: bool, hints: bool = True) -> list[str]:
    """Dotted names that `source` imports, wherever the statement stands; relative ones made absolute.

    `hints` counts what is imported for type hints alone (under `if TYPE_CHECKING`).  `import minidelta` counts as
    what is then taken from it (`minidelta.load_task`); its version is free for all.
    """
    here = ["minidelta", *([] if name == "__init__" else name.split("."))]
    found = []
    for node in _nodes(ast.parse(source), hints):
        if isinstance(node, ast.Import):
            found += [alias.name for alias in node.names if alias.name != "minidelta"]
        elif isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "minidelta":
            found += [f"minidelta.{node.attr}"] if node.attr != "__version__" else []
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                anchor = here[: len(here) - node.level + (is_package or name == "__init__")]
                base = ".".join(anchor + ([node.module] if node.module else []))
            found += [f"{base}.{alias.name}" for alias in node.names]
    return found


def _nodes(tree: ast.AST, hints: bool) -> Iterator[ast.AST]:
    yield tree
    for child in ast.iter_child_nodes(tree):
        if hints or not (isinstance(child, ast.If) and ast.unparse(child.test).endswith("TYPE_CHECKING")):
            yield from _nodes(child, hints)


def inside(target: str, known: dict[str, Path]) -> str | None:
    """The module of the library that a dotted import lands in, or None for a package from outside."""
    if target.split(".")[0] != "minidelta":
        return None
    parts = target.split(".")[1:]
    while parts and ".".join(parts) not in known:
        parts.pop()  # `from minidelta.errors import DataError` lands in `errors`
    return ".".join(parts) or "__init__"


def links(known: dict[str, Path], hints: bool = True) -> dict[str, set[str]]:
    """Module -> modules of the library that it imports."""
    graph = {}
    for name, path in known.items():
        targets = {inside(target, known) for target in imports(path.read_text(encoding="utf-8"), name, path.name == "__init__.py", hints)}
        graph[name] = targets - {None, name}
    return graph


def wrong_links(graph: dict[str, set[str]]) -> list[str]:
    """Sentences about imports that climb, or that reach into a room that stands apart."""
    wrong = []
    for name, targets in graph.items():
        room = name.split(".")[0]
        for target in sorted(targets):
            other = target.split(".")[0]
            if FLOOR[other] > FLOOR[room]:
                wrong.append(f"{name} imports {target}, which stands above it")
            elif other in APART.get(room, set()) and (name, target) not in ALLOWED:
                wrong.append(f"{name} imports {target}; {room}/ and {other}/ stand apart")
    return wrong


def circle(graph: dict[str, set[str]]) -> list[str]:
    """One circle of imports as a list of modules, or an empty list."""
    done: set[str] = set()

    def walk(name: str, trail: list[str]) -> list[str]:
        if name in trail:
            return [*trail[trail.index(name):], name]
        if name in done:
            return []
        for target in sorted(graph.get(name, ())):
            if found := walk(target, [*trail, name]):
                return found
        done.add(name)
        return []

    return next((found for name in sorted(graph) if (found := walk(name, []))), [])


def declared() -> set[str]:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    return {requirement.split("==")[0] for requirement in project["dependencies"]}


def outside(known: dict[str, Path]) -> dict[str, set[str]]:
    """Module -> packages from outside Python and the library that it imports."""
    found = {}
    for name, path in known.items():
        tops = {target.split(".")[0] for target in imports(path.read_text(encoding="utf-8"), name, path.name == "__init__.py")}
        found[name] = tops - set(sys.stdlib_module_names) - {"minidelta"}
    return found


def test_every_room_has_a_floor():
    homeless = {name.split(".")[0] for name in modules()} - set(FLOOR)
    assert not homeless, f"give {sorted(homeless)} a floor in FLOORS, and in the README's map"


def test_imports_only_go_down():
    assert wrong_links(links(modules())) == []


def test_imports_make_no_circle():
    assert circle(links(modules(), hints=False)) == []


def test_outside_packages_are_declared():
    allowed = declared() | {name for name, bringer in COMPANIONS.items() if bringer in declared()}
    stray = {name: packages - allowed - EXTRAS.get(name, set()) for name, packages in outside(modules()).items()}
    stray = {name: packages for name, packages in stray.items() if packages}
    assert not stray, f"{stray}: declare it in pyproject.toml, with its reason in the README"


@pytest.mark.parametrize(("room", "packages"), [("model", {"torch"}), ("world", set()), ("errors", set()), ("progress", {"tqdm"})])
def test_ground_floors_know_little(room, packages):
    for name, used in outside(modules()).items():
        if name.split(".")[0] == room:
            assert used <= packages, f"{name} imports {sorted(used - packages)}"


def test_this_test_can_fail():
    """A climbing import, a visit between rooms and a circle are all seen, also in relative and local form."""
    known = {"model": PACKAGE, "model.site": PACKAGE, "data.tasks": PACKAGE, "prompt.soft": PACKAGE, "delta.base": PACKAGE, "delta.lora": PACKAGE}
    graph = {
        "model.site": {inside(name, known) for name in imports("def f():\n    from minidelta.data.tasks import load_task", "model.site", False)},
        "data.tasks": {inside(name, known) for name in imports("from ..model.site import Site", "data.tasks", False)},
        "prompt.soft": {"delta.base", "delta.lora"},
    }
    assert graph["model.site"] == {"data.tasks"} and graph["data.tasks"] == {"model.site"}
    assert wrong_links(graph) == [
        "model.site imports data.tasks, which stands above it",
        "prompt.soft imports delta.lora; prompt/ and delta/ stand apart",
    ]
    assert circle(graph) == ["data.tasks", "model.site", "data.tasks"]
