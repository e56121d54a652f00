"""The child: runs a learner's code behind fences and gives back values, never verdicts.

It stands alone (standard library and torch) and is started as `python -I child.py SOCKET`: neither the library nor the
working folder is on its path.  It imports torch once and then forks for each job, so that a job begins in milliseconds and
what one does to its interpreter no other ever sees.  A job is JSON in a file, an answer is one JSON line for each test:

    job     {"code", "name", "tests": [{"use", "inputs"}], "forbidden", "seconds", "hidden", "scratch"}
    answer  {"test", "value" or "error", "inputs"}  for each test, in order; then {"end", "fences"}

The processes, from the outside in: the grader; this server; a keeper for each job, which watches the clock and the memory;
the runner, which executes the learner's code.  Nothing that decides about points is in any of them but the grader.

The fences, as far as the system allows: own process, network and file-system views (Linux namespaces), a read-only disk,
folders that must not be read covered by empty ones, limits of time, memory, files and processes, and in every case an
audit hook, which refuses to open hidden files, to start processes, and to connect.  They deter and detect; they are no
sandbox for an exam.
"""

import __future__
import base64
import builtins
import contextlib
import ctypes
import json
import linecache
import math
import os
import signal
import socket
import sys
import time
import traceback
from typing import Any

import torch

try:
    import resource
except ImportError:  # Windows: values are encoded and checked in the notebook there, but no job is run
    resource = None

NAME = "<your code>"  # the file name of the learner's code in a traceback
MOST = 200_000  # numbers in an answer
DEEPEST = 8  # lists within lists
MEMORY = 4 << 30  # bytes of address space on top of what torch itself takes
FORBIDDEN = ("minidelta", "transformers", "peft", "opendelta", "openprompt", "adapters")  # the answer keys


# -- values as JSON ------------------------------------------------------------------------------------------


def encode(value: Any, depth: int = 0) -> Any:
    """A value as JSON that keeps its exact type: tensors as bytes with dtype and shape, everything foreign by name only.

    >>> encode((1, 2.5))
    {'tuple': [1, {'float': '2.5'}]}
    >>> encode(torch.tensor([1.0]))
    {'tensor': 'float32', 'shape': [1], 'data': 'AACAPw=='}
    >>> encode(object())
    {'other': 'object'}
    """
    kind = type(value)
    if value is None or kind in (bool, str) or (kind is int and abs(value) < 2**63):
        return value if kind is not str or len(value) <= MOST else {"other": f"str of {len(value):,} letters"}
    if kind is float:
        return {"float": repr(value)}
    if kind in (torch.Tensor, torch.nn.Parameter):
        if value.numel() > MOST:
            return {"other": f"tensor of {value.numel():,} numbers"}
        flat = value.detach().to("cpu").contiguous().reshape(-1)
        return {"tensor": str(value.dtype).removeprefix("torch."), "shape": list(value.shape), "data": base64.b64encode(flat.view(torch.uint8).numpy().tobytes()).decode()}
    if kind in (list, tuple, dict) and depth < DEEPEST and len(value) <= MOST:
        if kind is dict:
            return {"dict": [[encode(key, depth + 1), encode(item, depth + 1)] for key, item in value.items()]}
        return {kind.__name__: [encode(item, depth + 1) for item in value]}
    if kind in (list, tuple, dict):
        return {"other": f"{kind.__name__} too long or too deep"}
    return {"other": str(kind.__name__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__qualname__}")[:80]}


def decode(value: Any) -> Any:
    """What `encode` wrote, as values again.

    >>> decode(encode({"x": [torch.ones(2), None]}))
    {'x': [tensor([1., 1.]), None]}
    """
    if not isinstance(value, dict):
        return value
    if "tensor" in value:
        dtype = getattr(torch, value["tensor"])
        raw = bytearray(base64.b64decode(value["data"]))
        if not raw:
            return torch.empty(value["shape"], dtype=dtype)
        return torch.frombuffer(raw, dtype=dtype).reshape(value["shape"]).clone()
    if "dict" in value:
        return {_key(key): decode(item) for key, item in value["dict"]}
    if "list" in value:
        return [decode(item) for item in value["list"]]
    if "tuple" in value:
        return tuple(decode(item) for item in value["tuple"])
    if "float" in value:
        return float(value["float"])
    return value


def _key(key: Any) -> Any:
    key = decode(key)
    return key if isinstance(key, (str, int, float, bool, tuple)) or key is None else str(key)


# -- one job -------------------------------------------------------------------------------------------------


def run(job: dict[str, Any], emit: Any) -> None:
    """Execute the code of a job, then each test; `emit` gets one answer a test.

    A test calls the learner's function with the inputs as keyword arguments, or, if it has a `use`, calls that with the
    function first.  An error is an answer too: its type, its words, and the line of the learner's code where it arose.
    """
    space: dict[str, Any] = {"__name__": "exercise", "torch": torch}
    try:
        with forbid(job["forbidden"]):
            linecache.cache[NAME] = (len(job["code"]), None, job["code"].splitlines(keepends=True), NAME)
            exec(compile(job["code"], NAME, "exec", __future__.annotations.compiler_flag), space)  # noqa: S102  (this is what the process is for)
            answer = space[job["name"]]
    except BaseException as problem:  # noqa: BLE001  (SystemExit and KeyboardInterrupt are answers as well)
        failed = error(problem)
        for place in range(len(job["tests"])):
            emit({"test": place, "error": failed})
        return
    for place, test in enumerate(job["tests"]):
        emit({"test": place} | outcome(answer, test, job["forbidden"]))


def outcome(answer: Any, test: dict[str, Any], forbidden: list[str] = ()) -> dict[str, Any]:
    """The value or the error of one test, and its inputs as they are afterwards."""
    inputs = decode(test["inputs"])
    torch.manual_seed(0)
    try:
        with forbid(forbidden):
            if test["use"]:
                space = {"torch": torch}
                exec(test["use"], space)  # noqa: S102  (our own words, from the test)
                value = next(item for key, item in space.items() if key not in ("torch", "__builtins__"))(answer, **inputs)
            else:
                value = answer(**inputs)
        return {"value": encode(value), "inputs": encode(inputs)}
    except BaseException as problem:  # noqa: BLE001
        return {"error": error(problem), "inputs": encode(inputs)}


def error(problem: BaseException) -> dict[str, Any]:
    """Type, words, and the last line of the learner's own code that was running."""
    try:
        words = str(problem)
    except BaseException:  # noqa: BLE001  (its own __str__ may do anything)
        words = ""
    frames = [frame for frame in traceback.extract_tb(problem.__traceback__) if frame.filename == NAME or "ipykernel" in frame.filename]
    line, text = (frames[-1].lineno, frames[-1].line) if frames else (None, None)
    if isinstance(problem, SyntaxError) and problem.filename == NAME:
        line = problem.lineno
    return {"type": type(problem).__name__, "words": words[:500], "line": line, "text": text}


@contextlib.contextmanager
def forbid(names: list[str]) -> Any:
    """Make each of the dotted names (such as torch.nn.functional.softmax) raise while a task runs that is to do without it."""
    kept = []
    for name in names:
        owner, leaf = _find(name)
        kept.append((owner, leaf, getattr(owner, leaf)))
        setattr(owner, leaf, _refuse(name))
    try:
        yield
    finally:
        for owner, leaf, value in reversed(kept):
            setattr(owner, leaf, value)


def _find(name: str) -> tuple[Any, str]:
    *path, leaf = name.removeprefix("torch.").split(".")
    owner: Any = torch
    for part in path:
        owner = getattr(owner, part)
    return owner, leaf


def _refuse(name: str) -> Any:
    def refused(*_: Any, **__: Any) -> Any:
        raise PermissionError(f"this exercise is to be done without {name}")

    return refused


# -- the fences ----------------------------------------------------------------------------------------------

NEW_MOUNTS, NEW_IPC, NEW_USER, NEW_PIDS, NEW_NETWORK = 0x20000, 0x8000000, 0x10000000, 0x20000000, 0x40000000
READ_ONLY, RECURSIVE, PRIVATE = 1, 1 << 14, 1 << 18
KILL_WITH_PARENT, REAP_ORPHANS, NO_NEW_PRIVILEGES, DROP_BOUND = 1, 36, 38, 24  # of prctl
SET_MOUNT_ATTRIBUTES, WHOLE_TREE, HERE = 442, 0x8000, -100  # the system call mount_setattr and two of its words


def own_view() -> list[str]:
    """Put the processes to come into namespaces of their own (Linux, as root or where users may).  Returns: the fences that stand."""
    if not sys.platform.startswith("linux"):
        return []
    libc = ctypes.CDLL(None, use_errno=True)
    libc.prctl(REAP_ORPHANS, 1, 0, 0, 0)
    user, group = os.getuid(), os.getgid()
    wanted = NEW_PIDS | NEW_NETWORK | NEW_IPC
    if libc.unshare(wanted) != 0:
        if libc.unshare(NEW_USER | wanted) != 0:
            return []
        with contextlib.suppress(OSError):
            for name, words in (("setgroups", "deny"), ("uid_map", f"{user} {user} 1"), ("gid_map", f"{group} {group} 1")):
                with open(f"/proc/self/{name}", "w") as file:
                    file.write(words)
    return ["own processes", "no network"]


def own_disk(hidden: list[str], scratch: str) -> list[str]:
    """A read-only file system with empty folders where nothing may be read, and one small writable folder.  Returns: the fences that stand."""
    if not sys.platform.startswith("linux"):
        return []
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.unshare(NEW_MOUNTS) != 0 or libc.mount(None, b"/", None, RECURSIVE | PRIVATE, None) != 0:
        return []
    fences = []
    attributes = (ctypes.c_uint64 * 4)(READ_ONLY, 0, 0, 0)
    if libc.syscall(SET_MOUNT_ATTRIBUTES, HERE, b"/", WHOLE_TREE, attributes, ctypes.sizeof(attributes)) == 0:
        fences.append("read-only disk")
    covered = [libc.mount(b"none", place.encode(), b"tmpfs", READ_ONLY, b"size=4k") == 0 for place in hidden]
    if all(covered):
        fences.append("answers out of sight")
    if libc.mount(b"proc", b"/proc", b"proc", 0, None) != 0:
        libc.mount(b"none", b"/proc", b"tmpfs", READ_ONLY, b"size=4k")
    libc.mount(b"none", scratch.encode(), b"tmpfs", 0, b"size=4m")
    return fences


def give_up_powers() -> None:
    """A root without the powers of root: what was covered stays covered."""
    if not sys.platform.startswith("linux"):
        return
    libc = ctypes.CDLL(None, use_errno=True)
    libc.prctl(NO_NEW_PRIVILEGES, 1, 0, 0, 0)
    for power in range(64):
        libc.prctl(DROP_BOUND, power, 0, 0, 0)
    libc.capset((ctypes.c_uint32 * 2)(0x20080522, 0), (ctypes.c_uint32 * 6)(*[0] * 6))


def limit(seconds: float) -> None:
    """Limits of this process and all that it starts."""
    size = 0
    with contextlib.suppress(OSError):
        with open("/proc/self/statm") as file:
            size = int(file.read().split()[0]) * resource.getpagesize()
    processor = math.ceil(seconds) + 1
    wanted = {"RLIMIT_AS": size + MEMORY, "RLIMIT_CPU": processor, "RLIMIT_FSIZE": 1 << 20, "RLIMIT_CORE": 0, "RLIMIT_NOFILE": 64, "RLIMIT_NPROC": 0}
    for name, most in wanted.items():
        with contextlib.suppress(AttributeError, ValueError, OSError):
            resource.setrlimit(getattr(resource, name), (most, most))


PROCESSES = ("os.fork", "os.forkpty", "os.exec", "os.posix_spawn", "os.spawn", "os.system", "subprocess.Popen", "os.kill", "os.killpg", "pty.spawn", "_posixsubprocess.fork_exec")
DISK = ("os.remove", "os.rename", "os.rmdir", "os.mkdir", "os.link", "os.symlink", "os.truncate", "os.chmod", "os.chown", "shutil.rmtree")
MEMORY_OF_OTHERS = ("ctypes.dlopen", "ctypes.dlsym", "ctypes.call_function", "ctypes.string_at", "sys._current_frames", "gc.get_objects", "gc.get_referrers")


def refuse_by_hook(hidden: list[str], scratch: str) -> None:
    """An audit hook, which cannot be taken off again: no hidden file, no answer key, no process, no network."""
    covered = tuple(os.path.realpath(place) for place in hidden)
    room = os.path.realpath(scratch)
    busy = False

    def hook(event: str, arguments: tuple[Any, ...]) -> None:
        nonlocal busy
        if busy:
            return
        if event == "import" and str(arguments[0]).split(".")[0] in FORBIDDEN:
            raise ImportError(f"{arguments[0]} is not available here: the exercise is to be done with torch alone")
        if event in PROCESSES or event in MEMORY_OF_OTHERS or event.startswith("socket."):
            raise PermissionError(f"{event} is not allowed in an exercise")
        if event in ("open", "os.listdir", "os.scandir") or event in DISK:
            busy = True  # what follows asks the system for paths, which is audited as well
            try:
                path = arguments[0]
                place = os.path.realpath(os.fsdecode(path)) if isinstance(path, (str, bytes)) else ""
                writes = event in DISK or (event == "open" and isinstance(arguments[2], int) and arguments[2] & (os.O_WRONLY | os.O_RDWR | os.O_CREAT))
            finally:
                busy = False
            if any(place == root or place.startswith(root + os.sep) for root in covered) or place.startswith("/proc/"):
                raise PermissionError("this file is not for an exercise to read")
            if writes and place and place != room and not place.startswith(room + os.sep) and place != os.devnull:
                raise PermissionError("an exercise writes no files")

    sys.addaudithook(hook)


# -- server, keeper, runner ----------------------------------------------------------------------------------


def serve(control: socket.socket) -> None:
    """Fork a keeper for each pair of files that arrives, until the grader closes the door."""
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # keepers need no burial
    while True:
        message, files, _, _ = socket.recv_fds(control, 1, 2)
        if not message:
            return
        if os.fork() == 0:
            control.close()
            keep(*files)
            os._exit(0)
        for file in files:
            os.close(file)


def keep(job_file: int, result: int) -> None:
    """Start the runner of one job, and end it when it has had its time or its memory."""
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    with open(job_file, encoding="utf-8") as file:
        job = json.load(file)
    fences = own_view()
    told, tell = os.pipe()  # the runner tells which further fences stand before it touches the learner's code
    runner = os.fork()
    if runner == 0:
        os.close(told)
        _runner(job, result, tell)
        os._exit(0)
    os.close(tell)
    end, began = None, time.monotonic()
    while end is None:
        done, status = os.waitpid(runner, os.WNOHANG)
        if done:
            end = "done" if status == 0 else f"signal {-os.waitstatus_to_exitcode(status)}" if os.waitstatus_to_exitcode(status) < 0 else f"exit {os.waitstatus_to_exitcode(status)}"
        elif time.monotonic() - began > job["seconds"]:
            end = "time"
        elif _resident(runner) > MEMORY:
            end = "memory"
        else:
            time.sleep(0.003)
    _end_all(runner)
    with os.fdopen(told) as file:
        fences += json.loads(file.read() or "[]")
    os.write(result, (json.dumps({"end": end, "fences": [*fences, "limits", "audit hook"]}) + "\n").encode())


def _runner(job: dict[str, Any], result: int, tell: int) -> None:
    os.setpgid(0, 0)
    fences = own_disk(job["hidden"], job["scratch"])
    os.write(tell, json.dumps(fences).encode())
    os.close(tell)
    os.chdir(job["scratch"])
    nothing = os.open(os.devnull, os.O_RDWR)
    for stream in (0, 1, 2):
        os.dup2(nothing, stream)
    give_up_powers()
    limit(job["seconds"])
    refuse_by_hook(job["hidden"], job["scratch"])

    def emit(answer: dict[str, Any]) -> None:
        rest = memoryview((json.dumps(answer) + "\n").encode())
        while rest:
            rest = rest[os.write(result, rest) :]

    run(job, emit)


def _resident(process: int) -> int:
    try:
        with open(f"/proc/{process}/statm") as file:
            return int(file.read().split()[1]) * resource.getpagesize()
    except (OSError, IndexError, ValueError):
        return 0


def _end_all(runner: int) -> None:
    """End the runner and whatever it started: its process group, and all that came back to the keeper as orphans."""
    for end in (lambda: os.kill(runner, signal.SIGKILL), lambda: os.killpg(runner, signal.SIGKILL)):
        with contextlib.suppress(OSError):
            end()
    with contextlib.suppress(OSError):
        for _ in range(1000):
            with open(f"/proc/self/task/{os.getpid()}/children") as file:
                children = [int(word) for word in file.read().split()]
            if not children:
                return
            for child in children:
                with contextlib.suppress(OSError):
                    os.kill(child, signal.SIGKILL)
                    os.waitpid(child, 0)


def _warm() -> None:
    """Touch what torch loads late, so that no job pays for it (an optimizer brings in a second of modules)."""
    torch.set_num_threads(1)
    weight = torch.nn.Parameter(torch.zeros(1))
    weight.grad = torch.zeros(1)
    torch.optim.AdamW([weight]).step()
    for name in ("help", "exit", "quit", "input"):
        if hasattr(builtins, name):
            delattr(builtins, name)


if __name__ == "__main__":
    _warm()
    serve(socket.socket(fileno=int(sys.argv[1])))
