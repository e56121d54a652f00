"""Two processes that share the batches of an update end where one process ends."""

import os
import subprocess
import sys

import pytest
import torch
from safetensors.torch import load_file

from minidelta.errors import ConfigError
from minidelta.train import fit

SCRIPT = """
import sys
import torch
from minidelta.data import load_task
from minidelta.delta import LoRA
from minidelta.finetune import learner_for
from minidelta.hub import load_model, load_tokenizer
from minidelta.parallel import add_gradients, join
from minidelta.train import fit

torch.set_num_threads(1)
rank, world = join()
model, tokenizer, task = load_model("bert-nano"), load_tokenizer("bert-nano"), load_task("topic", shots=8)
torch.manual_seed(0)
learner = learner_for(model, tokenizer, task, seed=0)
delta = LoRA(rank=2).attach(model)
parameters = [p for p in model.parameters() if p.requires_grad] + learner.parameters()
learner.train()
history = fit(learner.loss, lambda number: learner.collate(task.train[4 * number % 48 :][:4]), parameters, steps=6, lr=1e-2, accumulate=2, log_every=2, checkpoint=sys.argv[1] + "/state", progress=False)
if world > 1:
    for p in parameters:
        p.grad = torch.ones_like(p)
    sent = add_gradients(parameters)
    if rank == 0:
        print("bytes", sent, sum(p.numel() for p in parameters), len(parameters), flush=True)
if rank == 0:
    delta.save(sys.argv[1] + "/delta")
    print("losses", history.losses, flush=True)
"""


def test_two_processes_end_where_one_ends(tmp_path):
    script = tmp_path / "training.py"
    script.write_text(SCRIPT, encoding="utf-8")
    told = {}
    for name, how in (("one", []), ("two", ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"])):
        (tmp_path / name).mkdir()
        run = subprocess.run([sys.executable, *how, str(script), str(tmp_path / name)], capture_output=True, text=True, timeout=240, env=os.environ | {"MINIDELTA_DEVICE": "cpu"})  # to the bit on one device alone
        assert run.returncode == 0, run.stderr[-2000:]
        told[name] = run.stdout.splitlines()
    one, two = (load_file(tmp_path / name / "delta" / "delta.safetensors") for name in ("one", "two"))
    assert one.keys() == two.keys() and all(torch.equal(one[key], two[key]) for key in one), "a sum of two has no order"
    losses = [[line for line in lines if line.startswith("losses")] for lines in told.values()]
    assert losses[0] == losses[1] and len(losses[0]) == 1
    sent, numbers, tensors = map(int, next(line for line in told["two"] if line.startswith("bytes")).split()[1:])
    assert sent == 4 * (numbers + tensors), "four bytes a number that trains, and a mark for each tensor"


def test_batches_that_cannot_be_shared_evenly_are_refused(monkeypatch):
    monkeypatch.setattr("minidelta.train.place", lambda: (0, 2))
    w = torch.tensor([1.0], requires_grad=True)
    with pytest.raises(ConfigError, match="accumulate is 3, and 2 processes share .* give a multiple of 2"):
        fit(lambda x: (w - x).square().sum(), lambda number: 1.0, [w], steps=1, lr=0.1, accumulate=3)
