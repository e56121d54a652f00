"""`pretrain`: from a recipe and a corpus to a checkpoint folder, with a record, and safe against interruption.

The batch of a step is a pure function of (seed, step): the step's own random numbers draw its documents.  So a run that
was interrupted goes on from its last saved state and ends with the same weights, bit for bit on a CPU.
"""

import json
import os
import shutil
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import torch

from minidelta.errors import CheckpointError, ConfigError, near_misses
from minidelta.hub import save_pretrained, train_tokenizer
from minidelta.hub.device import device as choose_device
from minidelta.model import Transformer
from minidelta.pretrain.causal import CausalLM
from minidelta.pretrain.corpus import CORPORA, FileCorpus, WorldCorpus, take
from minidelta.pretrain.masked import MaskedLM
from minidelta.pretrain.muon import MuonAdamW, hidden_first
from minidelta.pretrain.recipes import LONG, RECIPES, Recipe, configuration
from minidelta.pretrain.rows import Strip, cut, size_of
from minidelta.pretrain.spans import SpanCorruption
from minidelta.train import History, fit

OBJECTIVES = {"bert": MaskedLM, "gpt": CausalLM, "t5": SpanCorruption}
MEASURES = 50  # held-out measurements along a run; the state is saved as often
OURS = {"config.json", "generation_config.json", "model.safetensors", "history.json", "tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "README.md"}
SAMPLE = 16  # batches whose size is averaged for the record


class Batches:
    """The batches of one run: `batches(step)` is a pure function of the step.

    Args:
        corpus: where documents come from.
        tokenizer: of the family; `objective` was built with the same.
        objective: MaskedLM, CausalLM or SpanCorruption.
        seed: of the run.
        tokens: to read in a step, about; documents are counted in characters, so that they are cut into tokens only once.
    """

    def __init__(self, corpus: WorldCorpus | FileCorpus, tokenizer, objective, seed: int = 0, tokens: int = 2048) -> None:
        self.corpus, self.objective, self.seed = corpus, objective, seed
        sample = [document.text for document in corpus.held_out()]
        characters = sum(map(len, sample)) / max(1, sum(map(len, cut(tokenizer, sample))))  # in a token
        self.characters = tokens * characters  # in a step

    def __call__(self, step: int) -> list[Strip]:
        rng = np.random.default_rng([self.seed, step])
        documents = take(self.corpus.stream(int(rng.integers(2**40))), self.characters)
        return self.objective.batch(documents, rng, _length(rng.random()))

    def held_out(self) -> list[list[Strip]]:
        """The held-out documents as batches, the same for every run of a family on this corpus."""
        rng, rest, batches = np.random.default_rng(0), iter(self.corpus.held_out()), []
        while documents := take(rest, self.characters):
            batches.append(self.objective.batch(documents, rng))
        return batches


class Ahead:
    """A function of the step whose next value is made in a thread while the last one is used, so that a GPU need not wait.

    The thread ends with the block.

    >>> with Ahead(lambda step: step * step) as square:
    ...     square(3), square(4), square(0)
    (9, 16, 0)
    """

    def __init__(self, batch_at: Callable[[int], Any]) -> None:
        self.batch_at, self.maker, self.made = batch_at, ThreadPoolExecutor(1), {}

    def __call__(self, step: int) -> Any:
        ready = self.made.get(step) or self.maker.submit(self.batch_at, step)
        self.made = {step + 1: self.maker.submit(self.batch_at, step + 1)}
        return ready.result()

    def __enter__(self) -> "Ahead":
        return self

    def __exit__(self, *_: Any) -> None:
        self.maker.shutdown(cancel_futures=True)


def _length(lot: float) -> int | None:
    """The row length of a step, by its lot in [0, 1): LONG's lengths in their shares, else None."""
    for length, share in LONG.items():
        if lot < share:
            return length
        lot -= share
    return None


def pretrain(
    name: str,
    *,
    corpus: str | Path | None = None,
    folder: str | Path | None = None,
    steps: int | None = None,
    seed: int = 0,
    threads: int | None = None,
    device: str | torch.device | None = None,
    resume: bool = True,
) -> Path:
    """Pre-train a model by its recipe and save it, with its tokenizer and its record, as a Hugging Face folder.

    Args:
        name: a line of RECIPES, such as "bert-micro".
        corpus: a text file (UTF-8; paragraphs between blank lines, or one document a line) to learn from instead of
            the embedded world; the tokenizer is then trained on it as well.
        folder: where to write; default ./checkpoints/NAME, or ./checkpoints/NAME-CORPUS.  The embedded model of that
            name stays as it is.
        steps: updates of about 2,048 tokens; default the recipe's.
        seed: of the weights, the documents and the masks.
        threads: CPU threads; default torch's own.
        device: where to train; default as `minidelta.hub.device` chooses.
        resume: go on from an interrupted run (kept in `.NAME.run` beside the folder); False starts afresh.
    Returns: the folder, with config.json, model.safetensors (fp16), the tokenizer's files, and history.json:
        name, family, parameters, tokens, steps, seconds, threads, device, corpus, version, seed, torch, and `curve`,
        a list of {step, tokens, loss, held_out}; tokens are steps times the mean size of a batch.
        Snapshots of the recipe stand beside it as NAME-stepK.
    Raises:
        ConfigError: the name is unknown, or steps, seed or threads cannot be used.
        DataError: the corpus cannot be read, is not UTF-8 or is empty.
        CheckpointError: the folder cannot be written, or an interrupted run in it had other settings.
    """
    recipe = _check(name, steps, seed, threads)
    source = CORPORA[recipe.corpus]() if corpus is None else FileCorpus(corpus)
    steps = steps or recipe.steps
    default = Path("checkpoints") / (name if corpus is None else f"{name}-{source.name}")
    folder = (Path(folder).expanduser() if folder else default).absolute()
    settings = {"name": name, "steps": steps, "seed": seed, "corpus": source.name, "version": source.version}
    working = _working_folder(folder, settings, resume)

    tokenizer = train_tokenizer(recipe.family, source.texts(), recipe.vocabulary)
    where = choose_device(device)
    objective = OBJECTIVES[recipe.family](tokenizer, **recipe.objective)
    if recipe.family == "t5" and where.type == "cuda":
        objective.strips = 1  # the same rows: a GPU's step is as long as it takes to start its kernels, 11,000 with four strips and 5,000 with one
    batches = Batches(source, tokenizer, objective, seed, recipe.tokens)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = Transformer(configuration(recipe, tokenizer)).to(where)
    model.train(source.repeats)  # documents that never come twice cannot be learnt by heart: no dropout
    held_out = [_to(batch, where) for batch in batches.held_out()]
    snapshots = {max(1, round(share * steps)) for share in recipe.snapshots} - {steps}

    def validate() -> dict[str, float]:
        training = model.training
        model.eval()
        with torch.inference_mode():
            losses = [objective.loss(model, batch).item() for batch in held_out]
        found = {"held_out": sum(losses) / len(losses)} | source.watch(model, tokenizer)
        model.train(training)
        return found

    def batch_at(step: int) -> list[Strip]:
        return _to(batches(step), where)

    def keep(step: int) -> None:
        if step in snapshots:
            save_pretrained(model, working / f"step{step}", tokenizer, dtype=torch.float16)

    threads_before = torch.get_num_threads()
    torch.set_num_threads(threads or threads_before)
    try:
        with Ahead(batch_at) as ahead:
            history = fit(
                lambda batch: objective.loss(model, batch),
                ahead if where.type == "cuda" else batch_at,
                steps=steps, **optimization(model, recipe), validate=validate, every=max(1, steps // MEASURES), amp=True, seed=seed, checkpoint=working, on_step=keep, description=name,
            )  # fmt: skip
        used = torch.get_num_threads()
    finally:
        torch.set_num_threads(threads_before)

    record = settings | {"family": recipe.family, "parameters": sum(p.numel() for p in model.parameters()), "threads": used, "device": str(where), "torch": torch.__version__}
    tokens = np.mean([size_of(batches(step))[0] for step in range(SAMPLE)])  # in a step
    save_pretrained(model, working / "final", tokenizer, dtype=torch.float16)
    for step in sorted(snapshots):  # those that an interrupted end of the run has not moved yet
        if (working / f"step{step}").exists():
            _publish(working / f"step{step}", folder.with_name(f"{folder.name}-step{step}"), record, history, step, tokens)
    _publish(working / "final", folder, record, history, steps, tokens)
    shutil.rmtree(working)
    return folder


def optimization(model: Transformer, recipe: Recipe) -> dict[str, Any]:
    """What a recipe tells `fit`: what trains, by which optimizer, at which rate."""

    def muon(groups: list[dict]) -> MuonAdamW:
        return MuonAdamW(groups, recipe.betas)

    parameters, optimizer = (hidden_first(model), muon) if recipe.optimizer == "muon" else (model.parameters(), recipe.optimizer)
    return {"parameters": parameters, "optimizer": optimizer, "lr": recipe.lr, "schedule": recipe.schedule, "warmup": recipe.warmup, "betas": recipe.betas, "weight_decay": recipe.weight_decay}


def _check(name: str, steps: int | None, seed: int, threads: int | None) -> Recipe:
    """The recipe of a name; refuses settings that cannot work."""
    if name not in RECIPES:
        raise ConfigError(f"There is no recipe {name!r}. {near_misses(name, RECIPES)}")
    for what, value in (("steps", steps), ("threads", threads)):
        if value is not None and (not isinstance(value, int) or value < 1):
            raise ConfigError(f"{what} is {value!r}; give a whole number of at least 1, or leave it out.")
    if (threads or 1) > (os.cpu_count() or 1):
        raise ConfigError(f"threads is {threads}, and this machine has {os.cpu_count()} cores; give at most so many, or leave it out.")
    if not isinstance(seed, int) or not 0 <= seed < 2**31:
        raise ConfigError(f"seed is {seed!r}; give a whole number from 0 to 2147483647.")
    return RECIPES[name]


def _working_folder(folder: Path, settings: dict, resume: bool) -> Path:
    """Make, or find again, the place of an unfinished run: `.NAME.run` beside the folder."""
    try:
        foreign = sorted(path.name for path in folder.iterdir() if path.name not in OURS) if folder.is_dir() else []
    except OSError as problem:
        raise CheckpointError(f"{folder} cannot be looked into ({problem.strerror}). Choose another folder.") from None
    if foreign or folder.is_file():
        raise CheckpointError(f"{folder} holds something else than a model ({', '.join(foreign[:3]) or 'it is a file'}), and would be replaced. Choose another folder.")
    working = folder.with_name(f".{folder.name}.run")
    note = working / "settings.json"
    try:
        if not resume and working.exists():
            shutil.rmtree(working)
        working.mkdir(parents=True, exist_ok=True)
        if not note.exists():
            note.write_text(json.dumps(settings), encoding="utf-8")
        there = json.loads(note.read_text(encoding="utf-8"))
    except OSError as problem:
        raise CheckpointError(f"{folder.parent} cannot be written ({problem.strerror}). Choose another folder.") from None
    except json.JSONDecodeError:
        raise CheckpointError(f"{note} is damaged. Start afresh with --fresh (resume=False).") from None
    if there != settings:
        differing = [f"{key}: {there.get(key)} there, {value} now" for key, value in settings.items() if there.get(key) != value]
        raise CheckpointError(f"{working} holds an unfinished run with other settings. Repeat those, or start afresh with --fresh (resume=False).\n  " + "\n  ".join(differing))
    return working


def _publish(ready: Path, folder: Path, record: dict, history: History, until: int, tokens: float) -> None:
    """Write the record of the first `until` steps into a finished folder, and move it into place in one stroke."""
    curve = [
        {"step": r["step"], "tokens": round(r["step"] * tokens), "loss": round(r["loss"], 4), **{key: round(value, 4) for key, value in r.get("validation", {}).items()}}
        for r in history.records if r["step"] <= until
    ]  # fmt: skip
    share = until / record["steps"]
    record = record | {"steps": until, "of_steps": record["steps"], "tokens": round(until * tokens), "seconds": round(history.seconds * share), "curve": curve}
    (ready / "history.json").write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
    if folder.exists():
        old = ready.with_name(f"{ready.name}.old")
        shutil.rmtree(old, ignore_errors=True)
        os.replace(folder, old)
    os.replace(ready, folder)


def _to(batch: list[Strip], where: torch.device) -> list[Strip]:
    if where.type == "cuda":  # from pinned memory a copy does not hold up the loop
        return [{name: tensor.pin_memory().to(where, non_blocking=True) for name, tensor in strip.items()} for strip in batch]
    return [{name: tensor.to(where) for name, tensor in strip.items()} for strip in batch]
