"""`pretrain` as a whole: a run, its record, an interruption, a person's own text, and what is refused."""

import json
import os
import subprocess
import sys
import threading
import time
from dataclasses import replace

import pytest
import torch
from safetensors.torch import load_file

import minidelta.pretrain.corpus as corpus
import minidelta.pretrain.run as run
from minidelta.errors import CheckpointError, ConfigError, DataError
from minidelta.hub import load_model, load_tokenizer
from minidelta.pretrain import RECIPES, pretrain
from minidelta.pretrain.masked import MaskedLM


@pytest.fixture(autouse=True)
def small(monkeypatch):
    """Recipes that take a second each."""
    for name in ("bert-nano", "gpt-nano", "gpt-icl-nano", "t5-nano"):
        monkeypatch.setitem(RECIPES, name, replace(RECIPES[name], d_model=16, n_layers=1, n_heads=2, steps=12, tokens=300, vocabulary=400))
    monkeypatch.setattr(corpus, "TOKENIZER_DOCUMENTS", 200)
    monkeypatch.setattr(corpus, "HELD_OUT", 20)


def weights(folder):
    return load_file(folder / "model.safetensors")


def same(one, other):
    one, other = weights(one), weights(other)
    return one.keys() == other.keys() and all(torch.equal(one[key], other[key]) for key in one)


@pytest.mark.parametrize("family", ["bert", "gpt", "t5"])
def test_a_run_leaves_a_model_a_tokenizer_and_a_record(family, tmp_path):
    folder = pretrain(f"{family}-nano", folder=tmp_path / "mine", seed=3, threads=1)
    model, tokenizer = load_model(folder), load_tokenizer(folder)
    assert model.config.vocab_size == len(tokenizer) == 400
    assert model.config.dropout == 0.1  # for fine-tuning
    assert {tensor.dtype for tensor in weights(folder).values()} == {torch.float16}

    record = json.loads((folder / "history.json").read_text())
    assert {"name": f"{family}-nano", "family": family, "steps": 12, "seed": 3, "threads": 1, "corpus": "world", "version": corpus.WORLD_VERSION}.items() <= record.items()
    assert record["parameters"] == sum(p.numel() for p in model.parameters())
    assert 0.7 * 12 * 300 < record["tokens"] < 1.5 * 12 * 300 + 12 * 512
    assert [point["step"] for point in record["curve"]] == list(range(1, 13))
    assert record["curve"][-1]["held_out"] < record["curve"][0]["held_out"]
    assert not list(tmp_path.glob(".*.run")), "the working folder is cleared away"
    beside = sorted(path.name for path in tmp_path.iterdir())
    assert beside == (["mine", "mine-step1", "mine-step2", "mine-step6"] if family == "bert" else ["mine"])


def test_snapshots_are_models_on_the_way(tmp_path):
    folder = pretrain("bert-nano", folder=tmp_path / "mine")
    losses = []
    for step in (1, 6):
        snapshot = tmp_path / f"mine-step{step}"
        assert load_tokenizer(snapshot).get_vocab() == load_tokenizer(folder).get_vocab()
        record = json.loads((snapshot / "history.json").read_text())
        assert record["steps"] == step and record["of_steps"] == 12 and record["curve"][-1]["step"] == step
        losses.append(record["curve"][-1]["held_out"])
        assert not same(snapshot, folder)
    assert losses[1] < losses[0]


def test_learning_in_context_is_watched_while_it_comes(tmp_path, monkeypatch):
    monkeypatch.setattr("minidelta.pretrain.shots.LISTS", 2)
    folder = pretrain("gpt-icl-nano", folder=tmp_path / "mine")
    record = json.loads((folder / "history.json").read_text())
    assert (record["corpus"], record["version"], record["steps"]) == ("lists", corpus.LISTS_VERSION, 12)
    assert all({"held_out", "drawn-0", "drawn-16", "function-1"} <= set(point) for point in record["curve"])
    assert [path.name for path in sorted(tmp_path.iterdir())] == ["mine", "mine-step2"]


class Stop(Exception):
    """The power fails."""


@pytest.mark.parametrize(("family", "optimizer"), [("bert", "adamw"), ("bert", "muon"), ("gpt", "adamw"), ("t5", "adamw")])
def test_an_interrupted_run_ends_as_if_it_had_not_stopped(family, optimizer, tmp_path, monkeypatch):
    name = f"{family}-nano"
    monkeypatch.setitem(RECIPES, name, replace(RECIPES[name], optimizer=optimizer))
    pretrain(name, folder=tmp_path / "straight")

    batches = run.Batches.__call__
    def failing(self, step):
        if step == 7:
            raise Stop
        return batches(self, step)

    monkeypatch.setattr(run.Batches, "__call__", failing)
    with pytest.raises(Stop):
        pretrain(name, folder=tmp_path / "broken")
    monkeypatch.setattr(run.Batches, "__call__", batches)
    assert not (tmp_path / "broken").exists() and (tmp_path / ".broken.run").exists()

    with pytest.raises(CheckpointError, match=r"other settings.*resume=False"):
        pretrain(name, folder=tmp_path / "broken", seed=5)
    seen = []
    monkeypatch.setattr(run.Batches, "__call__", lambda self, step: seen.append(step) or batches(self, step))
    pretrain(name, folder=tmp_path / "broken")
    assert seen[:5] == [7, 8, 9, 10, 11], "it goes on where it stopped"
    assert same(tmp_path / "straight", tmp_path / "broken")
    one, other = (json.loads((tmp_path / folder / "history.json").read_text()) for folder in ("straight", "broken"))
    assert one["curve"] == other["curve"]


def test_no_thread_outlives_the_run_whose_batches_it_makes():
    before, seen = set(threading.enumerate()), []
    with pytest.raises(Stop), run.Ahead(lambda step: seen.append(step) or time.sleep(0.01)) as ahead:
        ahead(3), ahead(4)
        assert set(threading.enumerate()) > before
        raise Stop
    assert set(threading.enumerate()) == before and seen[:2] == [3, 4] and seen in ([3, 4], [3, 4, 5])


def test_batches_depend_on_seed_and_step_alone(tokenizers, monkeypatch):
    monkeypatch.setattr(run, "LONG", {32: 0.2, 64: 0.2})

    def batches(seed):
        return run.Batches(corpus.WorldCorpus(), tokenizers["bert"], MaskedLM(tokenizers["bert"]), seed, tokens=300)

    def equal(one, other):
        return len(one) == len(other) and all(s.keys() == t.keys() and all(torch.equal(s[k], t[k]) for k in s) for s, t in zip(one, other))

    forward, backward = batches(0), batches(0)
    at = {step: backward(step) for step in reversed(range(20))}
    assert all(equal(forward(step), at[step]) for step in range(20))
    assert not equal(at[0], at[1]) and not equal(at[0], batches(1)(0))
    lengths = [batch[0]["input_ids"].shape[1] for batch in at.values() if len(batch) == 1]
    assert set(lengths) <= {32, 64} and len(lengths) in range(2, 15)


def test_own_text(tmp_path):
    text = tmp_path / "cheese.txt"
    text.write_text("\n\n".join(f"The cheese number {n} is good.\nIt was made in {1900 + n}." for n in range(60)), encoding="utf-8")
    folder = pretrain("bert-nano", corpus=text, folder=tmp_path / "cheese", steps=4)
    assert "Ġcheese" in load_tokenizer(folder).get_vocab()
    record = json.loads((folder / "history.json").read_text())
    assert record["corpus"] == "cheese" and len(record["version"]) == 12

    source = corpus.FileCorpus(text)
    held = {document.text for document in source.held_out()}
    stream = source.stream(0)
    trained = {next(stream).text for _ in range(1000)}
    assert len(held) == 3 and len(trained) == 57 and not held & trained
    assert source.held_out()[0].parts == ["The cheese number 19 is good.", "It was made in 1919."]


def test_own_text_of_one_document_a_line(tmp_path):
    text = tmp_path / "lines.txt"
    text.write_bytes("Ein Käse.\r\nNoch ein Käse.\r\nEin dritter.\r\n".encode())
    source = corpus.FileCorpus(text)
    assert len(source.held_out()) == 1 and sorted(source.texts()) == ["Ein Käse.", "Noch ein Käse."]


def test_without_a_folder_it_stands_in_the_present_one(tmp_path, monkeypatch):
    """The embedded model of the same name is never touched."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "lines.txt").write_text("One cheese.\nAnother cheese.\nA third one.\n")
    assert pretrain("gpt-nano", steps=1) == tmp_path / "checkpoints" / "gpt-nano"
    assert pretrain("gpt-nano", steps=1, corpus="lines.txt") == tmp_path / "checkpoints" / "gpt-nano-lines"


def test_long_paragraphs_of_own_text_lose_nothing(tmp_path):
    sentences = [f"This is sentence {n} of a long story." for n in range(100)]
    cut = corpus.paragraph("  ".join(sentences) + " " + "x" * 2500)
    assert len(cut) > 4 and max(len(document.text) for document in cut) <= 1000
    assert " ".join(document.text for document in cut).replace(" ", "") == ("".join(sentences) + "x" * 2500).replace(" ", "")
    assert cut[0].parts == sentences[: len(cut[0].parts)]


def test_documents_do_not_depend_on_the_process():
    code = "import itertools, minidelta.world as w; print(*itertools.islice(w.documents(5), 1500), sep='\\n')"
    one, other = (subprocess.run([sys.executable, "-c", code], env=os.environ | {"PYTHONHASHSEED": seed}, capture_output=True, text=True, check=True).stdout for seed in "12")
    assert one.count("\n") == 1500 and one == other


def test_a_folder_with_other_things_is_never_replaced(tmp_path):
    (tmp_path / "home").mkdir()
    (tmp_path / "home" / "letter.txt").write_text("dear")
    with pytest.raises(CheckpointError, match="letter.txt"):
        pretrain("bert-nano", folder=tmp_path / "home")
    assert (tmp_path / "home" / "letter.txt").read_text() == "dear"


def test_a_finished_model_can_be_made_again(tmp_path):
    one = pretrain("gpt-nano", folder=tmp_path / "again", steps=2)
    first = weights(one)
    two = pretrain("gpt-nano", folder=tmp_path / "again", steps=3)
    assert one == two and not torch.equal(first["transformer.wte.weight"], weights(two)["transformer.wte.weight"])


def test_what_cannot_work_is_refused_with_the_remedy(tmp_path):
    with pytest.raises(ConfigError, match="Did you mean bert-nano"):
        pretrain("bert-nan")
    with pytest.raises(ConfigError, match="steps is 0"):
        pretrain("bert-nano", steps=0)
    with pytest.raises(ConfigError, match="seed is -1"):
        pretrain("bert-nano", seed=-1)
    with pytest.raises(ConfigError, match="threads is 9999, and this machine has"):
        pretrain("bert-nano", threads=9999)
    with pytest.raises(ConfigError, match="threads is 0"):
        pretrain("bert-nano", threads=0)
    with pytest.raises(DataError, match="cannot be read"):
        pretrain("bert-nano", corpus=tmp_path / "nowhere.txt")
    empty, latin = tmp_path / "empty.txt", tmp_path / "latin.txt"
    empty.write_text(" \n\n \n")
    with pytest.raises(DataError, match="holds 0 documents"):
        pretrain("bert-nano", corpus=empty)
    latin.write_bytes(b"good\nK\xe4se\n")
    with pytest.raises(DataError, match="line 2: this is not UTF-8"):
        pretrain("bert-nano", corpus=latin)
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(CheckpointError, match="cannot be written"):
        pretrain("bert-nano", folder=tmp_path / "file" / "model")
