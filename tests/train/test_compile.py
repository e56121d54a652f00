"""A training step under torch.compile, as `fit(compile=True)` takes it: with every delta and every learner it is one graph.

The graph is caught whole (`fullgraph`) and then run as it stands (backend "eager"), without the minute that a real backend takes.
What has to hold is that nothing in the way of a loss breaks the graph, and that the caught one computes the same.
"""

import os
import shutil
import subprocess
import sys

import pytest
import torch

from minidelta.finetune import learner_for
from minidelta.finetune.training import parameter_groups
from minidelta.learner import Learner

from tests.finetune import tiny
from tests.prompt import tiny as prompted
from tests.train.test_autocast import VERBALIZERS, with_delta, with_prompt
from tests.train.test_device import KINDS, PAIRS


@pytest.fixture(autouse=True)
def forgotten():
    yield
    torch.compiler.reset()


def compiles(learner: Learner, method: str, delta=None, whole: bool = True) -> None:
    groups = parameter_groups(learner, method, delta)
    learner.make_room(getattr(delta, "prompt_length", 0))
    trained = [p for group in groups for p in group["params"] if p.requires_grad]
    batch = learner.collate(learner.task.train)
    learner.rest()  # no dropout: two losses are compared

    def loss():
        return learner.loss(batch) + (delta.penalty() if delta is not None else 0.0)

    def found(way):
        torch.manual_seed(0)  # some deltas draw gates
        value = way()
        return value.detach(), torch.autograd.grad(value, trained, allow_unused=True)

    (plain, gradients), (caught, others) = found(loss), found(torch.compile(loss, fullgraph=whole, backend="eager"))
    torch.testing.assert_close(caught, plain)
    for gradient, other in zip(gradients, others, strict=True):
        torch.testing.assert_close(other, gradient)


FIRST = {method: family for method, family in reversed(PAIRS)}  # each delta on one family; what it meets there is the same on all
BREAKS = {"p-tuning": "an LSTM, which torch.compile leaves as it is"}


@pytest.mark.parametrize(("method", "family"), FIRST.items())
def test_a_delta_is_one_graph(method, family):
    learner, delta = with_delta(method, family)
    compiles(learner, method, delta, whole=method not in BREAKS)


@pytest.mark.parametrize("method", ["full", "head"])
@pytest.mark.parametrize(("kind", "family"), KINDS)
def test_a_learner_is_one_graph(kind, family, method):
    compiles(learner_for(tiny.model(family), tiny.tokenizer(family), tiny.task(kind, 4)), method)


@pytest.mark.parametrize("verbalizer", VERBALIZERS)
@pytest.mark.parametrize("family", prompted.FAMILIES)
def test_a_prompt_is_one_graph(family, verbalizer):
    compiles(with_prompt(family, verbalizer), "full")


# -- the real kernels --------------------------------------------------------------------------------------------

RUN = """
import torch
from minidelta.train import fit

def run(**more):
    torch.manual_seed(0)
    model = torch.nn.Sequential(torch.nn.Linear(4, 8), torch.nn.GELU(), torch.nn.Dropout(0.0), torch.nn.Linear(8, 1))
    return fit(lambda x: (model(x) - x.sum(1, keepdim=True)).square().mean(), lambda number: torch.randn(16, 4), model.parameters(), steps=5, lr=1e-2, progress=False, **more)

"""


def python(code: str, **environment: str) -> subprocess.CompletedProcess:
    return subprocess.run([sys.executable, "-c", RUN + code], env=os.environ | environment, capture_output=True, text=True, timeout=300)


@pytest.mark.skipif(not shutil.which(os.environ.get("CXX", "g++")), reason="needs a C++ compiler")
def test_kernels_repeat_themselves_and_compute_what_the_loss_says(tmp_path):
    done = python(
        "a, b, plain = run(compile=True), run(compile=True), run()\n"
        "assert a.losses == b.losses\n"
        "torch.testing.assert_close(torch.tensor(a.losses), torch.tensor(plain.losses))",
        TORCHINDUCTOR_CACHE_DIR=str(tmp_path),
    )
    assert done.returncode == 0, done.stderr


def test_without_a_compiler_one_line_says_what_to_do(tmp_path):
    done = python("run(compile=True)", TORCHINDUCTOR_CACHE_DIR=str(tmp_path), CXX="no-such-compiler")
    assert done.returncode == 1
    assert "the kernels cannot be built (InvalidCxxCompiler: No working C++ compiler found" in done.stderr.splitlines()[-1] and "or leave compile out" in done.stderr.splitlines()[-1]
