"""One training loop for every chapter: pre-training, fine-tuning, soft prompts, deltas.

`fit` knows nothing of models or tasks.  It gets a loss, a rule that names the batch of each step, and the
parameters that may move.  Whoever calls it decides what is frozen: a parameter with
`requires_grad=False` costs no gradient and no optimizer state.

Exact resume is a matter of never keeping hidden state: the batch is a pure function of the step, and the
random generator is seeded anew from (seed, step), so dropout too depends on the step alone.  What is left
to save are the parameters, the optimizer's moments and the history (history.py).
"""

import math
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from minidelta.errors import ConfigError, near_misses
from minidelta.history import Best, History, load_state, save_state, state_place
from minidelta.parallel import add_gradients, place
from minidelta.progress import progress as progress_bar

OPTIMIZERS = {
    "adamw": lambda groups, betas, momentum: torch.optim.AdamW(groups, betas=betas, fused=True),
    "adam": lambda groups, betas, momentum: torch.optim.Adam(groups, betas=betas, fused=True),
    "sgd": lambda groups, betas, momentum: torch.optim.SGD(groups, momentum=momentum),
    "adagrad": lambda groups, betas, momentum: torch.optim.Adagrad(groups),
    "adadelta": lambda groups, betas, momentum: torch.optim.Adadelta(groups),
}
SCHEDULES = ("linear", "cosine", "cooldown", "constant")


def learning_rate_factor(step: int, steps: int, warmup: float = 0.0, schedule: str = "linear") -> float:
    """The share of the learning rate that is used at one step: a ramp up, then the schedule down to zero.

    Args:
        step: 0 for the first update.
        steps: updates in the whole run.
        warmup: share of the run that ramps up from (nearly) zero to one.
        schedule: "linear" or "cosine" decay to zero at `steps`; "cooldown", which keeps three quarters of the rate until
            two thirds of the way and then falls to zero (late, as Hägele et al. 2024 do, arXiv 2405.18392); or "constant".

    >>> [round(learning_rate_factor(step, 8, warmup=0.25), 2) for step in range(8)]
    [0.5, 1.0, 1.0, 0.83, 0.67, 0.5, 0.33, 0.17]
    """
    ramp = round(warmup * steps)
    if step < ramp:
        return (step + 1) / ramp
    done = (step - ramp) / max(1, steps - ramp)  # 0 ... 1
    if schedule == "linear":
        return 1.0 - done
    if schedule == "cosine":
        return 0.5 * (1.0 + math.cos(math.pi * done))
    if schedule == "cooldown":
        return min(1.0 - 0.375 * done, 2.25 * (1.0 - done))
    return 1.0


def fit(
    loss: Callable[[Any], Tensor],
    batch_at: Callable[[int], Any],
    parameters: Iterable[Tensor] | Iterable[dict[str, Any]],
    *,
    steps: int,
    lr: float,
    optimizer: str | Callable[[list[dict]], torch.optim.Optimizer] = "adamw",
    weight_decay: float = 0.0,
    betas: tuple[float, float] = (0.9, 0.999),
    momentum: float = 0.0,
    warmup: float = 0.1,
    schedule: str = "linear",
    clip: float | None = 1.0,
    accumulate: int = 1,
    validate: Callable[[], float | dict[str, float]] | None = None,
    every: int | None = None,
    patience: int | None = None,
    maximize: bool = True,
    amp: bool = False,
    compile: bool = False,
    seed: int = 0,
    checkpoint: str | Path | None = None,
    save_every: int | None = None,
    log_every: int | None = None,
    on_step: Callable[[int], None] | None = None,
    progress: bool = True,
    description: str = "training",
) -> History:
    """Move `parameters` downhill on `loss` for `steps` updates.

    Args:
        loss: batch -> scalar tensor.  Put the model in training mode before you call `fit`.
        batch_at: number -> batch, a pure function of the number; update s takes the numbers
            s * accumulate ... s * accumulate + accumulate - 1.
        parameters: tensors, or groups such as {"params": [...], "lr": 1e-3, "weight_decay": 0.0}.
            Frozen ones (`requires_grad=False`) are left out.
        steps: updates to make.
        lr: peak learning rate of every group that does not bring its own.
        optimizer: "adamw", "adam", "sgd", "adagrad", "adadelta", or a function from groups to an optimizer.
        weight_decay: for tensors with two or more dimensions; biases and norms are never decayed.
        betas: decay of the two moments (adamw, adam).
        momentum: of sgd.
        warmup: share of the steps that ramp the rate up.
        schedule: "linear" or "cosine" decay to zero, "cooldown" (late), or "constant"; see `learning_rate_factor`.
        clip: largest allowed norm of the whole gradient; None to leave it alone.
        accumulate: batches per update.  Their losses are averaged, which equals one large batch when every
            batch counts equally many items.  Processes that have joined (parallel.py) share them.
        validate: called without arguments; returns a figure or a dictionary whose first figure counts.
        every: updates between validations; default a tenth of the run.
        patience: stop after so many validations without a new best; the best values are restored at the
            end.  None: no stopping, no restoring.
        maximize: whether a larger validation figure is better.
        amp: compute in bfloat16 where it is safe, on CUDA; no effect on a CPU, where it is slower.
        compile: translate the loss into kernels of its own (`torch.compile`, needs a C++ compiler).  It pays where a run is long
            and its batches are of one shape: on a CPU a step takes 5 to 20 % less at width 128 and 3 % at 768
            (`minidelta bench --compile`), and the first ones up to a minute more.
            Dropout then draws other numbers, so a run compiled throughout repeats itself, but not one that was not.
        seed: of everything random inside the loop; the caller's generator is left as it was.
        checkpoint: folder for the training state.  If it holds one, the run goes on from there and ends
            with the same values, bit for bit on a CPU, as if it had never stopped.
        save_every: updates between two saves; default `every`.
        log_every: updates between two records of the loss (the only steps that wait for the device);
            default a hundredth of the run.
        on_step: called with the number of updates made, after each one.
        progress: show a bar on standard error, with the loss and the time left.
        description: the words before the bar.
    Returns: the History of the run.
    Raises:
        ConfigError: a setting cannot work, nothing is trainable, compile=True finds no compiler, or the loss was or became NaN or infinite.
        CheckpointError: the folder holds the state of a different run.

    >>> w = torch.tensor([4.0], requires_grad=True)
    >>> history = fit(lambda x: (w - x).square().sum(), lambda step: 1.0, [w], steps=100, lr=0.1)
    >>> round(w.item(), 1), len(history.records)
    (1.0, 100)
    """
    _check_settings(steps=steps, lr=lr, optimizer=optimizer, schedule=schedule, warmup=warmup, clip=clip, accumulate=accumulate, patience=patience, validate=validate)
    every = every or max(1, steps // 10)
    save_every, log_every = save_every or every, log_every or max(1, steps // 100)
    groups = _groups(parameters, lr, weight_decay)
    trained = [p for group in groups for p in group["params"]]
    rank, world = place()
    if accumulate % world:
        raise ConfigError(f"accumulate is {accumulate}, and {world} processes share the batches of an update; give a multiple of {world}.")
    moves = optimizer(groups) if callable(optimizer) else OPTIMIZERS[optimizer](groups, betas, momentum)
    peak = [group["lr"] for group in moves.param_groups]

    # Two runs may share a checkpoint only if all of this is the same.
    settings = {"steps": steps, "lr": peak, "optimizer": getattr(optimizer, "__name__", optimizer), "weight_decay": weight_decay, "betas": list(betas), "momentum": momentum, "warmup": warmup, "schedule": schedule, "clip": clip, "accumulate": accumulate, "seed": seed, "shapes": [list(p.shape) for p in trained]}
    if compile:
        settings["compile"] = True  # its dropout draws other numbers
    history, best, done = History(), Best(maximize), 0
    state_file = state_place(checkpoint) if checkpoint else None
    if state_file and state_file.exists():
        history, done = load_state(state_file, settings, trained, moves, best)

    device = trained[0].device
    cuda = [device] if device.type == "cuda" else []
    loss = compiled(loss) if compile else loss
    autocast = torch.autocast("cuda", torch.bfloat16, enabled=amp and bool(cuda))
    first: Tensor | None = None  # loss of the first batch; looked at only if the run fails, since to look is to wait for the device
    running, logged, started, earlier = torch.zeros((), device=device), done, time.perf_counter(), history.seconds
    bar = progress_bar(total=steps, description=description, unit="step", initial=done) if progress and rank == 0 else None

    with torch.random.fork_rng(devices=cuda):
        for step in range(steps if history.stopped_early else done, steps):
            factor = learning_rate_factor(step, steps, warmup, schedule)
            for group, top in zip(moves.param_groups, peak):
                group["lr"] = top * factor
            moves.zero_grad(set_to_none=True)
            for number in range(step * accumulate + rank, (step + 1) * accumulate, world):
                torch.manual_seed(seed * 1_000_003 + number)
                with autocast:
                    value = loss(batch_at(number)) / accumulate
                if not value.requires_grad:
                    raise ConfigError("The loss does not depend on any trained parameter. Unfreeze what should train, or pass the parameters that the loss uses.")
                value.backward()
                running += value.detach()
                first = value.detach() if first is None else first
            if world > 1:
                add_gradients(trained)
            if clip is not None:
                nn.utils.clip_grad_norm_(trained, clip)
            moves.step()

            done = step + 1
            if on_step is not None:
                on_step(done)  # before the state is saved: what it keeps is never missing after a resume
            validating = validate is not None and (done % every == 0 or done == steps)
            saving = state_file is not None and (done % save_every == 0 or done == steps)
            if done % log_every == 0 or done == steps or validating or saving:
                if world > 1:
                    torch.distributed.all_reduce(running)
                mean = running.item() / (done - logged)
                if not math.isfinite(mean):
                    if logged == 0 and not first.isfinite():
                        raise ConfigError(f"The loss was {first.item()} on the very first batch, before any weight moved, so the learning rate is not to blame. Look for NaN or infinity in the weights that were loaded, and in the batch.")
                    raise ConfigError(f"The loss became {mean} between steps {logged + 1} and {done}. Lower the learning rate (peak {max(peak):g}), lengthen the warm-up ({warmup:g} of the run), or set clip (now {clip}).")
                history.records.append({"step": done, "loss": mean, "lr": peak[0] * factor})
                running, logged = torch.zeros((), device=device), done
                if bar is not None:
                    bar.set_postfix_str(f"loss {mean:.3f}", refresh=False)
            if validating:
                figures = validate()
                figures = {name: float(value) for name, value in figures.items()} if isinstance(figures, dict) else {"score": float(figures)}
                if not figures:
                    raise ConfigError("validate returned an empty dictionary. Return a figure, or a dictionary whose first figure counts.")
                history.records[-1]["validation"] = figures
                if patience is not None:
                    best.see(next(iter(figures.values())), done, trained)
                    history.best_step, history.stopped_early = best.step, best.misses >= patience
            history.seconds = earlier + time.perf_counter() - started
            if rank == 0 and (saving or (state_file and history.stopped_early)):
                save_state(state_file, settings, trained, moves, best, history, done)
            if bar is not None:
                bar.update()
            if history.stopped_early:
                break
    if bar is not None:
        bar.close()
    moves.zero_grad(set_to_none=True)
    best.restore(trained)
    return history


def compiled(loss: Callable[..., Tensor]) -> Callable[..., Tensor]:
    """The loss as kernels of its own, which are built when it is first called.  Raises: ConfigError, then, if they cannot be."""
    kernels = torch.compile(loss)

    def call(*batch: Any) -> Tensor:
        try:
            return kernels(*batch)
        except torch._dynamo.exc.BackendCompilerFailed as problem:
            reason = str(problem).splitlines()[0]
            raise ConfigError(f"compile=True, and the kernels cannot be built ({reason}). Install a C++ compiler such as g++, or leave compile out.") from problem

    return call


def _groups(parameters: Iterable, lr: float, weight_decay: float) -> list[dict[str, Any]]:
    """Optimizer groups without frozen or repeated tensors, one-dimensional tensors apart and undecayed."""
    parameters = list(parameters)
    given = parameters if parameters and isinstance(parameters[0], dict) else [{"params": parameters}]
    groups, seen = [], set()
    for group in given:
        tensors = [group["params"]] if isinstance(group["params"], Tensor) else list(group["params"])
        own = [p for p in tensors if p.requires_grad and not (id(p) in seen or seen.add(id(p)))]
        rate, decay = lr if group.get("lr") is None else group["lr"], group.get("weight_decay", weight_decay)
        matrices, vectors = [p for p in own if p.ndim >= 2], [p for p in own if p.ndim < 2]
        groups += [{**group, "params": part, "lr": rate, "weight_decay": d} for part, d in ((matrices, decay), (vectors, 0.0)) if part]
    if not groups:
        count = sum(1 for group in given for _ in group["params"])
        raise ConfigError(f"Nothing to train: {count} tensors were given and none of them requires a gradient. Unfreeze some, or attach a delta first.")
    return groups


def _check_settings(*, steps, lr, optimizer, schedule, warmup, clip, accumulate, patience, validate) -> None:
    """Refuse settings that cannot work, each with what was met and what would be right."""
    if not callable(optimizer) and optimizer not in OPTIMIZERS:
        raise ConfigError(f"Unknown optimizer {optimizer!r}. {near_misses(str(optimizer), OPTIMIZERS)}")
    if schedule not in SCHEDULES:
        raise ConfigError(f"Unknown schedule {schedule!r}. {near_misses(str(schedule), SCHEDULES)}")
    for name, value in (("steps", steps), ("accumulate", accumulate), ("patience", patience if patience is not None else 1)):
        if not isinstance(value, int) or value < 1:
            raise ConfigError(f"{name} is {value!r}; give a whole number of at least 1.")
    if not (isinstance(lr, (int, float)) and math.isfinite(lr) and lr > 0):
        raise ConfigError(f"lr is {lr!r}; give a positive learning rate such as 1e-3.")
    if not 0 <= warmup < 1:
        raise ConfigError(f"warmup is {warmup!r}; give a share of the steps, from 0 up to but not including 1 (0.1 is a tenth).")
    if clip is not None and not clip > 0:
        raise ConfigError(f"clip is {clip!r}; give a positive norm such as 1.0, or None for no clipping.")
    if patience is not None and validate is None:
        raise ConfigError(f"patience is {patience}, but there is no validate function to watch. Pass validate=..., or leave patience out.")
