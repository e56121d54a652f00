"""`minidelta predict`: texts in, and what a kept run answers.

    texts -> as the task reads them -> the run's learner -> answers, with probabilities where there are labels
"""

import json
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any, TextIO

import torch
import torch.nn.functional as F

from minidelta.data import Columns, Example, Skipped, Task, read_examples
from minidelta.data.readers import ENDINGS, LONGEST
from minidelta.delta import load_delta
from minidelta.errors import CheckpointError, DataError
from minidelta.finetune import learner_for, load_run, read_example
from minidelta.learner import Learner
from minidelta.model import Transformer
from minidelta.prompt.learners import in_context, prompt_learner


def texts(text: str | None, text_b: str | None, file: Path | None, stream: TextIO, columns: Columns = Columns()) -> tuple[list[Example], list[Skipped]]:
    """The texts to label: one from the command line, those of a file, or one a line from a stream.

    Raises: DataError for an empty text, a file that cannot be read, or when no text is left.
    """
    skipped: list[Skipped] = []
    if text is not None:
        examples = [Example(text, text_b, source="the text")]
    elif file and file.suffix.lower() in ENDINGS:
        examples, skipped = read_examples(file, columns, labelled=False)
    else:
        examples, skipped = _plain_lines(file, text_b, stream)
    if not examples or not (examples[0].text.strip() or text_b):  # a question may stand without a passage
        reason = f" ({skipped[0]})" if skipped else ""
        raise DataError("the text is empty" if text is not None else f"no text to label in {file or 'the standard input'}{reason}")
    for example in examples:
        if not _writable(example.text) or not _writable(example.text_b or ""):
            raise DataError("the text is not UTF-8; convert it, and try again")
    return examples, skipped


def kept_columns(folder: Path) -> Columns:
    """What the file that a run was trained on calls its columns; the usual names if the run does not say."""
    try:
        return Columns(**json.loads((folder / "run.json").read_text(encoding="utf-8"))["columns"])
    except (OSError, ValueError, KeyError, TypeError):  # no such run: `predict` says it better
        return Columns()


def _writable(text: str) -> bool:
    """Whether a text is whole: bytes that were not UTF-8 arrive from a terminal as half characters."""
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True


def _plain_lines(file: Path | None, text_b: str | None, stream: TextIO) -> tuple[list[Example], list[Skipped]]:
    name = file.name if file else "standard input"
    try:
        lines = (file.read_text(encoding="utf-8-sig") if file else stream.read()).splitlines()
    except UnicodeDecodeError:
        raise DataError(f"{name}: the text is not UTF-8") from None
    except OSError as error:
        raise DataError(f"{file}: cannot be read ({error.strerror})") from None
    reasons = {number: "the line is blank" if not line.strip() else f"longer than {LONGEST:,} characters" if len(line) > LONGEST else "" for number, line in enumerate(lines, 1)}
    examples = [Example(line.strip(), text_b, source=f"{name}:{number}") for number, line in enumerate(lines, 1) if not reasons[number]]
    return examples, [Skipped(name, number, reason) for number, reason in reasons.items() if reason]


def predict(folder: Path, examples: Iterable[Example], choices: list[str] | None = None) -> list[dict[str, Any]]:
    """Answer texts with a kept run.

    Args:
        folder: written by `run(out=...)`.
        examples: text and, where the task has one, text_b; in meta what a template asks for by {meta:key}.
        choices: of a choice task.
    Returns: for each text its label (or answer, or tags) and, where the task has labels, their probabilities.
    Raises: CheckpointError if the folder is not a run, DataError if a text lacks what the task needs.
    """
    if not folder.is_dir():
        raise CheckpointError(f"{folder}: no such folder; `minidelta run --out {folder}` makes one")
    kept = load_run(folder, load_delta=load_delta, build=_builder)
    ready = [_as_read(kept.learner, example, choices) for example in examples]
    shares = _probabilities(kept.learner, ready)
    rows = []
    for example, answer, share in zip(ready, kept.predict(ready), shares):
        if choices and answer is not None:
            answer = choices[answer]
        row = {"text": example.text, "text_b": example.text_b, "label": answer}
        rows.append(row | ({"probabilities": share} if share else {}))
    return rows


def _builder(model: Transformer, tokenizer: Any, task: Task, **settings: Any) -> Learner:
    """The learner whose settings a run has kept."""
    build = in_context if "form" in settings else prompt_learner if "template" in settings else learner_for
    return build(model, tokenizer, task, **settings)


def _as_read(learner: Learner, example: Example, choices: list[str] | None) -> Example:
    """What the task makes of a text; a template may also ask for what else its record says."""
    ready = read_example(learner.task, example.text, example.text_b, choices)
    further = example.meta if hasattr(learner, "template") else {}
    return replace(ready, meta=further | ready.meta, source=example.source)


@torch.no_grad()
def _probabilities(learner: Learner, examples: list[Example]) -> list[dict[str, float] | None]:
    """p(label | text): of a head its softmax; of a model that writes, its labels' likelihoods made to sum to one."""
    labels = learner.task.labels
    if learner.task.kind not in ("classification", "relation"):
        return [None] * len(examples)
    found = []
    with learner.resting():
        for example in examples:
            if hasattr(learner, "scores"):
                scores = learner.scores(learner.collate([example]))[0]  # [C]
            else:
                batch = learner.collate([Example(example.text, example.text_b, label, example.meta) for label in labels])
                spoken = learner.hidden(batch).flatten(0, 1)[batch["places"]]  # [answer tokens, D]
                each = -F.cross_entropy(learner.model.lm_logits(spoken), batch["targets"], reduction="none")
                scores = torch.stack([part.sum() for part in each.split([len(item["answer"]) for item in batch["items"]])])  # [C]
            found.append({label: round(share, 4) for label, share in zip(labels, scores.softmax(-1).tolist())})
    return found


def sentence(row: dict[str, Any]) -> str:
    """One prediction in words.

    >>> sentence({"text": "a fine film", "text_b": None, "label": "pos", "probabilities": {"neg": 0.1, "pos": 0.9}})
    'pos  (pos 0.900, neg 0.100)  a fine film'
    """
    shares = row.get("probabilities")
    order = sorted(shares, key=lambda label: -shares[label])[:5] if shares else []
    bracket = "  (" + ", ".join(f"{label} {shares[label]:.3f}" for label in order) + ")" if order else ""
    label = " ".join(row["label"]) if isinstance(row["label"], list) else row["label"]
    label = "(unreadable answer)" if label is None else label
    return f"{label}{bracket}  {row['text']}" + (f" | {row['text_b']}" if row["text_b"] else "")
