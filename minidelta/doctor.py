"""`minidelta doctor`: is everything here that the course needs?  Each check is one line, and says what to do."""

import importlib.metadata
import os
import platform
import re
import shutil
import tempfile
import tomllib
from dataclasses import dataclass
from pathlib import Path

from minidelta.errors import MinideltaError


@dataclass(frozen=True)
class Check:
    """One thing looked at: what it is, whether it is well, and what was found (or what to do)."""

    name: str
    ok: bool
    found: str

    def __str__(self) -> str:
        return f"{'ok ' if self.ok else 'NO '} {self.name:22} {self.found}"


def examine() -> list[Check]:
    """Look at everything; no check can stop another.

    Returns: the checks in reading order; the machine is fit for the course when all are `ok`.
    """
    return [*_packages(), *_machine(), *_checkpoints(), _data(), *_places()]


def requirements() -> list[str]:
    """The pinned requirements, as the installed package (or the pyproject.toml beside it) states them.

    >>> any(line.startswith("torch==") for line in requirements())
    True
    """
    paper = Path(__file__).parents[1] / "pyproject.toml"
    if paper.is_file():
        return tomllib.loads(paper.read_text(encoding="utf-8"))["project"]["dependencies"]
    stated = importlib.metadata.requires("minidelta") or []
    return [line for line in stated if "extra ==" not in line]


def _packages() -> list[Check]:
    version = platform.python_version()
    enough = tuple(map(int, version.split(".")[:2])) >= (3, 11)
    checks = [Check("python", enough, version if enough else f"{version}, expected 3.11 or newer")]
    for requirement in requirements():
        name, wanted = re.split(r"\s*==\s*", requirement)
        try:
            met = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            met = "missing"
        same = met.partition("+")[0] == wanted  # 2.13.0+cpu and 2.13.0+cu130 are builds of 2.13.0
        checks.append(Check(name, same, met if same else f'{met}, expected {wanted}: pip install "{name}=={wanted}"'))
    return checks


def _machine() -> list[Check]:
    try:
        import torch

        from minidelta.hub.device import device

        where = device()
        name = f"{where} ({torch.cuda.get_device_name(where)})" if where.type == "cuda" else str(where)
        return [Check("device", True, name), Check("threads", True, f"{torch.get_num_threads()} of {os.cpu_count()} cores")]
    except (MinideltaError, ImportError, RuntimeError) as error:
        return [Check("device", False, str(error).splitlines()[0])]


def _checkpoints() -> list[Check]:
    """Load every embedded model and its tokenizer."""
    try:
        from minidelta.hub import embedded_models, load_model, load_tokenizer
    except ImportError as error:
        return [Check("checkpoints", False, str(error))]
    names = embedded_models()
    if not names:
        return [Check("checkpoints", False, "none embedded; `minidelta pretrain bert-nano` makes one")]
    broken = []
    for name in names:
        try:
            load_model(name, device="cpu")
            load_tokenizer(name)
        except Exception as error:  # whatever is wrong with a file, the other checks go on
            broken.append(f"{name}: {str(error).splitlines()[0]}")
    return [Check("checkpoints", not broken, "; ".join(broken) or f"{len(names)} load: {', '.join(names)}")]


def _data() -> Check:
    try:
        from minidelta.data import load_task

        task = load_task("sentiment")
        return Check("data", True, f"sentiment: {len(task.train):,} training, {len(task.test):,} test examples")
    except (MinideltaError, ImportError) as error:
        return Check("data", False, str(error).splitlines()[0])


def _places() -> list[Check]:
    here = Path.cwd()
    try:
        with tempfile.TemporaryFile(dir=here):
            writable = Check("write access", True, str(here))
    except OSError as error:
        writable = Check("write access", False, f"{here}: {error.strerror}; change to a folder of yours")
    free = shutil.disk_usage(here).free / 1e9
    enough = free >= 1
    return [writable, Check("disk", enough, f"{free:.1f} GB free" + ("" if enough else ", at least 1 GB is wanted"))]
