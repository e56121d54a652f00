"""`run --method prompt` and `predict` from end to end: families, ways of counting, a person's own file, mistakes in one line."""

import json

import pytest

from minidelta import cli, predict, run
from minidelta.data import Example
from tests.cli.test_run import CONTRACT, answer
from tests.cli.test_words import mistake

ASK = "{text_a|shorten} it was {mask}"
WORDS = "neg=bad,dull;pos=good,fine"


def go(capsys, folders, reviews, family, out, *more):
    return answer(capsys, "run", "--model", folders[family], "--task", reviews, "--method", "prompt", "--no-from-scratch", "--out", out, *more)[0]


@pytest.mark.parametrize("family", ["bert", "gpt", "t5"])
@pytest.mark.parametrize("tune", ["full", "none", "lora"])
def test_every_family_and_what_trains(family, tune, folders, reviews, tmp_path, capsys):
    result = go(capsys, folders, reviews, family, tmp_path / "kept", "--template", ASK, "--verbalizer", WORDS, "--tune", tune, "--shots", 4, "--steps", 3)
    assert set(result) >= CONTRACT and result["method"] == "prompt" and result["template"] == ASK
    assert (result["steps"], result["trainable"]) == (0, 0) if tune == "none" else result["steps"] == 3
    row, _ = answer(capsys, "predict", "--run", tmp_path / "kept", "the film was good")
    assert row["label"] in ("pos", "neg") and abs(sum(row["probabilities"].values()) - 1) < 1e-3


def test_a_prompt_learns_and_is_kept(folders, reviews, tmp_path, capsys):
    result = go(capsys, folders, reviews, "bert", tmp_path / "kept", "--template", "{soft:2} " + ASK, "--verbalizer", WORDS, "--steps", 60, "--lr", 1e-2)
    assert result["score"] == 1.0
    for text, label in (("the meal was dull", "neg"), ("the meal was fine", "pos")):
        assert answer(capsys, "predict", "--run", tmp_path / "kept", text)[0]["label"] == label


@pytest.mark.parametrize("tokens", ["vectors", "prototypes", "span", "first", "mean", "max", "knowledge"])
def test_ways_of_counting_give_the_same_predictions_after_loading(tokens, folders, reviews, tmp_path, capsys, monkeypatch):
    learners, make = [], run.prompt_learner
    for place in (run, predict):
        monkeypatch.setattr(place, "prompt_learner", lambda *words, **settings: learners.append(make(*words, **settings)) or learners[-1])
    words = [] if tokens == "prototypes" else ["--verbalizer", "neg=bad;pos=good" if tokens == "knowledge" else WORDS]
    go(capsys, folders, reviews, "bert", tmp_path / "kept", "--template", "{soft:2} " + ASK, "--tokens", tokens, "--tune", "soft", "--steps", 3, *words)
    answer(capsys, "predict", "--run", tmp_path / "kept", "the film was good")
    some = [Example("the film was good"), Example("the meal was bad")]
    assert learners[0].score(some).allclose(learners[1].score(some), atol=1e-5)


def test_names_of_labels_are_words_where_none_are_given(folders, reviews, tmp_path, capsys):
    result = go(capsys, folders, reviews, "gpt", tmp_path / "kept", "--tune", "none")
    assert result["template"] == "{text_a|shorten} In short: {mask}."
    assert result["verbalizer"]["label_words"] == {"neg": ["neg"], "pos": ["pos"]} and result["verbalizer"]["tokens"] == "span"


def test_files_of_templates_and_calibration(folders, reviews, tmp_path, capsys):
    (tmp_path / "mine.txt").write_text("{text_a} so {mask}\n@was {text_a} was {mask}\n", encoding="utf-8")
    common = ("--verbalizer", WORDS, "--tune", "none", "--template")
    assert go(capsys, folders, reviews, "bert", tmp_path / "a", *common, tmp_path / "mine.txt")["template"] == "{text_a} so {mask}"
    plain = go(capsys, folders, reviews, "bert", tmp_path / "b", *common, f"{tmp_path / 'mine.txt'}#was")
    assert plain["template"] == "{text_a} was {mask}" and any("|shorten" in warning for warning in plain["warnings"])
    best = go(capsys, folders, reviews, "bert", tmp_path / "c", *common, f"{tmp_path / 'mine.txt'}#was", "--search", "choose")
    assert {row["template"] for row in best["candidates"]} == {"{text_a} so {mask}", "{text_a} was {mask}"} and best["template"] == best["candidates"][0]["template"]
    built_in, _ = answer(capsys, "run", "--model", folders["bert"], "--task", "topic", "--method", "prompt", "--tokens", "mean", "--shots", 2, "--tune", "none", "--search", "choose")
    assert [row["template"].split()[1] for row in built_in["candidates"]] in (["Readers", "Whoever"], ["Whoever", "Readers"])
    for kind in ("contextual", "domain", "pmi", "batch"):
        result = go(capsys, folders, reviews, "bert", tmp_path / kind, *common, f"{tmp_path / 'mine.txt'}#was", "--calibrate", kind)
        assert result["calibrate"] == kind and len(json.loads((tmp_path / kind / "run.json").read_text(encoding="utf-8"))["learner"]["prior"]) == 2


@pytest.mark.parametrize("kind", ["jsonl", "csv"])
def test_a_template_asks_for_further_columns(kind, folders, tmp_path, capsys):
    def written(name, domains, key="domain"):
        rows = [{"text": f"the film was {('good', 'bad')[i % 2]} {i}", "label": ("pos", "neg")[i % 2], key: domain} for i, domain in enumerate(domains)]
        lines = [json.dumps(row) for row in rows] if kind == "jsonl" else [",".join(rows[0]), *(",".join(row.values()) for row in rows)]
        (tmp_path / f"{name}.{kind}").write_text("\n".join(lines) + "\n", encoding="utf-8")
        return tmp_path / f"{name}.{kind}"

    out, template = tmp_path / "kept", "{meta:domain}: {text_a|shorten} it was {mask}"
    mine = written("mine", ["film", "meal"] * 20)
    words = ("run", "--model", folders["bert"], "--task", mine, "--method", "prompt", "--template", template, "--verbalizer", WORDS, "--steps", 2, "--no-from-scratch")
    answer(capsys, *words, "--calibrate", "contextual", "--out", out)
    rows, _ = answer(capsys, "predict", "--run", out, "--file", written("new", ["film", "meal", "book"]))
    assert [row["label"] in ("pos", "neg") for row in rows] == [True] * 3
    same = [row["probabilities"] for row in answer(capsys, "predict", "--run", out, "--file", mine)[0][:1]]
    assert same == [answer(capsys, "predict", "--run", out, "--file", written("first", ["film"]))[0][0]["probabilities"]]

    lacks = "asks for {meta:domain}, which this record lacks"
    assert f"the text: the template {lacks}. Known: text_a." in mistake(capsys, "predict", "--run", str(out), "the film was good")
    assert f":1: the template {lacks}. Did you mean meta:domian?" in mistake(capsys, "predict", "--run", str(out), "--file", str(written("odd", ["film"], "domian"))).replace(":2:", ":1:")
    hole = written("mine", [""] + ["film"] * 40)  # found before anything trains, whichever part the record is in
    assert cli.main([*map(str, words), "--json"]) == 2
    assert f"{hole.name}:{1 if kind == 'jsonl' else 2}: the template {lacks}" in capsys.readouterr().err


@pytest.mark.parametrize(("family", "search"), [("bert", "autoprompt"), ("gpt", "policy"), ("t5", "lm-bff"), ("bert", "paraphrase")])
def test_a_searched_template_is_kept_as_any_other(family, search, folders, reviews, tmp_path, capsys):
    written = "{text_a|shorten} it was the {mask} ." if search != "policy" else "{text_a|shorten} it was the {mask}"
    writer = ("--writer", folders["t5"]) if search == "paraphrase" else ()
    result = go(capsys, folders, reviews, family, tmp_path / "kept", "--template", written, "--verbalizer", WORDS, "--shots", 3, "--search", search, "--tune", "none", *writer)
    scores, templates = zip(*((row["score"], row["template"]) for row in result["candidates"]))
    assert written in templates and len(templates) == len(set(templates)) > 1, "what was written competes"
    assert list(scores) == sorted(scores, reverse=True) and result["judges"] == 6 and result["search"] == search
    assert all(template.startswith("{text_a|shorten") and template.count("{mask}") == 1 for template in templates)
    kept = json.loads((tmp_path / "kept" / "run.json").read_text(encoding="utf-8"))
    assert kept["learner"]["template"] == result["template"] == templates[0]
    assert "label" in answer(capsys, "predict", "--run", tmp_path / "kept", "the film was good")[0]
    report = run.report(result).splitlines()
    assert f"search {search}: accuracy on 6 validation examples, before anything trains" in report and f"  {scores[0]:.3f}  {templates[0]}" in report


def test_choices_are_answered_in_words(folders, tmp_path, capsys):
    out = tmp_path / "kept"
    result, _ = answer(capsys, "run", "--model", folders["gpt"], "--task", "analogy", "--method", "prompt", "--shots", 2, "--steps", 1, "--out", out)
    assert result["template"].endswith("guess here: {mask}.")
    row, _ = answer(capsys, "predict", "--run", out, "", "--text-b", "Dog is to puppy as cat is to what?", "--choices", "kitten", "foal")
    assert row["label"] in ("kitten", "foal")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"--template": "{txt_a} {mask}"}, "Did you mean text_a"),
        ({"--template": "{text_a} good"}, "has no {mask}"),
        ({"--template": "{text_a} It was [MASK]"}, "no place for an answer; write it for [MASK]"),
        ({"--verbalizer": "neg=bad;pos=good;pos=fine"}, "'pos' is given words twice"),
        ({"--template": "it-was"}, "There is no template 'it-was'"),
        ({"--template": "no/such/file.txt"}, "cannot be read"),
        ({"--template": "{text_b} {mask}"}, "the template asks for {text_b}"),
        ({"--verbalizer": "neg=bad"}, "No label words were given for 'pos'"),
        ({"--verbalizer": "neg=bad;pos=bad"}, "'bad' stands twice"),
        ({"--verbalizer": "neg=bad;pos=unforgettable"}, "cut into several tokens"),
        ({"--tokens": "prototypes"}, "need no label words"),
        ({"--task": "relation", "--template": "rules"}, "Rules bring their own words"),
        ({"--task": "analogy"}, "brings its own choices"),
        ({"--tokens": "some"}, "do not count by 'some'"),
        ({"--tune": "half"}, "cannot tune 'half'"),
        ({"--tune": "soft"}, "Nothing to train"),
        ({"--calibrate": "bath"}, "Did you mean batch"),
        ({"--search": "lmbff"}, "Did you mean lm-bff"),
        ({"--search": "policy", "--tune": "soft"}, "no soft tokens to tune"),
        ({"--search": "policy", "--writer": "t5-nano"}, "a writer belongs to the searches"),
        ({"--search": "lm-bff", "--writer": "bert-nano"}, "take a T5"),
        ({"--search": "policy", "--template": "{text_a} {soft} {mask}"}, "no soft tokens, and this one is"),
        ({"--search": "autoprompt", "--verbalizer": None, "--tokens": "span"}, "AutoPrompt follows the gradient at one mask"),
        ({"--search": "lm-bff", "--task": "analogy", "--verbalizer": None}, "take a task of labels"),
        ({"--representation": "cls"}, "belongs to a head"),
        ({"--method": "full"}, "template and verbalizer belong to the method prompt"),
        ({"--task": "translation"}, "no labels"),
    ],
    ids=lambda value: " ".join(f"{k} {v}" for k, v in value.items()) if isinstance(value, dict) else "",
)
def test_a_mistake_is_one_line(change, message, folders, reviews, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    words = {"--model": str(folders["bert"]), "--task": str(reviews), "--method": "prompt", "--template": ASK, "--verbalizer": WORDS, "--steps": "2"} | change
    code = cli.main(["run", "--no-from-scratch", *(word for pair in words.items() if pair[1] is not None for word in pair)])
    out, error = capsys.readouterr()
    assert (code, out) == (2, "") and "Traceback" not in error
    assert message in next(line for line in error.splitlines() if line.startswith("minidelta: "))
