"""A trained run on disk, small enough to keep one per task.

    run.json            model, task card, method, learner settings, score
    head.safetensors    the task head, if the learner has one
    delta/              the delta (delta methods): kilobytes
    model/              the whole model and its tokenizer (method full)

`minidelta predict --run FOLDER "text"` reads it.
"""

import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from safetensors.torch import load_file, save_file

import minidelta
from minidelta.data import Example, Task
from minidelta.errors import CheckpointError, DataError
from minidelta.finetune.learners import learner_for
from minidelta.hub import load_model, load_tokenizer, save_pretrained
from minidelta.hub.weights import write_folder
from minidelta.learner import Learner

CARD = ("name", "kind", "labels", "metric", "description", "prefix", "noise", "symmetric")


@dataclass
class Run:
    """A run as it was loaded: the learner, ready to predict, and what run.json says."""

    learner: Learner
    about: dict[str, Any]

    def predict(self, examples: list[Example]) -> list:
        """As `Learner.predict`."""
        return self.learner.predict(examples)


def save_run(folder: str | Path, learner: Learner, *, model_name: str, method: str, delta: Any = None, **about: Any) -> Path:
    """Write a trained learner.

    Args:
        folder: made if it is not there.
        learner: trained.
        model_name: what `load_model` was given: an embedded name, a hub name or a folder.
        method: "full", "head", "none", or the delta's family.
        delta: the attached delta, if there is one.
        about: anything else to remember in run.json (score, seed, ...), as plain JSON values.
    """
    folder = Path(folder)
    local = Path(model_name).resolve() if Path(model_name).is_dir() else model_name  # a folder is found from anywhere
    card = {key: getattr(learner.task, key) for key in CARD}
    record = {"model": str(local), "method": method, "delta": delta is not None, "task": card, "learner": learner.settings(), "minidelta": minidelta.__version__} | about

    def write(inside: Path) -> None:
        if learner.head is not None:
            save_file({name: value.contiguous() for name, value in learner.head.state_dict().items()}, inside / "head.safetensors")
        (inside / "run.json").write_text(json.dumps(record, indent=2, default=str) + "\n", encoding="utf-8")

    if method == "full":
        save_pretrained(learner.model, folder / "model", learner.tokenizer)
    if delta is not None:
        delta.save(folder / "delta")
    write_folder(folder, write)  # the card comes last: a folder with a run.json is whole
    return folder


def load_run(folder: str | Path, *, load_delta: Any = None, device: Any = None, build: Callable[..., Learner] = learner_for) -> Run:
    """Read what `save_run` wrote.

    Args:
        folder: of the run.
        load_delta: `minidelta.delta.load_delta`, needed for a run with a delta.
        device: where to put the model; default as `load_model` chooses.
        build: from model, tokenizer, task and the kept settings to a learner; default those of fine-tuning.
    Raises: CheckpointError if the folder is no run or its files do not fit together.
    """
    folder = Path(folder)
    if (folder / "unfinished").is_dir() and not (folder / "run.json").exists():
        raise CheckpointError(f"{folder} holds an unfinished run. Give the command that began it once more; it goes on.")
    try:
        about = json.loads((folder / "run.json").read_text(encoding="utf-8"))
        card, method, settings = about["task"], about["method"], about["learner"]
        task = Task(**card | {"labels": tuple(card["labels"])}, train=[], validation=[], test=[])
    except Exception as problem:
        raise CheckpointError(f"{folder} does not hold a readable run ({problem!r}). Give the folder that `minidelta run --out` wrote.") from problem
    source = folder / "model" if method == "full" else about["model"]
    model = load_model(source, device=device).requires_grad_(False)
    learner = build(model, load_tokenizer(source), task, **settings)
    if about["delta"]:
        if load_delta is None:
            raise CheckpointError(f"{folder} holds a delta. Pass load_delta=minidelta.delta.load_delta.")
        load_delta(folder / "delta").attach(model)
    if method == "head":
        learner.open_head()
    if learner.head is not None:
        try:
            learner.head.load_state_dict(load_file(folder / "head.safetensors"))
        except Exception as problem:
            raise CheckpointError(f"{folder}/head.safetensors is missing or does not fit the task: {str(problem).splitlines()[-1].strip()}") from problem
    learner.rest()
    return Run(learner, about)


def read_example(task: Task, text: str, text_b: str | None = None, choices: list[str] | None = None) -> Example:
    """A text typed by hand as an example of the task.

    Args:
        task: of the run.
        text: the text; for a relation with its entities marked: "[E1] Ada [/E1] works for [E2] Harp Ltd [/E2]."
        text_b: the second text of a pair, or the question about a passage.
        choices: of a choice task.
    Raises: DataError if something is missing that the task needs.

    >>> task = Task("ner", "tagging", ("O", "B-PER"), "span_f1", [], [], [])
    >>> read_example(task, "Ada lives, too.").meta["tokens"]
    ['Ada', 'lives', ',', 'too', '.']
    """
    if not text.strip() and task.kind != "choice":
        raise DataError("The text is empty. Write a sentence between the quotes.")
    if task.kind == "tagging":
        return Example(text, meta={"tokens": re.findall(r"\w+|[^\w\s]", text)})
    if task.kind == "relation":
        return _marked(text)
    if task.kind == "choice":
        if not choices or not text_b:
            raise DataError(f"The task {task.name!r} needs a question and choices. Give them: --text-b and --choices (text_b and choices in Python).")
        return Example(text, text_b, meta={"choices": list(choices)})
    if task.kind == "extraction" and not text_b:
        raise DataError(f"The task {task.name!r} needs a question about the passage. Give it with --text-b (text_b in Python).")
    return Example(text, text_b)


def _marked(text: str) -> Example:
    """Take the entity markers out of a text and note where the entities stood."""
    plain, spans, read = "", {}, 0
    for match in re.finditer(r"\[E([12])\]\s*(.+?)\s*\[/E\1\]", text):
        plain += text[read : match.start()]
        spans[match[1]] = [len(plain), len(plain) + len(match[2])]
        plain, read = plain + match[2], match.end()
    if len(spans) < 2:
        raise DataError('A relation needs two marked entities. Write it as "[E1] Ada [/E1] works for [E2] Harp Ltd [/E2]."')
    return Example(plain + text[read:], meta={"head": spans["1"], "tail": spans["2"]})
