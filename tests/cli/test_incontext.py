"""`run --method incontext` and `predict` from end to end: what is shown, how answers count, what is kept, mistakes in one line."""

import json

import pytest

from minidelta import cli, predict, run
from minidelta.data import Example
from tests.cli.test_run import CONTRACT, answer

ASK = "{text_a|shorten} it was {mask}"
WORDS = "neg=bad;pos=good"


def go(capsys, folders, task, family, out, *more):
    return answer(capsys, "run", "--model", folders[family], "--task", task, "--method", "incontext", "--no-from-scratch", "--out", out, *more)[0]


@pytest.mark.parametrize("family", ["bert", "gpt", "t5"])
@pytest.mark.parametrize("shots", [0, 1, 6])
def test_every_family_and_number_of_examples(family, shots, folders, reviews, tmp_path, capsys):
    result = go(capsys, folders, reviews, family, tmp_path / "kept", "--template", ASK, "--verbalizer", WORDS, "--shots", shots)
    assert set(result) >= CONTRACT and (result["method"], result["shots"], result["steps"], result["trainable"]) == ("incontext", shots, 0, 0)
    assert result["prompt"].count("it was") == shots + 1 and result["prompt"].count("was good") + result["prompt"].count("was bad") >= shots
    row, _ = answer(capsys, "predict", "--run", tmp_path / "kept", "the film was good")
    assert row["label"] in ("pos", "neg") and abs(sum(row["probabilities"].values()) - 1) < 1e-3
    assert ("1 in the prompt, of 98" in run.report(result)) == (shots == 1)


@pytest.mark.parametrize("more", [("--choose", "nearest"), ("--choose", "random", "--calibrate", "batch"), ("--normalise", "unconditional"), ("--normalise", "mean", "--description", "good or bad?")])
def test_what_is_kept_answers_alike(more, folders, reviews, tmp_path, capsys, monkeypatch):
    learners, make = [], run.in_context
    for place in (run, predict):
        monkeypatch.setattr(place, "in_context", lambda *words, **settings: learners.append(make(*words, **settings)) or learners[-1])
    go(capsys, folders, reviews, "gpt", tmp_path / "kept", "--template", "question", "--shots", 3, "--seed", 2, *more)
    answer(capsys, "predict", "--run", tmp_path / "kept", "the film was good")
    some = [Example("the film was good"), Example("the meal was bad")]
    first, again = ([one.source for one, _, _ in learner.context.prompts(some)] for learner in learners)
    assert first == again and first[0].count("Q:") == 4
    assert learners[0].score(some).allclose(learners[1].score(some), atol=1e-5)


def test_answers_are_written_where_they_are_words(folders, tmp_path, capsys):
    result = go(capsys, folders, "translation", "gpt", tmp_path / "kept", "--shots", 2, "--description", "In French:")
    assert result["metric"] == "bleu" and result["prompt"].startswith("In French: ") and result["prompt"].count("=>") == 3
    assert isinstance(answer(capsys, "predict", "--run", tmp_path / "kept", "the film")[0]["label"], str)
    kept = json.loads((tmp_path / "kept" / "run.json").read_text(encoding="utf-8"))["learner"]
    assert len(kept["shown"]) == 2 and kept["form"] == ["{text_a} => {mask}", " . "]


def test_choices_are_answered_in_context(folders, tmp_path, capsys):
    go(capsys, folders, "analogy", "gpt", tmp_path / "kept", "--shots", 2, "--normalise", "unconditional")
    row, _ = answer(capsys, "predict", "--run", tmp_path / "kept", "", "--text-b", "Dog is to puppy as cat is to what?", "--choices", "kitten", "foal")
    assert row["label"] in ("kitten", "foal")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"--template": "arow"}, "There is no format 'arow'. Did you mean arrow?"),
        ({"--template": "{text_a} good"}, "has no {mask}"),
        ({"--template": "{text_b} {mask}"}, "asks for {text_b}"),
        ({"--verbalizer": "neg=bad"}, "No label words were given for 'pos'"),
        ({"--choose": "balance"}, "Did you mean balanced"),
        ({"--normalise": "some"}, "not normalised by 'some'"),
        ({"--calibrate": "bath"}, "Did you mean batch"),
        ({"--shots": "500"}, "500 demonstrations were asked for"),
        ({"--shots": "90"}, "90 demonstrations take"),
        ({"--steps": "5"}, "in context nothing trains"),
        ({"--representation": "cls"}, "belongs to a head"),
        ({"--tune": "soft"}, "tune belongs to the method prompt, and the method is incontext"),
        ({"--method": "lora", "--shots": "0"}, "0 shots leave nothing to train on"),
        ({"--method": "lora", "--choose": "nearest"}, "choose belongs to the method incontext, and the method is lora"),
        ({"--method": "lora", "--calibrate": "batch"}, "calibrate belongs to the method prompt or incontext"),
        ({"--task": "tagging"}, "has no answer that stands at one place"),
        ({"--task": "translation", "--normalise": "mean"}, "are written, not chosen"),
        ({"--task": "translation", "--calibrate": "batch"}, "has no labels"),
        ({"--task": "analogy", "--verbalizer": WORDS}, "brings its own choices"),
        ({"--task": "translation", "--model": "bert-nano"}, "BERT does not write"),
    ],
    ids=lambda value: " ".join(f"{k} {v}" for k, v in value.items()) if isinstance(value, dict) else "",
)
def test_a_mistake_is_one_line(change, message, folders, reviews, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    words = {"--model": str(folders["gpt"]), "--task": str(reviews), "--method": "incontext", "--shots": "2"} | change
    code = cli.main(["run", "--no-from-scratch", *(word for pair in words.items() for word in pair)])
    out, error = capsys.readouterr()
    assert (code, out) == (2, "") and "Traceback" not in error
    assert message in next(line for line in error.splitlines() if line.startswith("minidelta: "))
