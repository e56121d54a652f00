"""`minidelta run`: one model, one task, one method, and the rivals beside the score.

    task -> model -> (delta) -> learner -> train_task -> test score, beside the most common answer, a bag of
    words and, for a person's own data, the same model from random weights
"""

import hashlib
import json
import shutil
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch

from minidelta.data import Columns, Task, at_most
from minidelta.data.baselines import NO_BAG, bag_of_words, majority
from minidelta.delta import METHODS, Delta
from minidelta.errors import CheckpointError, ConfigError, near_misses
from minidelta.evaluate import evaluate
from minidelta.finetune import Result, learner_for, save_run, train_task
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
