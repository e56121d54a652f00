"""Run the contests of some shapes; tell them as a table, as JSON, and as a picture."""

import importlib.util
import os
import subprocess
import sys
import tempfile
import warnings
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from minidelta.bench.contests import VIRTUAL, contests
from minidelta.bench.models import SHAPES, Both
from minidelta.bench.pairs import Different, matmul_peak, race
from minidelta.errors import ConfigError, near_misses
from minidelta.hub.device import device as choose_device
from minidelta.progress import progress

DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16}
LARGEST = 4096  # texts in a batch
STARTS = 3  # fresh processes that import, the fastest counts


def compare(
    shapes: Sequence[str] = ("micro",), *, only: str = "", rounds: int | None = None, batch: int | None = None, tokens: int | None = None,
    threads: int | None = None, dtype: str = "float32", compile: bool = False, device: str | torch.device | None = None,
) -> dict[str, Any]:  # fmt: skip
    """Measure.

    Args:
        shapes: names of SHAPES.
        only: run the contests whose name holds these words, in letters of either size.
        rounds: pairs of each contest; None: the shape's own.
        batch, tokens: of a step; None: the shape's own.
        threads: of the CPU; None: torch's own.
        dtype: of both sides, "float32" or "bfloat16".
        compile: measure what `torch.compile` spares, too, which needs a C++ compiler and up to a minute a shape.
        device: None: as `minidelta.hub.device` chooses.
    Returns: `rows` (see `pairs.race`, with the `shape` of each), and the machine: device, threads, dtype, matmul_gflops (its
        matrix-product peak), import_ms (of `import minidelta` beyond torch), peft (False: it is not installed, and its rows are left out),
        and `different`: what was not timed, because the two sides did not find the same.
    Raises: ConfigError for an unknown shape or number type, a size out of range, or where no contest has such a name.
    """
    for name in shapes:
        if name not in SHAPES:
            raise ConfigError(f"There is no shape {name!r} to measure. {near_misses(name, SHAPES)}")
    if dtype not in DTYPES:
        raise ConfigError(f"There is no number type {dtype!r} to measure in. {near_misses(dtype, DTYPES)}")
    longest = min(config.max_positions for name in shapes for config in (SHAPES[name].bert, SHAPES[name].gpt) if config) - VIRTUAL
    for what, given, least, most in (("threads", threads, 1, os.cpu_count()), ("batch", batch, 1, LARGEST), ("tokens", tokens, 2, longest)):
        if given is not None and not least <= given <= most:
            raise ConfigError(f"{what} is {given}; give {least} to {most} here.")
    where, before, rows, known, different = choose_device(device), torch.get_num_threads(), [], {}, []
    torch.set_num_threads(threads or before)
    try:
        machine = {"device": str(where), "threads": torch.get_num_threads(), "dtype": dtype, "matmul_gflops": matmul_peak(where, DTYPES[dtype])}
        for name in shapes:
            given = {"batch": batch, "tokens": tokens, "rounds": rounds}
            shape = replace(SHAPES[name], **{key: value for key, value in given.items() if value})
            for family, config in (("bert", shape.bert), ("gpt", shape.gpt)):
                if config is None:
                    continue
                with tempfile.TemporaryDirectory() as place, warnings.catch_warnings():
                    warnings.filterwarnings("ignore", category=FutureWarning, module="transformers")  # about their own future
                    both = Both(config, shape, Path(place), where, DTYPES[dtype])
                    found = contests(both, compile)
                    known |= dict.fromkeys(found)
                    for title in progress([title for title in found if only.lower() in title], description=f"{name}, {family}", unit="contest"):
                        try:
                            rows.append({"shape": name, "family": family} | race(found[title](title), shape.rounds, where))
                        except Different as problem:
                            different.append(f"{name} {family}, {problem}")
    finally:
        torch.set_num_threads(before)
    if not rows and not different:
        raise ConfigError(f"No contest has {only!r} in its name; there are: {'; '.join(known)}.")
    return {"rows": rows, "different": different} | machine | {"import_ms": import_time(), "peft": importlib.util.find_spec("peft") is not None}


def import_time() -> float:
    """Milliseconds that a fresh process takes for `import minidelta` when torch is there."""
    code = "import time, torch; start = time.perf_counter(); import minidelta; print(1000 * (time.perf_counter() - start))"
    return min(float(subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout) for _ in range(STARTS))


def table(found: dict[str, Any]) -> str:
    """The table: times, ratio with the smallest and the largest, the goal and whether it is met, memory."""
    rows = found["rows"]
    width = max((len(row["name"]) for row in rows), default=0)
    lines = [f"{'':16}{'':{width}}  {'ours':>9} {'theirs':>9}   ratio   min   max   goal     memory of a step"]
    for row in rows:
        goal = "" if row["goal"] is None else f"{row['goal']:.2f} {'met' if row['ratio'] <= row['goal'] else 'NOT'}"
        memory = "" if row["ours_mb"] is None else f"{row['ours_mb']:,.0f} of {row['theirs_mb']:,.0f} MB"
        lines.append(f"{label(row):16}{row['name']:{width}}  {time(row['ours_ms']):>9} {time(row['theirs_ms']):>9}   {row['ratio']:5.2f} {row['min']:5.2f} {row['max']:5.2f}   {goal:8} {memory:18} {'' if row['beside'] == 'transformers' else 'theirs: ' + row['beside']}".rstrip())
    lines.append(f"{found['device']}, {found['threads']} threads, {found['dtype']}; a matrix product reaches {found['matmul_gflops']:,.0f} GFLOP/s")
    for row in rows:
        if row["flops"]:
            rates = [row["flops"] / row[side] / 1e6 for side in ("ours_ms", "theirs_ms")]
            lines.append(f"{label(row)}, {row['name']}: {rates[0]:,.0f} GFLOP/s ({rates[0] / found['matmul_gflops']:.0%} of that), theirs {rates[1]:,.0f} ({rates[1] / found['matmul_gflops']:.0%})")
    lines += [*dict.fromkeys(row["note"] for row in rows if row["note"]), *found["different"]]
    lines.append(f"import minidelta takes {found['import_ms']:.0f} ms beyond torch")
    if not found["peft"]:
        lines.append('peft is not installed, and what is measured beside it is left out: pip install -e ".[oracles]"')
    return "\n".join(lines)


def label(row: dict[str, Any]) -> str:
    """The model of a row: micro comes as a BERT and as a GPT."""
    return f"{row['shape']} {row['family']}" if row["shape"] == "micro" else row["shape"]


def time(ms: float) -> str:
    """
    >>> time(1234.5), time(12.345), time(0.4567)
    ('1.23 s', '12.3 ms', '0.46 ms')
    """
    return f"{ms / 1000:.2f} s" if ms >= 1000 else f"{ms:.1f} ms" if ms >= 10 else f"{ms:.2f} ms"


def figure(found: dict[str, Any], path: Path) -> None:
    """Draw the ratios, each with its range and its goal, into a .png, .svg or .pdf."""
    from matplotlib.figure import Figure  # without pyplot: there may be no screen

    rows = found["rows"]
    canvas = Figure(figsize=(8, 1.5 + 0.3 * len(rows)), layout="constrained")
    axes, places = canvas.subplots(), range(len(rows))
    for place, row in zip(places, rows):
        met = row["goal"] is None or row["ratio"] <= row["goal"]
        axes.plot([row["min"], row["max"]], [place, place], color="#999999", lw=2, zorder=1)
        axes.scatter(row["ratio"], place, color="#0072B2" if met else "#D55E00", zorder=3)
        if row["goal"] is not None:
            axes.scatter(row["goal"], place, marker="|", s=150, color="black", zorder=2)
    axes.axvline(1, color="#555555", lw=1, ls=":")
    axes.set_yticks(places, [f"{label(row)}: {row['name']}" + ("" if row["beside"] == "transformers" else f" ({row['beside']})") for row in rows], fontsize=8)
    axes.invert_yaxis()
    axes.set_xscale("log")
    canvas.supxlabel("time of ours / time of theirs: median and range of the pairs; | the goal, orange: not met", fontsize=9)
    axes.set_xticks([0.05, 0.1, 0.2, 0.5, 1, 2], ["0.05", "0.1", "0.2", "0.5", "1", "2"])
    axes.minorticks_off()
    axes.set_title(f"{found['device']}, {found['threads']} threads, {found['dtype']}: left of 1 ours is faster", fontsize=10)
    path.parent.mkdir(parents=True, exist_ok=True)
    canvas.savefig(path, dpi=150)
