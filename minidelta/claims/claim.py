"""What a claim is: parts with margins, runs with seeds, a record on disk, and a verdict that is computed.

A claim's file says, before anything is run, which statistic must lie above which margin (`Part`), which runs it
takes (`runs`, plain dictionaries) and how one of them is done (`do`).  `measure` does them one after another,
writes each result down at once (so an interruption costs one run), and `judge` turns the results into a verdict:

    a part     holds             if the whole 95 % interval over seeds lies above its margin
               does not hold     if the whole interval lies below
               is inconclusive   if the interval crosses it
    the claim  holds if every part holds, does not hold here if one does not, is inconclusive otherwise
"""

import datetime
import json
import math
import os
import platform
import statistics
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from minidelta.errors import CheckpointError, ConfigError
from minidelta.progress import progress

RECORDS = Path(__file__).parent / "records"
HOLDS, OPEN, FAILS = "holds", "inconclusive", "does not hold here"
STUDENT = {2: 12.706, 3: 4.303, 4: 3.182, 5: 2.776, 6: 2.571, 7: 2.447, 8: 2.365, 9: 2.306, 10: 2.262}  # two-sided 95 %, by sample size

Run = dict[str, Any]  # what one run is: the arm, the seed, ...; with its `score` once it is done


@dataclass(frozen=True)
class Part:
    """One statement of a claim: a statistic, one figure per seed, whose mean must lie above a margin.

    statistic: all finished runs of one seed -> the figure of that seed.
    """

    name: str
    statement: str
    margin: float
    statistic: Callable[[list[Run]], float]


@dataclass(frozen=True)
class Claim:
    """One line of the table of claims.

    id, section, claim: as the table prints them.  paper: the figure that was published, with its source.
    parts: every one of them must hold.
    runs: light -> the runs it takes; a light version shows the same in a notebook, from fewer runs.
    do: one run -> its results, merged into the run.
    """

    id: str
    section: str
    claim: str
    paper: str
    parts: tuple[Part, ...]
    runs: Callable[[bool], list[Run]]
    do: Callable[[Run], dict[str, Any]]


def interval(values: list[float]) -> tuple[float, float, float]:
    """Mean of one figure per seed, and its 95 % interval by Student's t.

    >>> [round(x, 3) for x in interval([0.7, 0.8, 0.9, 0.8, 0.8])]
    [0.8, 0.712, 0.888]
    """
    mean = statistics.mean(values)
    if len(values) < 2:
        raise ConfigError("An interval needs at least two seeds.")
    half = STUDENT[min(len(values), max(STUDENT))] * statistics.stdev(values) / math.sqrt(len(values))
    return mean, mean - half, mean + half


def judge(claim: Claim, runs: list[Run]) -> dict[str, Any]:
    """The parts of a claim with their figures, intervals and verdicts, and the verdict of the whole.

    Args:
        claim: what is claimed.
        runs: finished runs; a seed counts when all its runs are there.
    """
    seeds = sorted({run["seed"] for run in runs})
    parts = []
    for part in claim.parts:
        values = [part.statistic([run for run in runs if run["seed"] == seed]) for seed in seeds]
        mean, low, high = interval(values)
        verdict = HOLDS if low > part.margin else FAILS if high < part.margin else OPEN
        parts.append({"name": part.name, "statement": part.statement, "margin": part.margin, "mean": round(mean, 4), "interval": [round(low, 4), round(high, 4)], "verdict": verdict})
    verdicts = {part["verdict"] for part in parts}
    return {"parts": parts, "verdict": FAILS if FAILS in verdicts else OPEN if OPEN in verdicts else HOLDS, "seeds": seeds}


def measure(claim: Claim, light: bool = False, folder: Path = RECORDS) -> dict[str, Any]:
    """Do the runs of a claim, judge them, and keep the record.  An interrupted measurement goes on where it was.

    Args:
        claim: what to show.
        light: fewer runs; kept in a record of their own.
        folder: where records are kept.
    Returns: the record: id, section, claim, paper, parts, verdict, seeds, minutes, date, machine, commit, torch, threads, light, runs.
    Raises: CheckpointError if the record cannot be written.
    """
    file = _file(claim, light, folder)
    unfinished = file.with_suffix(".unfinished")
    known = json.loads(unfinished.read_text(encoding="utf-8")) if unfinished.exists() else {}
    wanted = claim.runs(light)
    done = [run for run in known.get("runs", []) if any(_same(run, spec) for spec in wanted)]
    seconds = known.get("minutes", 0.0) * 60 if done else 0.0
    for spec in progress([spec for spec in wanted if not any(_same(run, spec) for run in done)], description=claim.id, unit="run"):
        started = time.perf_counter()
        done.append(spec | claim.do(spec))
        seconds += time.perf_counter() - started
        _write(unfinished, {"minutes": seconds / 60, "runs": done})
    about = {"id": claim.id, "section": claim.section, "claim": claim.claim, "paper": claim.paper}
    where = {"minutes": round(seconds / 60, 1), "date": datetime.date.today().isoformat(), "machine": f"{platform.machine()}, {os.cpu_count()} cores", "commit": _commit(), "torch": torch.__version__, "threads": torch.get_num_threads(), "light": light}
    record = about | judge(claim, done) | where | {"runs": done}
    _write(file, record)
    unfinished.unlink(missing_ok=True)
    return record


def read(claim: Claim, light: bool = False, folder: Path = RECORDS) -> dict[str, Any] | None:
    """The record of a claim; None if it was never measured."""
    file = _file(claim, light, folder)
    return json.loads(file.read_text(encoding="utf-8")) if file.exists() else None


def row(claim: Claim, record: dict[str, Any] | None) -> dict[str, Any]:
    """One line of the table of claims; `ours` and `interval` are those of the first part, `parts` has all of them."""
    line = {"id": claim.id, "section": claim.section, "claim": claim.claim, "paper": claim.paper}
    if record is None:
        return line | {"ours": None, "interval": None, "verdict": "not measured yet", "minutes": None, "seeds": [], "commit": None, "date": None, "machine": None, "parts": []}
    first = record["parts"][0]
    return line | {"ours": first["mean"], "interval": first["interval"]} | {key: record.get(key) for key in ("verdict", "minutes", "seeds", "commit", "date", "machine", "parts")}


def in_words(line: dict[str, Any]) -> str:
    """A line of the table, told part by part."""
    told = [f"{line['id']} ({line['section']}): {line['claim']}", f"  published: {line['paper']}", f"  verdict: {line['verdict']}"]
    for part in line["parts"]:
        low, high = part["interval"]
        told.append(f"    {part['statement']}: {part['mean']:+.3f} [{low:+.3f}, {high:+.3f}], margin {part['margin']:+.3f}: {part['verdict']}")
    if line["minutes"] is not None:
        when = f", {line['date']} on {line['machine']}" if line.get("date") else ""
        told.append(f"  {len(line['seeds'])} seeds, {line['minutes']} minutes{when}, commit {line['commit']}")
    return "\n".join(told)


def _file(claim: Claim, light: bool, folder: Path) -> Path:
    return folder / f"{claim.id}{'-light' if light else ''}.json"


def _same(run: Run, spec: Run) -> bool:
    return all(run.get(key) == value for key, value in spec.items())


def _write(file: Path, record: dict[str, Any]) -> None:
    """Beside it, then into place: a record is never half a record."""
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        beside = file.with_name(file.name + ".partial")
        rows = ",\n  ".join(json.dumps(run) for run in record["runs"])
        head = json.dumps(record | {"runs": []}, indent=1, ensure_ascii=False)
        beside.write_text(head.replace('"runs": []', f'"runs": [\n  {rows}\n ]') + "\n", encoding="utf-8")
        os.replace(beside, file)
    except OSError as problem:
        raise CheckpointError(f"{file} cannot be written ({problem.strerror}). Run from a folder that you may write to.") from None


def _commit() -> str | None:
    """The commit that the figures were measured at; None outside a clone."""
    try:
        asked = subprocess.run(["git", "rev-parse", "--short", "HEAD"], cwd=Path(__file__).parent, capture_output=True, text=True)
    except FileNotFoundError:  # no git
        return None
    return asked.stdout.strip() or None
