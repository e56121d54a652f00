"""`minidelta plan`: what it would take to adapt a model, whether or not it can be loaded here.

    name -> shape -> the ledger of one training step (costs/), for full tuning and each method asked -> table, JSON, picture

Full tuning, a new head and LoRA come from closed formulas; every other delta is rehearsed with shapes in place of numbers.
"""

import inspect
import os
from collections.abc import Callable, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from minidelta.costs import METHODS as FORMULAS, MOMENTS, Ledger, bytes_per_task, predict, rehearse
from minidelta.delta import FISH, METHODS as DELTAS, Delta
from minidelta.delta.table import example
from minidelta.delta.targets import find_sites
from minidelta.errors import CheckpointError, ConfigError, near_misses
from minidelta.hub import ALIASES, PUBLISHED, embedded_models, load_config
from minidelta.model import Transformer, TransformerConfig

DTYPES = {"float32": 4, "bfloat16": 2}  # bytes of a number
SUBSPACE = (5, 64, 20)  # of IPT: its dimension, the decoder's inner width, the vectors of the prompt
MEMORY = ("weights", "gradients", "optimizer", "activations")
COLOURS = ("#4477aa", "#228833", "#ee7733", "#bbbbbb")
PICTURES = (".png", ".svg", ".pdf")


def plan(
    model: str, methods: Sequence[str] = ("lora",), *, batch_size: int = 8, length: int = 512, target_length: int | None = None, classes: int | None = None,
    tasks: int = 1, optimizer: str = "adamw", dtype: str = "float32", dropout: float | None = None, rank: int | None = None,
) -> dict[str, Any]:  # fmt: skip
    """Full tuning beside other methods, on a model of which only the shape is needed.

    Args:
        model: a published name (`hub/published.py`), with or without its owner on the hub, an embedded one, a Hugging Face folder (config.json is enough), or a hub name.
        methods: "full", "head" or deltas, by name; full comes first, asked or not.
        batch_size, length: B texts of T tokens (T5: its encoder's); T5's decoder reads `target_length`, by default as many.
        classes: of a new head; 0: the loss scores the vocabulary at every token instead.  None: 2 for an encoder, 0 for the others.
        tasks: how many tasks are kept on the disk.
        optimizer: a name of `costs.MOMENTS`.
        dtype: "bfloat16" halves everything but the optimizer's moments, which stay float32.
        dropout: None: the model's own.  Without it attention runs in a fused kernel, which keeps far less.
        rank: R of those methods that have one; None: their own.
    Returns: the settings, the model's `config`, and `methods`: for each its `name`, what a `Ledger` holds (bytes, flops), and
        `stored_all` (bytes of all tasks), `backward_flops`, `step` and `memory` (flops and peak relative to full tuning).
    Raises: ConfigError, CheckpointError or DeltaError for what does not exist or cannot be.

    >>> full, lora = plan("175B", rank=4)["methods"]
    >>> lora["trainable"], round(full["weights"] / 1e9), round(lora["step"], 2)
    (18874368, 698, 0.67)
    """
    methods = list(dict.fromkeys(["full", *methods]))
    known = [*FORMULAS, *(name for name in DELTAS if name not in FORMULAS)]
    for what, name, names in (*(("method", name, known) for name in methods), ("optimizer", optimizer, MOMENTS), ("dtype", dtype, DTYPES)):
        if name not in names:
            raise ConfigError(f"There is no {what} {name!r} to plan with. {near_misses(name, names)}")
    if rank and not any("rank" in inspect.signature(DELTAS[name]).parameters for name in methods if name in DELTAS):
        raise ConfigError(f"rank is {rank}, and of {', '.join(methods)} none has a rank; add one that has, such as lora, or leave rank out.")
    c = shape(model)
    if dropout is not None:
        c = replace(c, dropout=dropout)
    if ALIASES.get(model, model).startswith("roberta") and length > c.max_positions - 2:  # see hub/published.py
        raise ConfigError(f"length is {length}, and the model has {c.max_positions - 2} positions; give at most that many tokens.")
    if target_length and c.shape != "encoder-decoder":
        raise ConfigError(f"target_length is {target_length}, which belongs to an encoder-decoder such as T5, and {model} is {'an' if c.shape == 'encoder' else 'a'} {c.shape}; leave it out.")
    asked = {"target_length": target_length, "classes": 2 * (c.shape == "encoder") if classes is None else classes}
    rows = []
    for name in methods:
        if name in FORMULAS:
            ledger = predict(c, batch_size, length, name, optimizer, rank=rank or 8, **asked)
        else:
            ledger = rehearse(c, builder(name, rank), batch_size, length, optimizer, **asked)
        ledger = in_bfloat16(ledger) if dtype == "bfloat16" else ledger
        figures = {key: value for key, value in asdict(ledger).items() if key != "seconds"}
        figures |= {"stored_all": round(tasks * bytes_per_task(ledger, tasks)), "backward_flops": ledger.flops - ledger.forward_flops}
        full = rows[0] if rows else figures
        rows.append({"name": name} | figures | {"step": ledger.flops / full["flops"], "memory": ledger.peak / full["peak"]})
    return {
        "model": model, "config": asdict(c), "batch_size": batch_size, "length": length, **asked, "tasks": tasks, "optimizer": optimizer,
        "dtype": dtype, "dropout": c.dropout, "rank": rank, "methods": rows,
    }  # fmt: skip


def shape(name: str) -> TransformerConfig:
    """The configuration of a published, embedded or own model.

    Raises: CheckpointError for a name or folder that is none of these.

    >>> shape("t5-11b").d_ff, shape("google-t5/t5-11b").d_ff
    (65536, 65536)
    """
    if (short := ALIASES.get(name, name)) in PUBLISHED and not Path(name).is_dir():
        return PUBLISHED[short]
    try:
        return load_config(name)
    except CheckpointError as error:
        if Path(name).expanduser().exists():
            raise
        raise CheckpointError(f"{str(error).split('. ')[0]}. {near_misses(name, [*PUBLISHED, *embedded_models()])}") from None


def builder(method: str, rank: int | None = None) -> Callable[[Transformer], Delta]:
    """How a delta is built for a model without numbers.

    FISH would look at examples: here each matrix gets an even share of its places.  IPT would be given its space by other tasks.
    """
    settings = {"rank": rank} if rank and "rank" in inspect.signature(DELTAS[method]).parameters else {}

    def build(model: Transformer) -> Delta:
        if method == "fish":
            sizes = {path: model.get_submodule(path).weight.numel() for path in find_sites(model, FISH.default_targets)}
            return FISH(counts={path: max(1, round(0.02 * size)) for path, size in sizes.items()})
        if method == "ipt":
            return DELTAS[method](sizes=(*SUBSPACE, model.config.d_model))
        return example(method, model, **settings)

    return build


def in_bfloat16(ledger: Ledger) -> Ledger:
    """Two bytes for each number in place of four, but for the optimizer's moments.

    What mixed precision aims at.  On a CPU this kit holds more: a delta's own parameters stay float32, and so do the scores of
    attention where dropout works on them.  Token numbers and the statistics of norms are halved along, which is some thousandths.

    >>> in_bfloat16(Ledger(100, 100, 400, 400, 800, 60, 400, peak=1300)).peak
    1050
    """
    halves = {name: getattr(ledger, name) // 2 for name in ("weights", "gradients", "activations", "stored")}
    return replace(ledger, **halves, peak=(ledger.peak - ledger.optimizer) // 2 + ledger.optimizer)


# In words, and as a picture.


def report(found: dict[str, Any]) -> str:
    """The table: a column for each method, and how each line is reckoned."""
    c, rows, size, n = found["config"], found["methods"], DTYPES[found["dtype"]], found["batch_size"] * found["length"]
    moments, tasks = MOMENTS[found["optimizer"]], found["tasks"]
    layers = f"{c['n_layers']} + {c['n_decoder_layers']}" if c["shape"] == "encoder-decoder" else c["n_layers"]
    to = f" to {found['target_length'] or found['length']}" if c["shape"] == "encoder-decoder" else ""
    loss = f"a head for {found['classes']} classes" if found["classes"] else "the vocabulary scored at every token"
    lines = [
        f"{found['model']}: {c['shape']}, {layers} layers, {c['d_model']:,} wide, {c['n_heads']} heads, vocabulary {c['vocab_size']:,}",
        f"a training step on {found['batch_size']} texts of {found['length']:,}{to} tokens: {loss}, {found['optimizer']}, {found['dtype']}, dropout {found['dropout']:g}",
        "",
    ]
    dropout = "of attention q, k, v and, since dropout works on them, its scores thrice" if found["dropout"] else "of attention q, k, v and its result, not its scores"
    table = [
        ("", [row["name"] for row in rows], "how it is reckoned"),
        ("parameters", [f"{row['total']:,}" for row in rows], "model and head and delta"),
        ("  that train", [f"{row['trainable']:,}" for row in rows], ""),
        ("  share", [f"{100 * row['trainable'] / row['total']:.3g} %" for row in rows], "those that train / all"),
        ("memory", [""] * len(rows), ""),
        ("  weights", [amount(row["weights"]) for row in rows], f"{size} bytes x parameters"),
        ("  gradients", [amount(row["gradients"]) for row in rows], f"{size} bytes x those that train and are in the loss"),
        ("  optimizer", [amount(row["optimizer"]) for row in rows], f"4 bytes x {moments} moment{'s' * (moments != 1)} x those that train"),
        ("  activations", [amount(row["activations"]) for row in rows], "kept for backward: x where W trains [1]"),
        ("  peak", [amount(row["peak"]) for row in rows], "weights + optimizer + the larger of activations [2] and gradients"),
        ("  against full", [f"{row['memory']:.3f}" for row in rows], "peak / peak of full tuning"),
        ("storage", [""] * len(rows), ""),
        ("  one more task", [amount(row["stored"]) for row in rows], f"{size} bytes x those that train"),
        (f"  {tasks:,} task{'s' * (tasks != 1)}", [amount(row["stored_all"]) for row in rows], f"the frozen weights once + {tasks:,} x one task"),
        ("flops of a step", [""] * len(rows), ""),
        ("  forward", [amount(row["forward_flops"], "flop") for row in rows], f"2 x {n:,} tokens x numbers in matrices, + attention [3]"),
        ("  backward", [amount(row["backward_flops"], "flop") for row in rows], "as much for dL/dx [4], as much for dL/dW where W trains"),
        ("  against full", [f"{row['step']:.3f}" for row in rows], "flops / flops of full tuning"),
    ]
    first = max(len(label) for label, _, _ in table)
    widths = [max(len(values[i]) for _, values, _ in table) for i in range(len(rows))]
    for label, values, words in table:
        cells = [label.ljust(first), *(value.rjust(width) for value, width in zip(values, widths)), "", words]
        lines.append("  ".join(cells).rstrip())
    lines += [
        "",
        f"[1] and always what norms and nonlinearities read; {dropout}; nothing below the lowest part that trains",
        "[2] with the widest gradients that pass by while they are full: as a rule those of the logits; where none pass, with what the widest layer makes",
        "[3] 4 x texts x tokens x keys x (heads x their width) in each attention: Q K^T, and the weighted sum of V",
        "[4] only above the lowest part that trains",
    ]
    rehearsed = [row["name"] for row in rows if row["name"] not in FORMULAS]
    if rehearsed:
        lines += [f"{', '.join(rehearsed)}: a step taken on shapes alone, with the method's defaults; the others by formula"]
    if found["dtype"] == "bfloat16":
        lines += ["bfloat16: weights, gradients, activations and what is stored take 2 bytes a number, the optimizer's states 4, and no float32 copy of the weights is kept; this kit keeps a delta itself in float32, and on a CPU the scores of attention under dropout"]
    return "\n".join(lines)


def amount(value: float, unit: str = "B") -> str:
    """A size with three digits and a unit.

    >>> amount(37_748_736), amount(698_568_032_256), amount(2.9e15, "flop"), amount(0)
    ('37.7 MB', '699 GB', '2.9 Pflop', '0 B')
    """
    prefixes = ["", "k", "M", "G", "T", "P", "E"]
    while abs(value) >= 999.5 and len(prefixes) > 1:
        value, prefixes = value / 1000, prefixes[1:]
    return f"{value:.3g} {prefixes[0]}{unit}"


def drawable(path: Path) -> Path:
    """Raises: ConfigError for an ending that is none of a picture, or a place where no file can be written."""
    if path.suffix.lower() not in PICTURES:
        raise ConfigError(f"{path} does not end like a picture; give one of {', '.join(PICTURES)}.")
    home = next(parent for parent in path.absolute().parents if parent.exists())
    if path.is_dir() or not home.is_dir() or not os.access(home, os.W_OK):
        raise ConfigError(f"{path} cannot be written; choose another place for the picture.")
    return path


def figure(found: dict[str, Any], path: Path) -> None:
    """Draw memory, storage and work as stacked bars, full tuning first, into a .png, .svg or .pdf."""
    from matplotlib.figure import Figure  # without pyplot: there may be no screen

    rows, tasks, path = found["methods"], found["tasks"], drawable(path)
    canvas = Figure(figsize=(11, 2 + 0.45 * len(rows)), layout="constrained")
    memory, disk, work = canvas.subplots(1, 3, sharey=True)
    bars(memory, rows, dict(zip(MEMORY, MEMORY)), "B", "peak")
    bars(disk, rows, {"stored_all": None}, "B")
    bars(work, rows, {"forward_flops": "forward", "backward_flops": "backward"}, "flop")
    memory.set_title("memory of a step, and its peak")
    disk.set_title(f"storage of {tasks:,} task{'s' * (tasks != 1)}")
    work.set_title("work of a step")
    memory.set_yticks(range(len(rows)), [row["name"] for row in rows])
    memory.invert_yaxis()
    best = min(rows[1:] or rows, key=lambda row: row["peak"])
    canvas.suptitle(f"{found['model']}: with {best['name']} a step peaks at {100 * best['memory']:.0f} % of the memory of full tuning, and does {100 * best['step']:.0f} % of its work")
    canvas.supxlabel(f"{found['batch_size']} texts of {found['length']:,} tokens, {found['optimizer']}, {found['dtype']}, dropout {found['dropout']:g}; reckoned, not measured", fontsize=9)
    path.parent.mkdir(parents=True, exist_ok=True)
    canvas.savefig(path, dpi=150)


def bars(axes: Any, rows: list[dict[str, Any]], parts: dict[str, str | None], unit: str, mark: str | None = None) -> None:
    """Stacked bars of some parts of each row; at the end their sum, or a marked figure, which is smaller where parts do not meet."""
    left = [0.0] * len(rows)
    for (part, label), colour in zip(parts.items(), COLOURS):
        values = [row[part] for row in rows]
        axes.barh(range(len(rows)), values, left=left, color=colour, label=label, height=0.6)
        left = [start + value for start, value in zip(left, values)]
    told = [row[mark] for row in rows] if mark else left
    if mark:
        axes.scatter(told, range(len(rows)), marker="|", s=220, color="black", label=mark, zorder=3)
    for place, (end, value) in enumerate(zip(left, told)):
        axes.text(max(end, value), place, f" {amount(value, unit)}", va="center", fontsize=9)
    axes.set(xlim=(0, 1.35 * max(left + told)), xticks=[])
    axes.spines[["top", "right", "bottom"]].set_visible(False)
    if any(parts.values()):
        axes.legend(frameon=False, fontsize=8, ncols=3, loc="upper center", bbox_to_anchor=(0.5, 0))
