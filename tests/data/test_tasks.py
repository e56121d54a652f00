"""One door to every task: what a person means by a name, a file, a folder or a data set."""

import json
from collections import Counter
from pathlib import Path

import datasets
import pytest

from minidelta.data import Columns, Example, few_shot, from_dataset, huggingface, load_task, to_dataset
from minidelta.errors import DataError, TaskError
from minidelta.world import TASKS

REAL = Path(__file__).parents[3] / "shared" / "data"


def jsonl(path, records):
    path.write_text("".join(json.dumps(record) + "\n" for record in records), encoding="utf-8")
    return path


def reviews(count, start=0, labels=("neg", "pos")):
    return [{"text": f"text {i}", "label": labels[i % len(labels)]} for i in range(start, start + count)]


# -- built-in tasks ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", TASKS)
def test_built_in_tasks_hold_what_their_kind_promises(name):
    task = load_task(name)
    assert (task.name, task.kind, task.skipped) == (name, TASKS[name].kind, []) and task.description
    keys = {"relation": {"head", "tail"}, "tagging": {"tokens", "tags"}, "extraction": {"answer", "start"}, "choice": {"choices"}, "generation": {"answer"}}
    for part in (task.train, task.validation, task.test):
        assert len(part) >= 400
        for example in part[:50]:
            assert isinstance(example.text, str) and example.target is not None
            assert keys.get(task.kind, set()) <= set(example.meta)
            if task.kind in ("classification", "relation"):
                assert example.label in task.labels
            if task.kind == "tagging":
                assert len(example.meta["tokens"]) == len(example.meta["tags"]) and set(example.meta["tags"]) <= set(task.labels)
            if task.kind == "extraction":
                assert example.text[example.meta["start"] :].startswith(example.meta["answer"])
            if task.kind == "choice":
                assert 0 <= example.label < len(example.meta["choices"])


def test_a_loaded_task_is_the_callers_own():
    load_task("topic").train.clear()
    assert len(load_task("topic").train) > 3000


def test_few_shots_of_a_task():
    task = load_task("topic", shots=4, seed=1)
    assert Counter(e.label for e in task.train) == Counter(e.label for e in task.validation) == dict.fromkeys(task.labels, 4)
    assert len(task.test) == len(load_task("topic").test)
    assert len(load_task("qa-extract", shots=5).train) == 5, "a task without classes gives K in all"


# -- few-shot draws ------------------------------------------------------------------------------------------


def test_few_shot_draws_repeat_grow_and_differ():
    pool = [Example(str(i), label="abc"[i % 3]) for i in range(60)]
    small, large = few_shot(pool, 4, seed=7), few_shot(pool, 8, seed=7)
    assert [e.text for e in few_shot(pool, 4, seed=7)] == [e.text for e in small]
    assert {e.text for e in small} < {e.text for e in large}
    assert {e.text for e in few_shot(pool, 4, seed=8)} != {e.text for e in small}
    assert Counter(e.label for e in small) == {"a": 4, "b": 4, "c": 4}


@pytest.mark.parametrize(("k", "message"), [(3, "rare has 2"), (0, "shots is 0"), (-1, "shots is -1"), (1.5, "shots is 1.5"), (True, "shots is True")])
def test_few_shot_says_what_is_missing(k, message):
    pool = [Example(str(i), label="rare" if i < 2 else "common") for i in range(9)]
    with pytest.raises(DataError, match=message):
        few_shot(pool, k)
    with pytest.raises(DataError, match="no examples"):
        few_shot([], 1)


# -- files and folders ---------------------------------------------------------------------------------------


def test_a_single_file_is_split_by_seed_in_each_class(tmp_path):
    path = jsonl(tmp_path / "mine.jsonl", reviews(200, labels=("neg", "pos", "pos", "pos")))
    task, again, other = load_task(path), load_task(str(path)), load_task(path, seed=1)
    assert (len(task.train), len(task.validation), len(task.test)) == (162, 18, 20)
    assert Counter(e.label for e in task.test) == {"neg": 5, "pos": 15}
    assert [e.text for e in again.test] == [e.text for e in task.test] != [e.text for e in other.test]
    texts = [e.text for part in (task.train, task.validation, task.test) for e in part]
    assert len(texts) == len(set(texts)) == 200
    assert any("held out of mine.jsonl" in note for note in task.notes)


def test_a_train_file_uses_the_test_file_beside_it(tmp_path):
    jsonl(tmp_path / "mr_test.jsonl", reviews(30, start=1000))
    task = load_task(jsonl(tmp_path / "mr_train.jsonl", reviews(100)))
    assert (len(task.train), len(task.validation), len(task.test)) == (90, 10, 30)
    assert task.notes[0] == "the test part is mr_test.jsonl (30 records)"
    alone = load_task(jsonl(tmp_path / "constrain.jsonl", reviews(100)))
    assert len(alone.test) == 10, "a name that merely ends in these letters has no siblings"


def test_a_test_file_without_labels_is_told_and_not_used(tmp_path):
    (tmp_path / "x_test.csv").write_text("text\na\n", encoding="utf-8")
    (tmp_path / "x_train.csv").write_text("text,label\n" + "".join(f"t{i},{i % 2}\n" for i in range(40)), encoding="utf-8")
    task = load_task(tmp_path / "x_train.csv")
    assert len(task.test) == 4 and "x_test.csv is not used" in task.notes[0]


def test_a_folder(tmp_path):
    jsonl(tmp_path / "train.jsonl", reviews(40))
    jsonl(tmp_path / "dev.jsonl", reviews(6, start=100))
    jsonl(tmp_path / "test.jsonl", reviews(8, start=200))
    (tmp_path / "notes.md").write_text("not data", encoding="utf-8")
    task = load_task(tmp_path)
    assert (len(task.train), len(task.validation), len(task.test)) == (40, 6, 8)
    jsonl(tmp_path / "train.csv", [])
    with pytest.raises(DataError, match="could each be the train part"):
        load_task(tmp_path)


def test_an_empty_folder_says_what_it_needs(tmp_path):
    with pytest.raises(DataError, match="no train file"):
        load_task(tmp_path)


def test_numbers_keep_their_order(tmp_path):
    assert load_task(jsonl(tmp_path / "a.jsonl", reviews(120, labels=(10, 9, 1)))).labels == ("1", "9", "10")


def test_skipped_records_are_counted_and_strict_stops(tmp_path):
    path = jsonl(tmp_path / "a.jsonl", [*reviews(40), {"text": "", "label": "pos"}, {"text": "x"}])
    task = load_task(path)
    assert [str(s)[:11] for s in task.skipped] == ["a.jsonl:41:", "a.jsonl:42:"]
    with pytest.raises(DataError, match=r"^a\.jsonl:41: 'text' is empty \(2 unusable in all"):
        load_task(path, strict=True)


def test_a_test_label_that_training_lacks_is_reported(tmp_path):
    jsonl(tmp_path / "b_test.jsonl", [*reviews(10, start=90), {"text": "odd", "label": "mixed"}])
    task = load_task(jsonl(tmp_path / "b_train.jsonl", reviews(40)))
    assert [str(s) for s in task.skipped] == ["b_test.jsonl:11: label 'mixed' does not occur in training"] and len(task.test) == 10


def test_a_test_file_in_other_words_is_told_as_such(tmp_path):
    jsonl(tmp_path / "train.jsonl", reviews(40))
    jsonl(tmp_path / "test.jsonl", reviews(8, start=90, labels=("0", "1")))
    with pytest.raises(DataError) as caught:
        load_task(tmp_path)
    assert str(caught.value).endswith("no usable record in the test part, 8 left out; the first: test.jsonl:1: label '0' does not occur in training, which has 'neg', 'pos'")


def test_pandas_writes_labels_as_it_likes(tmp_path):
    (tmp_path / "train.csv").write_text("text,label\n" + "".join(f"t{i},{i % 2}.0\n" for i in range(40)), encoding="utf-8")
    (tmp_path / "test.csv").write_text("text,label\n" + "".join(f"u{i},{i % 2}\n" for i in range(8)), encoding="utf-8")
    task = load_task(tmp_path)
    assert task.labels == ("0", "1") and len(task.test) == 8 and not task.skipped


def test_test_texts_seen_in_training_are_told(tmp_path):
    jsonl(tmp_path / "c_test.jsonl", reviews(10))
    task = load_task(jsonl(tmp_path / "c_train.jsonl", reviews(400)))
    assert any("stand in the training part too" in note for note in task.notes)


@pytest.mark.parametrize(
    ("records", "message"),
    [
        ([], "no usable record for training"),
        ([{"text": "a"}] * 5, "no usable record for training, 5 left out; the first: a.jsonl:1: no 'label'"),
        ([{"review": "a"}], "a.jsonl:1: no 'text'; its keys are 'review'; --text-column and --label-column name others"),
        ([{"text": f"t{i}", "label": i / 10} for i in range(1, 21)], "a.jsonl: no record is left to hold out for the test part, 18 left out; the first: a.jsonl:1: 'label' is the number 0.1"),
        (reviews(20, labels=("one",)), "every training record has the label 'one'"),
        ([{"text": f"t{i}", "label": i} for i in range(300)], "300 different labels in 300 records (0, 1, 2, ...)"),
        (reviews(2), "no record is left to hold out for the test part; give more records, or a test file"),
    ],
)
def test_a_file_with_nothing_to_learn(tmp_path, records, message):
    with pytest.raises(DataError) as caught:
        load_task(jsonl(tmp_path / "a.jsonl", records))
    assert message in str(caught.value)


@pytest.mark.parametrize("name", ["sst2", "SST2", "glue:sst2", "nyu-mll/glue:mnli", "wmt16:ro-en"])
def test_a_data_set_of_the_hub_without_its_hub(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(TaskError, match=f"called '{name}'. Did you mean hub:{name.lower()}\\? Known: sentiment"):
        load_task(name)


@pytest.mark.parametrize("name", ["sentimant", "nothing.jsonl", "no/such/folder", "", "hub", "x.txt"])
def test_unknown_names(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises((TaskError, DataError)) as caught:
        load_task(name)
    if name == "sentimant":
        assert "Did you mean sentiment" in str(caught.value)


def test_columns_of_another_name(tmp_path):
    path = jsonl(tmp_path / "a.jsonl", [{"review": f"t{i}", "stars": i % 5 + 1} for i in range(50)])
    assert load_task(path, columns=Columns("review", label="stars")).labels == ("1", "2", "3", "4", "5")
    with pytest.raises(DataError, match="no 'text'; its keys are 'review', 'stars'"):
        load_task(path)


@pytest.mark.skipif(not (REAL / "mr_train.jsonl").exists(), reason="the movie reviews are not beside this checkout")
def test_real_movie_reviews():
    task = load_task(REAL / "mr_train.jsonl")
    assert (len(task.train) + len(task.validation), len(task.test), task.labels) == (8662, 2000, ("negative", "positive")) and not task.skipped


# -- datasets objects and the hub ----------------------------------------------------------------------------


@pytest.mark.parametrize("name", TASKS)
def test_examples_survive_a_dataset(name):
    examples = load_task(name).test[:20]
    back, skipped = from_dataset(to_dataset(examples))
    assert back == examples and not skipped


def test_a_dataset_dict_is_a_task():
    features = datasets.Features({"sentence": datasets.Value("string"), "label": datasets.ClassLabel(names=["bad", "good"])})

    def split(count, hidden=False):
        return datasets.Dataset.from_list([{"sentence": f"s{i} {count}", "label": -1 if hidden else i % 2} for i in range(count)], features=features)

    columns = Columns("sentence")
    task = load_task(datasets.DatasetDict(train=split(60), validation=split(20), test=split(10)), columns=columns)
    assert (len(task.train), len(task.validation), len(task.test), task.labels) == (60, 20, 10, ("bad", "good"))
    hidden = load_task(datasets.DatasetDict(train=split(60), validation=split(20), test=split(10, hidden=True)), columns=columns)
    assert (len(hidden.validation), len(hidden.test)) == (6, 20) and "hidden" in hidden.notes[0]
    assert len(load_task(split(60), columns=columns).test) == 6
    with pytest.raises(DataError, match="no column 'text'; it has sentence, label"):
        load_task(split(50))
    with pytest.raises(DataError, match="no train split; it has extra"):
        load_task(datasets.DatasetDict(extra=split(5)), columns=columns)


def test_hub_names(monkeypatch):
    asked = []

    def download(name, config):
        asked.append((name, config))
        rows = [{"premise": f"p{i}", "hypothesis": f"h{i}", "sentence": f"s{i}", "text": f"t{i}", "label": i % 3} for i in range(60)]
        return datasets.DatasetDict({split: datasets.Dataset.from_list(rows) for split in ("train", "validation", "validation_matched", "test")})

    monkeypatch.setattr(huggingface, "_download", download)
    assert load_task("hub:mnli").test[0].text_b == "h0" and asked[-1] == ("nyu-mll/glue", "mnli")
    assert load_task("hub:sst2").test[0].text == "s0" and load_task("hub:ag_news").test[0].text == "t0"
    assert load_task("hub:some/where:part[text=sentence]").test[0].text == "s0" and asked[-1] == ("some/where", "part")
    for wrong in ("hub:", "hub:a:b:c", "hub:a[text]", "hub:a[words=x]", "hub:a[text=]"):
        with pytest.raises(DataError, match="not understood"):
            load_task(wrong)


def test_a_hub_data_set_without_network_is_one_clear_line(monkeypatch, tmp_path):
    import huggingface_hub

    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path)
    with pytest.raises(DataError) as caught:
        load_task("hub:sst2")
    assert "HF_HUB_OFFLINE is set" in str(caught.value) and "\n" not in str(caught.value)
    with pytest.raises(DataError, match="'a b c/d' is no possible name on the hub; expected OWNER/NAME, or one of sst2"):
        load_task("hub:a b c/d")
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(huggingface_hub.HfApi, "dataset_info", lambda *words, **settings: 1 / 0)  # a network that fails
    with pytest.raises(DataError, match="the hub cannot be reached"):
        load_task("hub:sst2")
