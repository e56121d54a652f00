"""Attempts to get points without an answer: each scores nothing on its exercise, harms no neighbour, and leaves a whole result.

The notebook under attack has three exercises; the attack stands in the middle one, and the two honest answers around it
must keep all their points.
"""

import contextlib
import json
import time
from pathlib import Path

import pytest

from minidelta.grading.child import encode
from minidelta.grading.grade import as_csv, as_gradescope, grade
from minidelta.grading.key import Key, KeyTask, KeyTest
from minidelta.grading.notebook import cells_of
from minidelta.grading.server import Job, Server
from minidelta.grading.spec import Draw

HONEST = {"first": "def first(x):\n    return 2 * x", "last": "def last(x):\n    return x.sum()"}


def test_key(answer, name, count=2, seconds=1.0):
    tests = []
    for place in range(count):
        x = Draw(f"attack {name} {place}").tensor(3, 4)
        tests.append(KeyTest(f"test {place}", 1, place == 1, "", 1e-4, [], None, None, encode({"x": x}), {"value": encode(answer(x))}))
    return KeyTask(name, [], seconds, tests, [])


test_key.__test__ = False
KEY = Key("attacked", "0", [test_key(lambda x: 2 * x, "first"), test_key(lambda x: x.relu().sum(0), "target"), test_key(lambda x: x.sum(), "last")])

ATTACKS = {
    "exit when called": "def target(x):\n    import os\n    os._exit(0)",
    "exit when imported": "import os\nGONE = os._exit(0)\ndef target(x):\n    return GONE",
    "sys.exit": "def target(x):\n    import sys\n    sys.exit(0)",
    "abort": "def target(x):\n    import os\n    os.abort()",
    "stack overflow": "def target(x):\n    return target(x)",
    "an object equal to everything": "class Liar:\n    def __eq__(self, other): return True\n    def __ne__(self, other): return False\n    __hash__ = None\ndef target(x):\n    return Liar()",
    "a lying int": "class Liar(int):\n    def __eq__(self, other): return True\ndef target(x):\n    return Liar(3)",
    "a lying list": "class Liar(list):\n    def __eq__(self, other): return True\n    def __len__(self): return 4\ndef target(x):\n    return Liar()",
    "a lying tensor": "import torch\nclass Liar(torch.Tensor):\n    @classmethod\n    def __torch_function__(cls, function, types, args=(), kwargs=None): return True\ndef target(x):\n    return torch.zeros(4).as_subclass(Liar)",
    "comparison patched": "import torch\ndef target(x):\n    torch.allclose = torch.equal = torch.isclose = lambda *a, **k: True\n    return torch.zeros(4)",
    "an empty tensor": "import torch\ndef target(x):\n    return torch.empty(0)",
    "a tensor that broadcasts": "import torch\ndef target(x):\n    return torch.zeros(1)",
    "NaN": "import torch\ndef target(x):\n    return torch.full((4,), float('nan'))",
    "infinite": "import torch\ndef target(x):\n    return torch.full((4,), float('inf'))",
    "numpy": "def target(x):\n    return x.relu().sum(0).numpy()",
    "another dtype": "def target(x):\n    return x.relu().sum(0).double()",
    "nothing": "def target(x):\n    x.relu().sum(0)",
    "the caller's frame": "import sys\ndef target(x):\n    frame = sys._getframe()\n    while frame:\n        for value in list(frame.f_locals.values()):\n            if isinstance(value, dict) and 'expected' in value:\n                return value['expected']\n        frame = frame.f_back\n    return None",
    "tensors found through gc": "import gc\nimport torch\ndef target(x):\n    for thing in gc.get_objects():\n        if isinstance(thing, torch.Tensor):\n            thing.zero_()\n    return torch.zeros(4)",
    "its input zeroed": "import torch\ndef target(x):\n    x.zero_()\n    return x.relu().sum(0)",
    "pytest patched": "def target(x):\n    import pytest\n    pytest.skip('well')",
    "an exception that passes for a skip": "def target(x):\n    class Skipped(BaseException): pass\n    raise Skipped('all passed')",
    "atexit": "import atexit\nimport json\ndef target(x):\n    atexit.register(lambda: open('results.json', 'w').write(json.dumps({'score': 99})))\n    return 1",
    "the library's own answer": "def target(x):\n    from minidelta.grading import key\n    return key.build",
    "transformers": "def target(x):\n    import transformers\n    return transformers",
    "importlib": "import importlib\ndef target(x):\n    return importlib.import_module('minidelta.delta')",
    "a class with a borrowed name": "class Fake:\n    pass\nFake.__module__, Fake.__name__, Fake.__qualname__ = 'builtins', 'float', 'float'\ndef target(x):\n    return Fake()",
    "forged values": "import json\nimport os\ndef target(x):\n    for value in ({'tensor': 'float32', 'shape': [10**15], 'data': ''}, {'tensor': 'Tensor', 'shape': 'x', 'data': 3}, {'dict': 3}, {'float': []}, [[[]]]):\n        for pipe in range(3, 1024):\n            try:\n                for test in range(2):\n                    os.write(pipe, (json.dumps({'test': test, 'value': value, 'inputs': value, 'error': value}) + '\\n').encode())\n            except OSError:\n                pass\n    return 1",
    "solutions searched": "import glob\nimport os\ndef target(x):\n    hits = [open(path).read() for root, _, files in os.walk('/') for path in [os.path.join(root, f) for f in files if f.endswith('.ipynb')]]\n    return hits[0]",
    "results forged on stdout": "import json\nimport os\ndef target(x):\n    for stream in range(3):\n        os.write(stream, (json.dumps({'test': 0, 'value': 1}) + '\\n').encode())\n    print(json.dumps({'score': 99}))\n    return 1",
    "the result pipe": "import json\nimport os\ndef target(x):\n    for pipe in range(3, 1024):\n        try:\n            os.write(pipe, (json.dumps({'test': 0, 'value': {'float': '1.0'}, 'points': 99}) + '\\n' + json.dumps({'end': 'done', 'fences': ['all']}) + '\\n').encode())\n        except OSError:\n            pass\n    os._exit(0)",
    "the result pipe flooded": "import os\ndef target(x):\n    for pipe in range(3, 1024):\n        try:\n            while True:\n                os.write(pipe, b'x' * 65536)\n        except OSError:\n            pass",
    "the result pipe closed": "import os\ndef target(x):\n    os.closerange(3, 1024)\n    return x.relu().sum(0)",
    "an endless loop": "def target(x):\n    while True:\n        pass",
    "a loop that catches": "def target(x):\n    while True:\n        try:\n            while True:\n                pass\n        except BaseException:\n            pass",
    "a sleep": "import time\ndef target(x):\n    time.sleep(3600)",
    "signals ignored": "import signal\ndef target(x):\n    for number in range(1, 32):\n        try:\n            signal.signal(number, signal.SIG_IGN)\n        except (OSError, ValueError):\n            pass\n    while True:\n        pass",
    "8 GiB": "import torch\ndef target(x):\n    return torch.ones(1 << 31)",
    "8 GiB by lists": "def target(x):\n    return [0] * (1 << 30)",
    "forks": "import os\ndef target(x):\n    while True:\n        os.fork()",
    "a daemon": "import os\nimport time\ndef target(x):\n    if os.fork() == 0:\n        os.setsid()\n        time.sleep(3600)\n    return 1",
    "a process": "import subprocess\ndef target(x):\n    return subprocess.check_output(['id']).decode()",
    "the keeper killed": "import os\nimport signal\ndef target(x):\n    os.kill(os.getppid(), signal.SIGKILL)\n    os.kill(-1, signal.SIGKILL)",
    "ctypes": "import ctypes\ndef target(x):\n    return ctypes.CDLL(None).kill(-1, 9)",
    "ten million numbers": "import torch\ndef target(x):\n    return torch.zeros(10_000_000)",
    "lists within lists": "def target(x):\n    value = []\n    for _ in range(10_000):\n        value = [value]\n    return value",
    "a list that holds itself": "def target(x):\n    value = []\n    value.append(value)\n    return value",
    "a file": "def target(x):\n    open('/tmp/minidelta-was-here', 'w').write('x')\n    return 1",
    "the network": "import socket\ndef target(x):\n    return socket.create_connection(('127.0.0.1', 80), 1)",
    "threads": "import threading\nimport time\ndef target(x):\n    threading.Thread(target=time.sleep, args=(3600,)).start()\n    return 1",
    "a generator": "def target(x):\n    yield x.relu().sum(0)",
    "a coroutine": "async def target(x):\n    return x.relu().sum(0)",
    "code that is no code": "def target(x:\n    return x",
    "no such function": "def other(x):\n    return x",
    "a class instead": "class target:\n    pass",
    "memorised inputs": "import torch\nSEEN = {2.0: [1.0, 2.0, 3.0, 4.0]}\ndef target(x):\n    return torch.tensor(SEEN[x.numel()])",
    "an error that lies about itself": "class Odd(Exception):\n    def __str__(self): raise SystemExit\ndef target(x):\n    raise Odd",
    "torch itself broken": "import torch\ndef target(x):\n    torch.Tensor.reshape = torch.Tensor.detach = torch.Tensor.to = lambda *a, **k: 1 / 0\n    return x.relu().sum(0) * 0 + 1",
    "json patched": "import json\ndef target(x):\n    json.dumps = lambda *a, **k: '{\"test\": 0, \"value\": true}'\n    return 1",
}


def notebook(target: str) -> list:
    sources = [HONEST["first"], target, HONEST["last"]]
    return cells_of({"cells": [{"cell_type": "code", "source": source, "metadata": {"tags": ["exercise"]}} for source in sources]})


@pytest.mark.parametrize("name", ATTACKS)
def test_an_attack_scores_nothing_and_harms_no_neighbour(name, server):
    began = time.monotonic()
    result = grade(notebook(ATTACKS[name]), KEY, server, "mallory")
    points = {task.name: task.points for task in result.tasks}
    assert points == {"first": 2, "target": 0, "last": 2}, result.tasks[1]
    assert all(test.words for test in result.tasks[1].tests)
    assert json.loads(as_gradescope(result))["score"] == 4
    assert as_csv([result]).count("\n") == 2
    assert time.monotonic() - began < 15


def test_an_honest_answer_has_its_points_beside_them(server):
    result = grade(notebook("def target(x):\n    return x.clamp(min=0).sum(dim=0)"), KEY, server)
    assert result.points == result.of == 6


def test_the_fences_are_told_and_nothing_is_left_behind(server):
    result = grade(notebook(ATTACKS["a daemon"]), KEY, server)
    assert {"limits", "audit hook"} <= set(result.fences)
    for _ in range(100):
        if not (left := children(server.process.pid)):
            return
        time.sleep(0.05)
    raise AssertionError(f"processes {left} are still there")


def test_answers_are_computed_on_the_cpu_and_the_attacks_find_the_result_pipe(server):
    code = "import os\n\ndef look():\n    return [torch.cuda.is_available(), max(number for number in range(4096) if is_open(number))]\n\ndef is_open(number):\n    try:\n        return bool(os.fstat(number))\n    except OSError:\n        return False"
    (seen,) = server.run(Job(code, "look", [{"use": None, "inputs": encode({})}])).tests
    gpu, highest = seen["value"]["list"]
    assert gpu is False, "what has begun with CUDA cannot be forked"
    assert highest < 1024, "the attacks above look for the result pipe below this number"


def children(parent: int) -> list[int]:
    """Processes of a parent (none known where there is no /proc)."""
    found = []
    for file in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            if int(file.read_text().rpartition(")")[2].split()[1]) == parent:
                found.append(int(file.parent.name))
    return found


def test_files_beside_a_notebook_are_not_used(server, tmp_path, monkeypatch):
    for name in ("torch.py", "sitecustomize.py", "conftest.py", "json.py"):
        (tmp_path / name).write_text("raise SystemExit(3)")
    (tmp_path / "pytest.ini").write_text("[pytest]\naddopts = --collect-only")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    with Server() as fresh:
        assert grade(notebook("def target(x):\n    return x.relu().sum(0)"), KEY, fresh).points == 6


def test_a_server_that_dies_is_started_again(server):
    server.process.kill()
    server.process.wait()
    assert grade(notebook("def target(x):\n    return x.relu().sum(0)"), KEY, server).points == 6
