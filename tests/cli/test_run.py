"""`run` and `predict` from end to end: every family, every method, a person's own file, and bad input."""

import json

import pytest

from minidelta import cli, run
from tests.cli.test_words import call, mistake

CONTRACT = {"model", "task", "method", "shots", "seed", "metric", "score", "majority", "trainable", "total", "steps", "seconds", "device"}


def answer(capsys, *words):
    assert cli.main([*map(str, words), "--json"]) == 0
    out, error = capsys.readouterr()
    assert out.count("\n") == 1, "one line, one JSON value, nothing else on standard output"
    return json.loads(out), error


def test_run_and_predict_in_a_process_of_their_own(folders, reviews, tmp_path):
    ran = call("run", "--model", str(folders["bert"]), "--task", str(reviews), "--method", "full", "--steps", "60", "--out", str(tmp_path / "kept"), "--json")
    assert ran.returncode == 0, ran.stderr
    result = json.loads(ran.stdout)
    assert set(result) >= CONTRACT and ran.stdout.count("\n") == 1
    assert result["task"] == str(reviews) and result["majority"] == 0.5 and result["score"] == 1.0 == result["bag_of_words"]
    assert 0 <= result["from_scratch"] <= 1, "one's own data is compared with the same model from random weights"
    assert "3 of 123 records left out" in ran.stderr and "reviews.jsonl:121: 'text' is empty" in ran.stderr
    said = call("predict", "--run", str(tmp_path / "kept"), "the film was dull")
    assert said.returncode == 0 and said.stdout.startswith("neg  (neg 0."), said.stderr
    many = call("predict", "--run", str(tmp_path / "kept"), "--json", input="the meal was fine\n\nthe meal was bad\n")
    assert [row["label"] for row in json.loads(many.stdout)] == ["pos", "neg"] and "standard input:2: the line is blank" in many.stderr


@pytest.mark.parametrize("method", ["full", "head", "lora"])
@pytest.mark.parametrize("family", ["bert", "gpt", "t5"])
def test_every_family_and_method(family, method, folders, reviews, tmp_path, capsys):
    out = tmp_path / "kept"
    result, _ = answer(capsys, "run", "--model", folders[family], "--task", reviews, "--method", method, "--shots", 4, "--steps", 3, "--out", out, "--no-from-scratch")
    assert set(result) >= CONTRACT
    assert (result["method"], result["shots"], result["steps"], result["train"], result["metric"]) == (method, 4, 3, 8, "accuracy")
    assert result["from_scratch"] is None and not (out / "unfinished").exists()
    assert result["trainable"] == result["total"] if method == "full" else result["trainable"] < result["total"]
    row, _ = answer(capsys, "predict", "--run", out, "the film was good")
    assert row["label"] in (("pos", "neg", None) if family == "t5" else ("pos", "neg"))  # after 3 steps T5 may write anything
    assert abs(sum(row["probabilities"].values()) - 1) < 1e-3


def test_methods_that_need_something_to_begin(folders, reviews, tmp_path, capsys):
    words = ("run", "--model", folders["bert"], "--task", reviews, "--shots", 4, "--steps", 2, "--no-from-scratch", "--out")
    result, _ = answer(capsys, *words, tmp_path / "fish", "--method", "fish")  # it gets the task's examples
    assert result["method"] == "fish" and 0 < result["trainable"] < result["total"]
    assert answer(capsys, "predict", "--run", tmp_path / "fish", "the film was good")[0]["label"] in ("pos", "neg")
    assert cli.main([str(word) for word in words] + [str(tmp_path / "spot"), "--method", "spot"]) == 2
    assert "SPoT begins with the prompt of another task, and none was given" in capsys.readouterr().err


def test_the_same_seed_gives_the_same_score_and_the_same_predictions(folders, reviews, tmp_path, capsys):
    words = ("run", "--model", folders["bert"], "--task", reviews, "--method", "lora", "--steps", 8, "--no-from-scratch", "--out")
    first, again = (answer(capsys, *words, tmp_path / name)[0] for name in ("a", "b"))
    assert first["score"] == again["score"]
    said = [answer(capsys, "predict", "--run", tmp_path / name, "the film was fine")[0]["probabilities"] for name in ("a", "b")]
    assert said[0] == said[1]


def test_an_interrupted_run_says_what_is_kept_and_goes_on(folders, reviews, tmp_path, capsys, monkeypatch):
    words = ["run", "--model", str(folders["bert"]), "--task", str(reviews), "--method", "full", "--steps", "12", "--no-from-scratch", "--json", "--out"]
    whole, _ = answer(capsys, *words[:-2], "--out", tmp_path / "whole")

    def stop_at_the_end(*arguments, **settings):
        settings["on_step"] = lambda step: (_ for _ in ()).throw(KeyboardInterrupt) if step == 10 else None
        return train_task(*arguments, **settings)

    train_task = run.train_task
    monkeypatch.setattr(run, "train_task", stop_at_the_end)
    assert cli.main([*words, str(tmp_path / "parts")]) == 130
    assert "interrupted; the same command goes on from the last step kept in" in capsys.readouterr().err
    monkeypatch.setattr(run, "train_task", train_task)
    parts, _ = answer(capsys, *words[:-2], "--out", tmp_path / "parts")
    assert parts["score"] == whole["score"]
    said = [answer(capsys, "predict", "--run", tmp_path / name, "the film was fine")[0]["probabilities"] for name in ("whole", "parts")]
    assert said[0] == said[1], "stopped and resumed ends where an undisturbed run ends"


@pytest.mark.parametrize(("task", "text", "more"), [("tagging", "Ada Lunt lives in Oslo.", []), ("relation", "[E1] Ada [/E1] works for [E2] Harp Ltd [/E2].", []), ("qa-extract", "Ada lives in Oslo.", ["--text-b", "Where does Ada live?"])])
def test_tasks_of_other_kinds(task, text, more, folders, tmp_path, capsys):
    out = tmp_path / "kept"
    result, _ = answer(capsys, "run", "--model", folders["bert"], "--task", task, "--method", "head", "--shots", 2, "--steps", 2, "--out", out)
    assert set(result) >= CONTRACT and result["from_scratch"] is None
    row, _ = answer(capsys, "predict", "--run", out, text, *more)
    assert row["label"] is not None


def test_a_table_in_words(folders, reviews, capsys):
    assert cli.main(["run", "--model", str(folders["gpt"]), "--task", str(reviews), "--method", "head", "--steps", "2", "--seed", "3"]) == 0
    out = capsys.readouterr().out
    for words in ("accuracy on 12 test examples", "bag of words", "most common answer", "same model from random weights", "parameters trained"):
        assert words in out


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"--model": "bert-mico"}, "bert-mico"),
        ({"--model": "no/such/folder"}, "no/such/folder"),
        ({"--task": "sentimant"}, "Did you mean sentiment"),
        ({"--task": "nothing.jsonl"}, "nothing.jsonl: no such file"),
        ({"--task": "hub:sst2"}, "HF_HUB_OFFLINE is set"),
        ({"--task": "sst2"}, "Did you mean hub:sst2?"),
        ({"--task": "translation"}, "does not write"),
        ({"--method": "lora2"}, "Did you mean lora"),
        ({"--representation": "entity-start"}, "no representation of texts"),
        ({"--shots": "500"}, "500 examples per class were asked for"),
        ({"--strict": None}, "reviews.jsonl:121: 'text' is empty"),
        ({"--text-column": "words"}, "no 'words'"),
        ({"--task": "x" * 300}, "x" * 80),
        ({"--task": ""}, "A task is a name"),
        ({"--model": ""}, "A model is named by"),
        ({"--lr": "1e30", "--steps": "20"}, ""),
    ],
    ids=lambda value: " ".join(f"{k} {v}" for k, v in value.items()) if isinstance(value, dict) else "",
)
def test_bad_input_is_one_line(change, message, folders, reviews, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    words = {"--model": str(folders["bert"]), "--task": str(reviews), "--method": "head", "--steps": "2", "--no-from-scratch": None} | change
    code = cli.main(["run", *(word for pair in words.items() for word in pair if word is not None)])
    out, error = capsys.readouterr()
    assert (code, out) == (2, "") and "Traceback" not in error
    assert message in next(line for line in error.splitlines() if line.startswith("minidelta: "))


def test_an_out_folder_with_other_files_is_left_alone(folders, reviews, tmp_path, capsys):
    (tmp_path / "precious.txt").write_text("mine", encoding="utf-8")
    words = ["run", "--model", str(folders["bert"]), "--task", str(reviews), "--steps", "1", "--out"]
    cli.main([*words, str(tmp_path)])
    assert "holds other files" in capsys.readouterr().err and (tmp_path / "precious.txt").read_text(encoding="utf-8") == "mine"
    cli.main([*words, str(tmp_path / "precious.txt" / "deeper")])
    assert "cannot be written" in capsys.readouterr().err


def test_predict_says_what_is_wrong(tmp_path, capsys):
    assert "no such folder" in mistake(capsys, "predict", "--run", str(tmp_path / "none"), "text")
    (tmp_path / "run.json").write_text("{", encoding="utf-8")
    assert "not hold a readable run" in mistake(capsys, "predict", "--run", str(tmp_path), "text")
    assert "the text is empty" in mistake(capsys, "predict", "--run", str(tmp_path), "  ")
    assert "both a text and --file" in mistake(capsys, "predict", "--run", str(tmp_path), "text", "--file", "x.txt")
    assert "cannot be read" in mistake(capsys, "predict", "--run", str(tmp_path), "--file", str(tmp_path / "none.txt"))
    (tmp_path / "latin.txt").write_bytes(b"caf\xe9")
    assert "not UTF-8" in mistake(capsys, "predict", "--run", str(tmp_path), "--file", str(tmp_path / "latin.txt"))
    (tmp_path / "empty.txt").write_text("\n\n", encoding="utf-8")
    assert "no text to label" in mistake(capsys, "predict", "--run", str(tmp_path), "--file", str(tmp_path / "empty.txt"))


def test_predict_reads_files(folders, reviews, tmp_path, capsys):
    out = tmp_path / "kept"
    answer(capsys, "run", "--model", folders["bert"], "--task", reviews, "--method", "head", "--steps", 2, "--out", out, "--no-from-scratch")
    rows, error = answer(capsys, "predict", "--run", out, "--file", reviews)
    assert len(rows) == 121 and "left out: reviews.jsonl:121" in error
    (tmp_path / "lines.txt").write_text("\ufeffone\ntwo\n", encoding="utf-8")
    rows, _ = answer(capsys, "predict", "--run", out, "--file", tmp_path / "lines.txt")
    assert [row["text"] for row in rows] == ["one", "two"]


def test_edited_data_begin_a_new_run(folders, reviews, tmp_path, capsys, monkeypatch):
    """An interrupted run goes on with the same examples only."""
    mine = tmp_path / "mine.jsonl"
    mine.write_text(reviews.read_text(encoding="utf-8"), encoding="utf-8")
    words = ["run", "--model", str(folders["bert"]), "--task", str(mine), "--method", "head", "--steps", "4", "--no-from-scratch", "--out", str(tmp_path / "kept")]
    train_task, seen = run.train_task, []

    def stop(*arguments, **settings):
        seen.append((settings["checkpoint"] / "training.safetensors").exists())
        settings["on_step"] = lambda step: (_ for _ in ()).throw(KeyboardInterrupt) if step == 3 and len(seen) == 1 else None
        return train_task(*arguments, **settings)

    monkeypatch.setattr(run, "train_task", stop)
    assert cli.main(words) == 130
    mine.write_text(mine.read_text(encoding="utf-8").replace('"pos"', '"POS"'), encoding="utf-8")
    assert cli.main(words) == 0 and seen == [False, False]


def test_an_interruption_beside_the_rival_loses_nothing(folders, reviews, tmp_path, capsys, monkeypatch):
    words = ["run", "--model", str(folders["bert"]), "--task", str(reviews), "--method", "head", "--steps", "4", "--json", "--out"]
    whole, _ = answer(capsys, *words[:-2], "--out", tmp_path / "whole")
    train_task = run.train_task

    def stop(learner, task, method, *rest, **settings):
        if method == "full":  # the rival from random weights
            raise KeyboardInterrupt
        return train_task(learner, task, method, *rest, **settings)

    monkeypatch.setattr(run, "train_task", stop)
    assert cli.main([*words, str(tmp_path / "parts")]) == 130
    assert json.loads((tmp_path / "parts" / "run.json").read_text(encoding="utf-8"))["result"]["score"] == whole["score"], "what was finished is kept"
    monkeypatch.setattr(run, "train_task", train_task)
    capsys.readouterr()
    parts, _ = answer(capsys, *words[:-2], "--out", tmp_path / "parts")
    assert (parts["score"], parts["from_scratch"]) == (whole["score"], whole["from_scratch"])


def test_predict_knows_the_columns_and_says_why_nothing_is_left(folders, tmp_path, capsys):
    mine = tmp_path / "sentiment.csv"  # the name of a built-in task, yet a file of one's own
    mine.write_text("review,stars\n" + "fine film,good\nbad film,poor\n" * 20, encoding="utf-8")
    out = tmp_path / "kept"
    result, _ = answer(capsys, "run", "--model", folders["bert"], "--task", mine, "--method", "head", "--steps", 1, "--text-column", "review", "--label-column", "stars", "--out", out)
    assert result["from_scratch"] is not None
    rows, _ = answer(capsys, "predict", "--run", out, "--file", mine)
    assert len(rows) == 40
    (tmp_path / "new.jsonl").write_text('{"review": ""}\n', encoding="utf-8")
    assert "new.jsonl:1: 'review' is empty" in mistake(capsys, "predict", "--run", str(out), "--file", str(tmp_path / "new.jsonl"))
    assert "not UTF-8" in mistake(capsys, "predict", "--run", str(out), "caf\udce9")


def test_long_texts_and_choices(folders, tmp_path, capsys):
    mine, out = tmp_path / "long.jsonl", tmp_path / "kept"
    mine.write_text("".join(json.dumps({"text": "fine " * 900 if i == 3 else f"film {i}", "label": "ab"[i % 2]}) + "\n" for i in range(40)), encoding="utf-8")
    assert cli.main(["run", "--model", str(folders["bert"]), "--task", str(mine), "--method", "head", "--steps", "1", "--no-from-scratch"]) == 0
    assert "1 texts were longer than the model reads" in capsys.readouterr().out
    answer(capsys, "run", "--model", folders["bert"], "--task", "analogy", "--method", "head", "--shots", 4, "--steps", 1, "--out", out)
    row, _ = answer(capsys, "predict", "--run", out, "", "--text-b", "Dog is to puppy as cat is to what?", "--choices", "kitten", "foal")
    assert row["label"] in ("kitten", "foal")
