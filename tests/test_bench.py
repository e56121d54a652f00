"""The bench: fair pairs, honest rows, a table and a picture."""

import importlib.util
import json
import os
import shutil
import time
from dataclasses import replace

import pytest
import torch

from minidelta import bench, cli
from minidelta.bench import pairs
from minidelta.bench.contests import step
from minidelta.bench.models import SHAPES, Both, Shape
from minidelta.bench.pairs import Contest, Different, race
from minidelta.errors import ConfigError
from minidelta.model import bert_config, gpt2_config

CPU = torch.device("cpu")
TINY = {"vocab_size": 60, "d_model": 16, "n_layers": 2, "n_heads": 2, "d_ff": 32, "max_positions": 64, "dropout": 0.0}
SHAPE = Shape(bert_config(**TINY), gpt2_config(**TINY), batch=3, tokens=8, rounds=2, written=3)


@pytest.fixture(scope="module")
def found():
    """Everything, once, on a tiny shape."""
    pytest.importorskip("peft")
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(SHAPES, "micro", SHAPE)
        return bench.compare(["micro"])


def test_every_contest_is_run_in_both_families(found):
    names = [(row["family"], row["name"]) for row in found["rows"]]
    steps = ["full", "full, scores only where labelled", "lora", "adapter", "ia3", "prefix", "prompt", "lora beside full", "lst beside full"]
    both = ["forward", "step, full", "step, lora", "attach lora", "attach, merge, unmerge, detach lora", "save and load lora", "save and load the model"]
    assert {("bert", f"step, {name}") for name in steps} | {(family, name) for family in ("bert", "gpt") for name in both} <= set(names)
    assert {("gpt", "write 3 pieces, batch 1"), ("gpt", "write 3 pieces, batch 16")} <= set(names)
    assert len(names) == len(set(names))


@pytest.mark.skipif(not shutil.which(os.environ.get("CXX", "g++")), reason="needs a C++ compiler")
def test_what_compiling_spares_is_measured_when_asked_for(monkeypatch):
    monkeypatch.setitem(SHAPES, "micro", replace(SHAPE, gpt=None))
    rows = bench.compare(["micro"], only="lora, compiled", compile=True)["rows"]
    assert [(row["name"], row["beside"], row["ours_mb"]) for row in rows] == [("step, lora, compiled", "our plain step", None)]
    with pytest.raises(ConfigError, match="No contest"):
        bench.compare(["micro"], only="compiled")


def test_the_rows_say_what_the_contract_asks(found):
    json.dumps(found)
    for row in found["rows"]:
        assert row["ours_ms"] > 0 and row["theirs_ms"] > 0 and row["min"] <= row["ratio"] <= row["max"]
        assert (row["ours_mb"] is not None) == row["name"].startswith("step")
    assert found["matmul_gflops"] > 0 and 0 < found["import_ms"] < 300, "nothing heavy is imported until it is needed"


def test_the_table_and_the_picture(found, tmp_path):
    words = bench.table(found)
    assert all(row["name"] in words for row in found["rows"]) and "GFLOP/s" in words and "bottleneck adapter" in words
    bench.figure(found, tmp_path / "deep" / "bench.svg")
    assert (tmp_path / "deep" / "bench.svg").read_text().startswith("<?xml")


def test_a_goal_is_met_or_not():
    row = {"shape": "micro", "family": "bert", "name": "x", "beside": "peft", "ours_ms": 1.0, "theirs_ms": 2.0, "ratio": 0.5, "min": 0.4, "max": 0.6, "goal": 0.5, "ours_mb": 3.0, "theirs_mb": 6.0, "flops": None, "note": "so"}
    rest = {"different": ["z differs"], "device": "cpu", "threads": 1, "dtype": "float32", "matmul_gflops": 50.0, "import_ms": 2.0, "peft": False}
    words = bench.table({"rows": [row, row | {"name": "y", "goal": 0.49}]} | rest)
    assert "0.50 met" in words and "z differs" in words and "0.49 NOT" in words and words.count("\nso") == 1 and "peft is not installed" in words


def test_pairs_alternate_and_undoing_is_not_timed():
    order = []

    def way(name, pause):
        def run():
            order.append(name)
            return lambda: time.sleep(pause)

        return run

    row = race(Contest("x", way("a", 0.05), way("b", 0.0)), 4, CPU)
    assert order == ["a", "b"] + ["a", "b", "b", "a"] * 2
    assert row["ours_ms"] < 20


def test_ways_that_find_different_things_are_not_timed():
    contest = Contest("forward", lambda: None, lambda: None, results=(lambda: torch.ones(2), lambda: torch.tensor([1.0, 1.1])))
    with pytest.raises(Different, match=r"forward: the results of ours and of transformers differ by up to 0\.1, so their times"):
        race(contest, 1, CPU)
    with pytest.raises(Different, match="differ in shape"):
        race(replace(contest, results=(lambda: torch.ones(2), lambda: torch.ones(3))), 1, CPU)
    rough = replace(contest, results=(lambda: torch.ones(2).bfloat16(), lambda: torch.tensor([1.0, 1.03]).bfloat16()))
    assert race(rough, 1, CPU)["ratio"] > 0  # a few roundings of bfloat16


def test_a_row_that_differs_is_told_and_the_others_are_measured(monkeypatch, capsys):
    monkeypatch.setitem(SHAPES, "micro", replace(SHAPE, gpt=None))
    monkeypatch.setattr("minidelta.bench.contests.their_loss", lambda *sides: lambda: torch.ones((), requires_grad=True))
    assert cli.main(["bench", "--only", "full", "--rounds", "1", "--json"]) == 1
    told = json.loads(capsys.readouterr().out)
    assert [row["beside"] for row in told["rows"]] == ["our full step"] * 2
    assert len(told["different"]) == 2 and "micro bert, step, full: the results of ours and of transformers differ" in told["different"][0]


def test_bfloat16_is_measured(monkeypatch):
    monkeypatch.setitem(SHAPES, "micro", SHAPE)
    found = bench.compare(["micro"], only="forward", dtype="bfloat16")
    assert len(found["rows"]) == 2 and not found["different"]


@pytest.mark.parametrize(("batch", "tokens"), [(1, 2), (3, 5), (32, 2)])
def test_every_size_of_batch_is_measured(batch, tokens, monkeypatch):
    monkeypatch.setitem(SHAPES, "micro", SHAPE)
    for only in ("step, full", "write"):
        assert bench.compare(["micro"], only=only, rounds=1, batch=batch, tokens=tokens)["rows"]


def test_the_memory_of_a_run_leaves_out_what_was_there():
    there = torch.zeros(1000)

    def run():
        there.view(-1), torch.ones(500)

    assert pairs.most(run, lambda: [there], CPU) == 500 * 4 / 1e6


def test_frozen_weights_were_there_before_a_step():
    layer, bias = torch.nn.Linear(100, 100).requires_grad_(False), torch.zeros(100, requires_grad=True)
    way, state = step(lambda: (layer(torch.ones(1, 100) + bias)).sum(), [*layer.parameters(), bias])
    way()
    assert 0 < pairs.most(way, state, CPU) < layer.weight.nbytes / 1e6


def test_both_sides_hold_the_same_weights(tmp_path):
    both = Both(SHAPE.bert, SHAPE, tmp_path, CPU, torch.float32)
    theirs = both.theirs("classes")
    assert torch.equal(both.head().weight, theirs.classifier.weight)
    assert torch.equal(both.ours().token_embedding.weight, theirs.bert.embeddings.word_embeddings.weight)
    assert 0 < (both.labels >= 0).float().mean() < 0.5


def test_without_peft_its_rows_are_left_out(monkeypatch):
    find = importlib.util.find_spec
    monkeypatch.setattr("importlib.util.find_spec", lambda name, *more: None if name == "peft" else find(name, *more))
    monkeypatch.setitem(SHAPES, "micro", replace(SHAPE, gpt=None))
    found = bench.compare(["micro"], rounds=1, only="step")
    assert not found["peft"] and {row["beside"] for row in found["rows"]} == {"transformers", "our full step"}


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--shape", "bert-bse"], "There is no shape 'bert-bse' to measure. Did you mean bert-base"),
        (["--dtype", "int8"], "There is no number type 'int8'"),
        (["--figure", "a.gif"], "does not end like a picture"),
        (["--figure", "/dev/null/a.png"], "cannot be written; choose another place"),
        (["--only", "typo"], "No contest has 'typo' in its name; there are: forward; step, full; "),
        (["--threads", "99999999999"], "threads is 99999999999; give 1 to"),
        (["--batch", "99999999999"], "batch is 99999999999; give 1 to 4096"),
        (["--tokens", "1"], "tokens is 1; give 2 to 502"),
    ],
)
def test_a_mistake_is_one_line(words, message, capsys):
    assert cli.main(["bench", *words]) == 2
    assert message in capsys.readouterr().err


def test_a_name_that_no_contest_has(monkeypatch, capsys):
    monkeypatch.setitem(SHAPES, "micro", replace(SHAPE, bert=None))
    assert cli.main(["bench", "--only", "swim", "--rounds", "1"]) == 2
    assert "No contest has 'swim' in its name" in capsys.readouterr().err
