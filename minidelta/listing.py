"""What `minidelta list` shows: rows of plain values, and one way to print them."""

import json
import re
from typing import Any

from minidelta.claims import CLAIMS, read, row
from minidelta.claims.claim import HOLDS
from minidelta.data import load_task
from minidelta.data.baselines import NO_BAG, bag_of_words, majority
from minidelta.delta import METHODS
from minidelta.delta.table import SMALL as SHAPES, stored
from minidelta.evaluate import evaluate
from minidelta.grading import key
from minidelta.hub import checkpoint_folder, embedded_models
from minidelta.prompt.builtin import LABEL_WORDS, TEMPLATES
from minidelta.world import TASKS

Rows = list[dict[str, Any]]


def models() -> Rows:
    """The embedded checkpoints, with what their own records say of them."""
    rows = []
    for name in embedded_models():
        folder = checkpoint_folder(name)
        file, record = folder / "history.json", {}
        if file.is_file():
            record = json.loads(file.read_text(encoding="utf-8"))
        size = sum(part.stat().st_size for part in folder.iterdir()) / 1e6
        held_out = next((point["held_out"] for point in reversed(record.get("curve", [])) if "held_out" in point), None)
        rows.append({"name": name, "parameters": record.get("parameters"), "tokens": record.get("tokens"), "held_out_loss": held_out, "megabytes": round(size, 1)})
    return rows


def tasks(baselines: bool = False) -> Rows:
    """The built-in tasks; with `baselines` also what the two rivals reach on their test parts (a few seconds)."""
    rows = []
    for info in TASKS.values():
        row = {"name": info.name, "kind": info.kind, "classes": len(info.labels) or None, "metric": info.metric, "noise": info.noise}
        if baselines:
            task = load_task(info.name)
            row["majority"] = round(evaluate(majority(task), task.test, task.metric), 3)
            row["bag_of_words"] = None if task.kind in NO_BAG else round(evaluate(bag_of_words(task), task.test, task.metric), 3)
        rows.append(row | {"description": info.description})
    return rows


def methods() -> Rows:
    """Everything that `run --method` takes; of the deltas also what their page says (delta/README.md)."""
    own = {
        "full": "every parameter of the backbone, and a head",
        "head": "a head on the frozen backbone",
        "prompt": "a template and label words: every parameter, a delta, soft tokens alone, or nothing (--tune)",
        "incontext": "nothing: answered examples stand before the question (--shots)",
    }
    about_deltas = dict.fromkeys(("family", "on bert-micro", "rate", "works on", "merges", "peft", "paper"))
    rows = [{"name": name} | about_deltas | {"trains": words} for name, words in own.items()]
    for line in stored():
        method = METHODS[line["method"]]
        shapes = [shape for shape in SHAPES if line[shape] == "yes"]
        rows.append({
            "name": method.name, "family": line["family"], "on bert-micro": int(line["parameters"].replace(",", "")),
            "rate": method.learning_rate, "works on": "all" if len(shapes) == 3 else ", ".join(shapes), "merges": line["merges"], "peft": _type_there(line["to PEFT"]), "paper": method.paper,
            "trains": (method.__doc__ or "").strip().splitlines()[0].rstrip("."),
        })  # fmt: skip
    return rows


def _type_there(cell: str) -> str | None:
    """PEFT's type of a method, and for which shapes there is none.

    >>> _type_there("LOHA (encoder, encoder-decoder); no [7] (decoder)"), _type_there("no")
    ('LOHA, not decoder', None)
    """
    types = {word.split()[0]: re.findall(r"\((.*)\)", word) for word in cell.split("; ")}
    refused = types.pop("no", None)
    return (", not ".join([*types, *(refused or ())])) or None


def templates() -> Rows:
    """The built-in prompt templates, with the label words of their task; `seen`: whether the words stand in pre-training."""
    rows = []
    for task, known in TEMPLATES.items():
        words = "; ".join(f"{label}={','.join(own)}" for label, own in LABEL_WORDS.get(task, {}).items()) or "each example's choices"
        rows += [{"name": template.name, "task": task, "seen": "yes" if template.seen else "no", "template": template.source, "label words": words} for template in known]
    return rows


def claims(rows: Rows | None = None) -> Rows:
    """The recorded claims, short: what was claimed, what came out; `ours` and `interval` are those of the first part."""
    rows = rows if rows is not None else [row(claim, read(claim)) for claim in CLAIMS.values()]
    return [{"name": line["id"], "section": line["section"], "claim": line["claim"], "ours": line["ours"], "interval": _range(line["interval"]), "parts": _held(line["parts"]), "seeds": len(line["seeds"]), "minutes": line["minutes"], "commit": line["commit"], "verdict": line["verdict"]} for line in rows]


def _range(interval: list[float] | None) -> str | None:
    return interval and f"{interval[0]:+.3f} to {interval[1]:+.3f}"


def _held(parts: list[dict[str, Any]]) -> str | None:
    return f"{sum(part['verdict'] == HOLDS for part in parts)} of {len(parts)} hold" if parts else None


def exercises() -> Rows:
    """Notebooks of graded exercises: their tasks, and points in public and in hidden tests."""
    rows = []
    for name in key.exercises():
        tasks = key.load(name).tasks
        rows.append({"name": name, "points": sum(task.points + task.hidden_points for task in tasks), "hidden": sum(task.hidden_points for task in tasks), "tasks": ", ".join(task.name for task in tasks)})
    return rows


def table(rows: Rows) -> str:
    """Rows as aligned columns: numbers to the right, `-` for what is not known.

    >>> print(table([{"name": "a", "size": 1200}, {"name": "bc", "size": None}]))
    name   size
    a     1,200
    bc        -
    """
    columns = list(rows[0])
    number = {column: any(isinstance(row[column], (int, float)) for row in rows) for column in columns}
    cells = [columns, *([_cell(row[column]) for column in columns] for row in rows)]
    widths = [max(len(line[place]) for line in cells) for place in range(len(columns))]
    lines = [
        "  ".join(cell.rjust(width) if number[column] else cell.ljust(width) for cell, width, column in zip(line, widths, columns)).rstrip()
        for line in cells
    ]
    return "\n".join(lines)


def markdown(rows: Rows) -> str:
    """Rows as a table in Markdown.

    >>> print(markdown([{"name": "a|b", "size": 1200}]))
    | name | size |
    |---|---|
    | a\\|b | 1,200 |
    """
    columns = list(rows[0])
    lines = [columns, ["---"] * len(columns), *([_cell(row[column]).replace("|", "\\|") for column in columns] for row in rows)]
    return "\n".join("|" + "|".join(line) + "|" if line[0] == "---" else "| " + " | ".join(line) + " |" for line in lines)


def _cell(value: Any) -> str:
    if value is None:
        return "-"
    return f"{value:,}" if isinstance(value, int) else str(value)
