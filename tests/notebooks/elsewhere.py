"""Run notebooks with another model and another task than their own, and tell which cells fail.

    python tests/notebooks/elsewhere.py                                # all of them, each with the next larger embedded model
    python tests/notebooks/elsewhere.py --folders                      # with a folder laid out as on the hub, and a file of texts
    python tests/notebooks/elsewhere.py --model gpt2 --task hub:sst2 notebooks/03_gpt.ipynb

The choice is made as a reader makes it: by MINIDELTA_MODEL, MINIDELTA_TASK and MINIDELTA_DEVICE, which the first cell of a
notebook reads.  Every cell runs, also behind one that failed; nothing is written back.  The exit code is 1 if a cell failed.
"""

import argparse
import json
import os
import re
import sys
import tempfile
import time
from pathlib import Path

import nbformat
from nbclient import NotebookClient
from nbformat import NotebookNode

sys.path.insert(0, str(Path(__file__).parents[2]))

from minidelta.data import load_task  # noqa: E402
from tests.hub import layouts  # noqa: E402
from tests.notebooks.refresh import NOTEBOOKS  # noqa: E402

LARGER = {"bert-nano": "bert-micro", "gpt-nano": "gpt-micro", "t5-nano": "t5-micro", "gpt-icl-mini": "gpt-icl-micro"}
OTHER_TASK = {"topic": "question-type", "question-type": "topic", "sentiment": "topic"}
LAYOUT = {"bert": "bert-base-uncased", "gpt": "gpt2", "t5": "t5-small"}


def choice(notebook: NotebookNode, variable: str) -> tuple[str, str]:
    """A notebook's own choice, and what its comment says of others."""
    (line,) = re.findall(rf'environ\.get\("MINIDELTA_{variable}", "([\w-]+)"\)(.*)', notebook.cells[1].source)
    return line


def elsewhere(notebook: NotebookNode, folders: Path | None) -> tuple[str, str]:
    """Another model and another task that a notebook promises to run with.

    Args:
        notebook: as it stands.
        folders: None for an embedded model and a built-in task; else where to write a folder and a file.
    """
    (model, _), (task, others) = choice(notebook, "MODEL"), choice(notebook, "TASK")
    if folders is None:
        return LARGER[model], OTHER_TASK[task]
    name = LAYOUT[model.partition("-")[0]]
    if not (folders / name).exists():
        layouts.make(name, folders / name)
    return str(folders / name), OTHER_TASK[task] if "built-in" in others or "lexicon" in others else str(texts(folders))


def texts(folder: Path) -> Path:
    """A person's own file: real film reviews where they lie beside the checkout, else embedded ones under other names."""
    path = folder / "reviews.jsonl"
    if layouts.REAL_TEXT.exists():
        lines = layouts.REAL_TEXT.read_text(encoding="utf-8").splitlines()[:3000]
    else:
        lines = [json.dumps({"text": example.text, "label": {"negative": "no", "positive": "yes"}[example.label]}) for example in load_task("sentiment").train[:3000]]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def failures(path: Path, model: str, task: str, device: str = "cpu", timeout: int = 900) -> list[str]:
    """Execute one notebook from its own folder; one line for each cell that failed."""
    notebook = nbformat.read(path, as_version=4)
    surroundings = os.environ | {"MINIDELTA_MODEL": model, "MINIDELTA_TASK": task, "MINIDELTA_DEVICE": device}
    client = NotebookClient(notebook, timeout=timeout, kernel_name="python3", allow_errors=True, resources={"metadata": {"path": str(path.parent)}})
    client.execute(env=surroundings)
    told = []
    for number, cell in enumerate(notebook.cells):
        for output in cell.get("outputs", []):
            if output.output_type == "error":
                where = next((line for line in reversed(re.sub(r"\x1b\[[\d;]*m", "", "\n".join(output.traceback)).splitlines()) if re.match(r"-+> *\d+", line)), "")
                told.append(f"cell {number}: {output.ename}: {output.evalue.strip().splitlines()[0] if output.evalue.strip() else ''}  {where.strip()}")
    return told


def main() -> int:
    """What the command line says; the exit code."""
    command = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    command.add_argument("notebooks", nargs="*", type=Path)
    command.add_argument("--folders", action="store_true", help="a folder laid out as on the hub, and a file of texts")
    command.add_argument("--model", help="this model for all of them")
    command.add_argument("--task", help="this task for all of them")
    command.add_argument("--device", default="cpu")
    options = command.parse_args()
    failed = 0
    with tempfile.TemporaryDirectory() as place:
        for path in options.notebooks or sorted(NOTEBOOKS.glob("*.ipynb")):
            model, task = elsewhere(nbformat.read(path, as_version=4), Path(place) if options.folders else None)
            model, task, started = options.model or model, options.task or task, time.perf_counter()
            told = failures(path, model, task, options.device)
            print(f"{path.name} with {Path(model).name} on {Path(task).name}: {len(told)} cells fail, {time.perf_counter() - started:.0f} s", *told, sep="\n    ", flush=True)
            failed += len(told)
    return int(failed > 0)


if __name__ == "__main__":
    sys.exit(main())
