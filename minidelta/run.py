"""`minidelta run` and `minidelta predict`: one model, one task, one method, and the rivals beside the score.

    task -> model -> (delta) -> learner -> train_task -> test score, beside the most common answer, a bag of
    words and, for a person's own data, the same model from random weights
"""

import hashlib
import json
import shutil
import time
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TextIO

import torch
import torch.nn.functional as F

from minidelta.data import Columns, Example, Skipped, Task, at_most, read_examples
from minidelta.data.baselines import NO_BAG, bag_of_words, majority
from minidelta.data.readers import ENDINGS, LONGEST
from minidelta.delta import METHODS, Delta, load_delta
from minidelta.errors import CheckpointError, ConfigError, DataError, near_misses
from minidelta.evaluate import evaluate
from minidelta.finetune import Result, learner_for, load_run, read_example, save_run, train_task
from minidelta.finetune.training import count_parameters
from minidelta.hub import load_model, load_tokenizer
from minidelta.learner import Learner
from minidelta.model import Transformer
from minidelta.prompt.calibrate import calibrate
from minidelta.prompt.candidates import candidates
from minidelta.prompt.learners import UNLABELLED, in_context, prompt_learner
from minidelta.prompt.search import Ranked
from minidelta.train import History

OWN = ("full", "head", "prompt", "incontext")  # methods that are no deltas
FISH_EXAMPLES = 64  # for choosing weights
TUNES = ("full", "soft", "none")  # what of a prompt trains, beside the deltas
SEARCHED, JUDGES = 16, 64  # examples of each label that templates are searched on (as many as LM-BFF has), and that choose among them
TOLD = 10  # skipped records, or candidates of a search, that are printed one by one


SHOWN = 8  # demonstrations of the method incontext
BELONGS = {  # settings that only these methods know
    "prompt": ("template", "verbalizer", "tokens", "tune", "calibrate", "search", "writer"),
    "incontext": ("template", "verbalizer", "calibrate", "description", "choose", "normalise"),
}


@dataclass(frozen=True)
class Prompt:
    """What the methods prompt and incontext ask with, and what of a prompt trains.

    template, verbalizer, tokens: as of `prompt_learner`; of the method incontext, template is as the form of `in_context`.
    tune: "full" (every parameter), "soft" (soft tokens and label vectors alone), "none" (zero-shot), or the name of a delta.
    calibrate: a kind of calibration (`prompt/calibrate.py`), estimated on training texts before anything trains; None: none.
    search, writer: how the template is searched (`prompt/candidates.py`), and the T5 that writes; None: it is taken as it is.
    description, choose, normalise: as of `in_context`.
    """

    template: str | None = None
    verbalizer: str | None = None
    tokens: str | None = None
    tune: str = "full"
    calibrate: str | None = None
    search: str | None = None
    writer: str | None = None
    description: str = ""
    choose: str = "balanced"
    normalise: str = "sum"

    def check(self, method: str) -> None:
        """Raises: ConfigError for settings of a prompt with another method, or a `tune` that does not exist."""
        given = [name for name, value in vars(self).items() if value != getattr(Prompt(), name) and name not in BELONGS.get(method, ())]
        if given:
            homes = [home for home, known in BELONGS.items() if given[0] in known]
            given = [name for name in given if name in BELONGS[homes[0]]]
            raise ConfigError(f"{' and '.join(given)} belong{'s' * (len(given) == 1)} to the method {' or '.join(homes)}, and the method is {method}; add --method {homes[0]}, or leave {'it' if len(given) == 1 else 'them'} out.")
        if self.tune not in (*TUNES, *METHODS):
            raise ConfigError(f"a prompt cannot tune {self.tune!r}. {near_misses(self.tune, [*TUNES, *METHODS])}")
        if self.writer and self.search not in ("lm-bff", "paraphrase"):
            raise ConfigError("a writer belongs to the searches lm-bff and paraphrase; add --search, or leave it out.")
        if self.search and self.tune == "soft" and self.tokens not in ("vectors", "prototypes"):
            raise ConfigError("a searched template has no soft tokens to tune; choose another --tune, or no --search.")


def run(
    model_name: str,
    task: Task,
    method: str,
    *,
    shots: int | None = None,
    seed: int = 0,
    steps: int | None = None,
    lr: float | None = None,
    batch_size: int | None = None,
    representation: str | None = None,
    prompt: Prompt = Prompt(),
    columns: Columns = Columns(),
    out: Path | None = None,
    from_scratch: bool | None = None,
) -> dict[str, Any]:
    """Train and test, and measure the rivals.

    Args:
        model_name: an embedded name, a Hugging Face folder, or a hub name.
        task: from `load_task`, with its few shots already drawn.
        method: full, head, prompt, incontext, or the name of a delta.
        shots: demonstrations of the method incontext (None: 8); of the others for the record only.
        seed: of order, dropout and new weights.
        steps, lr, batch_size: None for the tested defaults.
        representation: what a BERT's head reads, of a text (None: cls) or of a pair of entities (None: entity-start).
        prompt: of the methods prompt and incontext.
        columns: what the task's file calls its columns; kept for `predict --file`.
        out: folder to keep the trained model in; an interrupted run in it goes on where it was.
        from_scratch: also train the same model from random weights, in full; None: only for a person's own data.
    Returns: model, task, method, shots, seed, metric, score, majority, trainable, total, steps, seconds, device, and
        bag_of_words, from_scratch (None where there is none), validation, test (sizes), skipped, out.
    Raises: MinideltaError for a model, method or folder that cannot be used.
    """
    if method not in (*OWN, *METHODS):
        raise ConfigError(f"there is no method {method!r}. {near_misses(method, [*OWN, *METHODS])}")
    prompt.check(method)
    if method in BELONGS and representation:
        raise ConfigError("a representation belongs to a head, and a prompt has none; leave it out, or choose another method.")
    if method == "incontext" and (steps or lr or batch_size):
        raise ConfigError("steps, lr and batch-size belong to training, and in context nothing trains; leave them out, or choose another method.")
    if method == "incontext" and prompt.calibrate and task.kind not in ("classification", "relation"):
        raise ConfigError(f"calibration takes off what labels have by themselves, and {task.name} has no labels; leave it out.")
    started = time.perf_counter()
    settings = {"steps": steps, "lr": lr, "seed": seed} | ({"batch_size": batch_size} if batch_size else {})
    form = {"representation": representation} if representation else {}
    asked = settings | form | (vars(prompt) if method in BELONGS else {}) | {"model": model_name, "task": task.name, "method": method, "shots": shots, "examples": _digest(task)}
    working = _working_folder(out, asked) if out else None

    model, tokenizer = load_model(model_name), load_tokenizer(model_name)
    tune = {"prompt": {"soft": "head"}.get(prompt.tune, prompt.tune), "incontext": "none"}.get(method, method)  # what trains
    found: Ranked = []
    if method == "prompt":
        if prompt.search:
            few = replace(task, train=at_most(task.train, SEARCHED, seed), validation=at_most(task.validation, JUDGES, seed))
            found = candidates(prompt.search, model, tokenizer, few, prompt.template, prompt.verbalizer, prompt.tokens, prompt.writer, seed)
        template = found[0][1] if found else prompt.template
        learner: Learner = prompt_learner(model, tokenizer, task, template, prompt.verbalizer, prompt.tokens, seed=seed)
        learner.template.check([*task.train, *task.validation, *task.test])  # before anything trains
    elif method == "incontext":
        learner = in_context(model, tokenizer, task, prompt.template, SHOWN if shots is None else shots, prompt.choose, prompt.description, prompt.verbalizer, prompt.normalise, seed=seed)
        learner.context.form.one.check([*task.train, *task.test])
    else:
        learner = learner_for(model, tokenizer, task, seed=seed, **form)
    if prompt.calibrate:
        calibrate(learner, prompt.calibrate, task.train[:UNLABELLED], seed)
    torch.manual_seed(seed)  # a delta's start values
    delta = _delta(tune, learner, task).attach(model) if tune in METHODS else None
    result = as_it_is(learner, task) if tune == "none" else train_task(learner, task, tune, delta, checkpoint=working, **settings)
    seconds = time.perf_counter() - started

    answer = {
        "model": model_name, "task": task.name, "method": method, "shots": shots, "seed": seed,
        "metric": task.metric, "score": result.score, "majority": evaluate(majority(task), task.test, task.metric),
        "bag_of_words": None if task.kind in NO_BAG else evaluate(bag_of_words(task), task.test, task.metric),
        "from_scratch": None, "trainable": result.trainable, "total": result.total, "steps": result.steps,
        "seconds": round(seconds, 1), "device": str(model.device), "train": len(task.train), "test": len(task.test),
        "truncated": result.truncated, "unreadable": result.unreadable, "skipped": len(task.skipped),
        "left_out": list(map(str, task.skipped)), "out": str(out) if out else None, **form,
    }  # fmt: skip
    if method == "prompt":
        answer |= {"template": learner.template.source, "verbalizer": learner.verbalizer.settings(), "tune": prompt.tune, "calibrate": prompt.calibrate, "warnings": learner.lint()}
    if method == "incontext":
        asking, shown, _ = next(learner.context.prompts(task.test[:1]))
        answer |= {"shots": len(shown), "prompt": asking.fill(task.test[0], "").rstrip(), **{name: getattr(prompt, name) for name in ("description", "choose", "normalise", "calibrate")}}
    if found:
        answer |= {"search": prompt.search, "judges": len(few.validation), "candidates": [{"score": score, "template": template.source} for score, template in found]}

    def keep() -> None:
        if out:
            save_run(out, learner, model_name=model_name, method=tune, delta=delta, columns=vars(columns), result=answer)

    keep()
    if from_scratch or (from_scratch is None and not task.built_in):
        answer["from_scratch"] = _from_scratch(learner, task, settings, working and working / "from-scratch")
        keep()
    if working:
        shutil.rmtree(working)
    return answer


def as_it_is(learner: Learner, task: Task) -> Result:
    """Zero-shot: the test score of a learner that nothing trains."""
    learner.model.requires_grad_(False)
    learner.rest()
    learner.truncated = 0
    score = evaluate(learner, task.test, task.metric)
    return Result(task.metric, score, 0, count_parameters(learner)[1], 0, 0.0, learner.truncated, learner.unreadable, History())


def _delta(method: str, learner: Learner, task: Task) -> Delta:
    """A delta with its defaults; FISH looks at the first examples of the task, one by one."""
    if method != "fish":
        return METHODS[method]()
    batches = [learner.collate([example]) for example in task.train[:FISH_EXAMPLES]]
    return METHODS[method](loss=lambda model, batch: learner.loss(batch), batches=batches)


def _digest(task: Task) -> str:
    """What distinguishes one set of training examples from another: an interrupted run goes on with the same only."""
    texts = (repr((example.text, example.text_b, example.label, sorted(example.meta.items()))) for example in task.train)
    return hashlib.sha256("\n".join(texts).encode("utf-8", "backslashreplace")).hexdigest()


def _from_scratch(learner: Learner, task: Task, settings: dict[str, Any], working: Path | None) -> float:
    """The test score of the same architecture with random weights, trained in full for as many steps."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(settings["seed"])
        model = Transformer(learner.model.config).to(learner.model.device)
    newcomer = learner_for(model, learner.tokenizer, task, seed=settings["seed"])  # with a head: a random model knows no words
    return train_task(newcomer, task, "full", checkpoint=working, **settings | {"lr": None}).score


def _working_folder(out: Path, asked: dict[str, Any]) -> Path:
    """`out/unfinished`, which holds the state of this very run or nothing; an earlier, other state is removed."""
    working, note = out / "unfinished", out / "unfinished" / "asked.json"
    try:
        if out.exists() and any(out.iterdir()) and not (out / "run.json").exists() and not note.exists():
            raise CheckpointError(f"{out} holds other files; give --out a new folder, or one that an earlier run made")
        if working.exists() and not (note.exists() and json.loads(note.read_text(encoding="utf-8")) == asked):
            shutil.rmtree(working)
        working.mkdir(parents=True, exist_ok=True)
        note.write_text(json.dumps(asked), encoding="utf-8")
    except OSError as error:
        raise CheckpointError(f"{out}: cannot be written ({error.strerror}); give --out another folder") from None
    return working


def remarks(task: Task) -> list[str]:
    """What a person should know about the data before they believe a score: decisions made, records left out."""
    lines = [f"{task.name}: {note}" for note in task.notes]
    if task.skipped:
        kept = len(task.train) + len(task.validation) + len(task.test)
        lines.append(f"{task.name}: {len(task.skipped):,} of {kept + len(task.skipped):,} records left out:")
        lines += [f"  {report}" for report in task.skipped[:TOLD]]
        if len(task.skipped) > TOLD:
            lines.append(f"  ... and {len(task.skipped) - TOLD:,} more (--strict stops at the first)")
    return lines


def report(result: dict[str, Any]) -> str:
    """The result as a small table: the score, and what it has to be compared with."""
    rows = [
        (f"{result['model']}, {result['method']}", result["score"]),
        ("same model from random weights, full", result["from_scratch"]),
        ("bag of words", result["bag_of_words"]),
        ("most common answer", result["majority"]),
    ]
    rows = [(name, score) for name, score in rows if score is not None]
    width = max(len(name) for name, _ in rows)
    shots = f", {result['shots']} shots a class" if result["shots"] else ""
    seen = f"{result['shots']} in the prompt, of {result['train']:,}" if "prompt" in result else f"trained on {result['train']:,}{shots}"
    lines = [f"{result['task']}: {result['metric']} on {result['test']:,} test examples ({seen})"]
    lines += [f"  {name:{width}}  {score:.3f}" for name, score in rows]
    share = result["trainable"] / result["total"]
    lines.append(f"{result['trainable']:,} of {result['total']:,} parameters trained ({share:.2%}) in {result['steps']:,} steps, {result['seconds']:.0f} s on {result['device']}")
    if "candidates" in result:
        lines.append(f"search {result['search']}: accuracy on {result['judges']:,} validation examples, before anything trains")
        lines += [f"  {row['score']:.3f}  {row['template']}" for row in result["candidates"][:TOLD]]
        if len(result["candidates"]) > TOLD:
            lines.append(f"  ... and {len(result['candidates']) - TOLD} more (--json tells all)")
    if "prompt" in result:
        lines += ["the prompt of the first test example:", *(f"  | {line}" for line in result["prompt"].splitlines())]
    if "template" in result:
        lines.append(f"template: {result['template']}")
        lines += [f"  note: {warning}" for warning in result["warnings"]]
    if result["truncated"]:
        lines.append(f"{result['truncated']:,} texts were longer than the model reads, and were cut at the end")
    if result["unreadable"]:
        lines.append(f"{result['unreadable']:,} test answers could not be read, and count as wrong")
    if result["out"]:
        lines.append(f'kept in {result["out"]}: minidelta predict --run {result["out"]} "..."')
    return "\n".join(lines)


# -- predict -------------------------------------------------------------------------------------------------


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
