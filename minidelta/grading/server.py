"""The grader's end of the child: one warm process, many short jobs."""

import contextlib
import json
import os
import select
import shutil
import site
import socket
import subprocess
import sys
import sysconfig
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from minidelta.errors import ConfigError
from minidelta.grading import child
from minidelta.grading.values import sound

LARGEST = 16 << 20  # bytes of answers that are read of one job
GRACE = 5.0  # seconds that the keeper has on top of a job's own


@dataclass
class Job:
    """Code to run, and what to call in it.

    code: Python, as extracted from a notebook.
    name: the function or class that the task asks for.
    tests: of each the source of its `use` (or None) and its inputs, encoded.
    forbidden: dotted names of torch that the task is to do without.
    seconds: wall-clock time for all tests together.
    """

    code: str
    name: str
    tests: list[dict[str, Any]]
    forbidden: list[str] = field(default_factory=list)
    seconds: float = 4.0


@dataclass
class Answers:
    """What came back: one dictionary for each test ("value" or "error", "inputs"), None where nothing came; how it ended; which fences stood."""

    tests: list[dict[str, Any] | None]
    end: str
    fences: list[str]


class Server:
    """A warm child process; use it as a context manager.

    Raises: ConfigError where processes cannot be forked (Windows: use WSL; `check` works there).
    """

    def __init__(self) -> None:
        if not hasattr(os, "fork"):
            raise ConfigError("grading needs a system that can fork, as Linux and macOS can; on Windows use WSL, or check() in the notebook")
        self.scratch = tempfile.mkdtemp(prefix="minidelta-")
        self.hidden = hidden_folders()
        self.process: subprocess.Popen | None = None
        self.control: socket.socket | None = None

    def __enter__(self) -> "Server":
        self._start()
        return self

    def __exit__(self, *_: Any) -> None:
        self._stop()
        shutil.rmtree(self.scratch, ignore_errors=True)

    def _start(self) -> None:
        self.control, theirs = socket.socketpair()
        clean = {key: value for key, value in os.environ.items() if key in ("PATH", "HOME", "LANG", "LD_LIBRARY_PATH", "SYSTEMROOT")} | {"OMP_NUM_THREADS": "1"}
        clean["CUDA_VISIBLE_DEVICES"] = "-1"  # answers are computed on the CPU everywhere, and what has begun with CUDA cannot be forked
        command = [sys.executable, "-I", child.__file__, str(theirs.fileno())]
        self.process = subprocess.Popen(command, pass_fds=[theirs.fileno()], cwd=self.scratch, env=clean, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, start_new_session=True)
        theirs.close()

    def _stop(self) -> None:
        if self.control:
            self.control.close()
        if self.process:
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.process.wait(2)
            self.process.kill()
            self.process.wait()
            if self.process.stderr:
                self.process.stderr.close()

    def run(self, job: Job) -> Answers:
        """Run one job to its end.  A server that died is started anew, once; a job that kills it twice has no answers."""
        for _ in range(2):
            try:
                return self._run(job)
            except (BrokenPipeError, ConnectionError):
                self._stop()
                self._start()
        return Answers([None] * len(job.tests), "server died", [])

    def _run(self, job: Job) -> Answers:
        words = vars(job) | {"hidden": self.hidden, "scratch": self.scratch}
        read, write = os.pipe()
        try:
            with tempfile.TemporaryFile() as file:
                file.write(json.dumps(words).encode())
                file.seek(0)
                socket.send_fds(self.control, [b"J"], [file.fileno(), write])
        except OSError:
            os.close(read)
            raise
        finally:
            os.close(write)
        try:
            raw, ended = _read(read, time.monotonic() + job.seconds + GRACE + 20 * (self.process.poll() is None))
        finally:
            os.close(read)
        if not raw and self.process.poll() is not None:
            raise BrokenPipeError
        return _answers(raw, len(job.tests), ended)


def _read(pipe: int, deadline: float) -> tuple[bytes, str]:
    parts, size = [], 0
    while True:
        left = deadline - time.monotonic()
        if left <= 0:
            return b"".join(parts), "time"
        if not select.select([pipe], [], [], left)[0]:
            continue
        part = os.read(pipe, 1 << 16)
        if not part:
            return b"".join(parts), "done"
        parts.append(part)
        size += len(part)
        if size > LARGEST:
            return b"".join(parts), "too much"


def _answers(raw: bytes, count: int, end: str) -> Answers:
    """Lines to answers; what is no answer to a test that was asked, or a second one, does not count."""
    tests: list[dict[str, Any] | None] = [None] * count
    fences: list[str] = []
    for line in raw.decode("utf-8", "replace").splitlines():
        try:
            words = json.loads(line)
        except (ValueError, RecursionError):
            continue
        if not isinstance(words, dict):
            continue
        if isinstance(words.get("end"), str):  # the keeper speaks last, so the last word is its
            end, fences = words["end"], [str(fence) for fence in words.get("fences") or []]
        elif type(place := words.get("test")) is int and 0 <= place < count and tests[place] is None:
            tests[place] = _cleared(words)
    return Answers(tests, end, fences)


def _cleared(words: dict[str, Any]) -> dict[str, Any]:
    """An answer without what no honest child writes."""
    if "error" in words:
        problem = words["error"] if isinstance(words["error"], dict) else {}
        answer = {"error": {"type": str(problem.get("type"))[:80], "words": str(problem.get("words"))[:500], "line": problem.get("line")}}
    else:
        answer = {"value": words["value"] if sound(words.get("value", {})) else {"other": "something that no function returned"}}
    return answer | ({"inputs": words["inputs"]} if sound(words.get("inputs", {})) else {})


def hidden_folders() -> list[str]:
    """Folders that hold answers: the library, its tests, solutions and exercises, and the packages that know the methods."""
    root = Path(__file__).parents[2]
    places = [Path(__file__).parents[1], *(root / name for name in ("tests", "solutions", "exercises", "notebooks", ".git"))]
    for packages in {sysconfig.get_path("purelib"), sysconfig.get_path("platlib"), *site.getsitepackages()}:
        places += [Path(packages) / name for name in child.FORBIDDEN]
    return sorted({str(place.resolve()) for place in places if place.is_dir()})
