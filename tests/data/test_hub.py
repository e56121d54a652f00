"""The data sets of the hub that are known by name, in their published form: names, configurations, splits, columns, classes.

Nothing is downloaded: the one call of `datasets.load_dataset` is answered with rows of exactly these features, some of them as
awkward as the real ones (hidden labels, spaces before a passage, answers from several people, an empty translation).
"""

import datasets
import huggingface_hub
import pytest
from datasets import ClassLabel, Features, Sequence, Translation, Value

from minidelta import cli
from minidelta.data import Columns, huggingface, load_task
from minidelta.data.known import KNOWN, find_known
from minidelta.errors import DataError
from minidelta.evaluate import evaluate
from minidelta.finetune import learner_for, train_task
from minidelta.finetune.formats import t5_source
from minidelta.hub import load_model, load_tokenizer
from minidelta.prompt import prompt_learner

STRING, INT = Value("string"), Value("int32")
RELATIONS = [f"{name}({way})" for name in (
    "Cause-Effect", "Component-Whole", "Content-Container", "Entity-Destination", "Entity-Origin", "Instrument-Agency", "Member-Collection", "Message-Topic", "Product-Producer",
) for way in ("e1,e2", "e2,e1")] + ["Other"]  # fmt: skip
SST2 = Features({"idx": INT, "sentence": STRING, "label": ClassLabel(names=["negative", "positive"])})
MNLI = Features({"premise": STRING, "hypothesis": STRING, "label": ClassLabel(names=["entailment", "neutral", "contradiction"]), "idx": INT})
AG_NEWS = Features({"text": STRING, "label": ClassLabel(names=["World", "Sports", "Business", "Sci/Tech"])})
SEMEVAL = Features({"sentence": STRING, "relation": ClassLabel(names=RELATIONS)})
SQUAD = Features({"id": STRING, "title": STRING, "context": STRING, "question": STRING, "answers": Sequence({"text": STRING, "answer_start": INT})})
GERMAN, ROMANIAN = (Features({"translation": Translation(languages=[other, "en"])}) for other in ("de", "ro"))
NOUNS = ("film", "plot", "cast", "score", "scene")


def sst2(i, split):
    return {"idx": i, "sentence": f"the {NOUNS[i % 5]} number {i} of {split} is {('dull', 'fine')[i % 2]} ", "label": -1 if split == "test" else i % 2}


def mnli(i, split):
    return {"premise": f"Man {i} sings in {split}.", "hypothesis": ("He sings.", "He is tall.", "He is silent.")[i % 3], "label": -1 if split.startswith("test") else i % 3, "idx": i}


def ag_news(i, split):
    return {"text": f"{('Talks go on', 'Cup final tonight', 'Shares rise', 'New chip')[i % 4]} (Reuters) Reuters - report {i} of {split}\\\\with a line.", "label": i % 4}


def semeval(i, split):
    return {"sentence": f"The <e1>{NOUNS[i % 5]}</e1> number {i} of {split} was caused by the <e2>storm surge</e2>.", "relation": (1, 0, 18, 7)[i % 4]}


def squad(i, split):
    context = f"  In {split} the town of Kelso {i} has a mill. " + "The river is long and wide. " * (200 if i % 3 == 0 else 1)
    answers = ["a mill", "mill", "a mill"] if split == "validation" else ["a mill"]
    return {"id": str(i), "title": "Kelso", "context": context, "question": f" What does Kelso {i} have?", "answers": {"text": answers, "answer_start": [context.index(answer) for answer in answers]}}


def german(i, split):
    return {"translation": {"de": "" if i == 3 else f"Das Haus {i} ist klein.", "en": f"House {i} of {split} is small."}}


def romanian(i, split):
    return {"translation": {"ro": f"Casa {i} este mică.", "en": f"House {i} of {split} is small."}}


TWO, THREE = ("train", "test"), ("train", "validation", "test")
PUBLISHED = {  # (repository, configuration) -> features, one row, splits
    ("stanfordnlp/sst2", None): (SST2, sst2, THREE),
    ("nyu-mll/glue", "sst2"): (SST2, sst2, THREE),
    ("nyu-mll/glue", "mnli"): (MNLI, mnli, ("train", "validation_matched", "validation_mismatched", "test_matched", "test_mismatched")),
    ("fancyzhx/ag_news", None): (AG_NEWS, ag_news, TWO),
    ("SemEvalWorkshop/sem_eval_2010_task_8", None): (SEMEVAL, semeval, TWO),
    ("rajpurkar/squad", None): (SQUAD, squad, ("train", "validation")),
    ("wmt/wmt14", "de-en"): (GERMAN, german, THREE),
    ("wmt/wmt16", "ro-en"): (ROMANIAN, romanian, THREE),
}
NAMES = ["sst2", "nyu-mll/glue:sst2", "mnli", "ag_news", "semeval", "squad", "wmt14:en-de", "wmt16:ro-en"]
ROWS = 80


@pytest.fixture
def hub(monkeypatch):
    """A hub that holds what is published; it remembers what was asked of it."""
    asked = []

    def load_dataset(name, config=None):
        asked.append((name, config))
        features, row, splits = PUBLISHED[name, config]
        return datasets.DatasetDict({split: datasets.Dataset.from_list([row(i, split) for i in range(ROWS)], features=features) for split in splits})

    monkeypatch.setattr(datasets, "load_dataset", load_dataset)
    monkeypatch.setattr(huggingface_hub.HfApi, "dataset_info", lambda *words, **settings: None)
    return asked


# -- what a name means ---------------------------------------------------------------------------------------


def test_every_known_name_asks_for_what_is_published(hub):
    for name in NAMES:
        load_task(f"hub:{name}")
    assert set(hub) == set(PUBLISHED)
    assert {name.partition(":")[0] for name in NAMES} >= set(KNOWN)


def test_names_from_before_repositories_had_owners(hub):
    assert load_task("hub:glue:sst2").prefix == "sst2 sentence:" and load_task("hub:glue:mnli").test[0].text_b == "He sings."
    assert load_task("hub:sem_eval_2010_task_8").kind == "relation" and hub[-1] == ("SemEvalWorkshop/sem_eval_2010_task_8", None)


def test_phrases_of_reviews(hub):
    task = load_task("hub:sst2")
    assert (task.kind, task.labels, len(task.train), len(task.validation), len(task.test)) == ("classification", ("negative", "positive"), 72, 8, 80)
    assert task.test[1].text == "the plot number 1 of validation is fine" and task.test[1].label == "positive"
    assert "the test part is the validation split (80 records)" in task.notes


def test_pairs_of_sentences(hub):
    task = load_task("hub:mnli")
    assert task.labels == ("contradiction", "entailment", "neutral")
    assert (task.test[0].text, task.test[0].text_b, task.test[0].label) == ("Man 0 sings in validation_matched.", "He sings.", "entailment")
    assert t5_source(task, task.test[0]) == [("mnli hypothesis: He sings. premise:", False), ("Man 0 sings in validation_matched.", True)], "as T5 was trained"


def test_news(hub):
    task = load_task("hub:ag_news")
    assert task.labels == ("Business", "Sci/Tech", "Sports", "World") and task.test[3].label == "Sci/Tech" and len(task.test) == ROWS


def test_relations_become_spans(hub):
    task = load_task("hub:semeval")
    assert (task.kind, task.metric) == ("relation", "f1_semeval") and set(task.labels) <= set(RELATIONS)
    example = task.test[0]
    assert example.text == "The film number 0 of test was caused by the storm surge." and example.label == "Cause-Effect(e2,e1)"
    assert [example.text[slice(*example.meta[end])] for end in ("head", "tail")] == ["film", "storm surge"]


def test_answers_stand_where_they_are_said_to(hub):
    task = load_task("hub:squad")
    assert (task.kind, task.metric, task.prefix) == ("extraction", "f1_answer", "question:")
    for example in [*task.train, *task.validation, *task.test]:
        assert example.text[example.meta["start"] :].startswith(example.meta["answer"]) and example.text.startswith("In ")
    assert task.test[0].gold == ["a mill", "mill"] and task.test[0].target == "a mill" and "id" not in task.test[0].meta


def test_all_answers_that_people_gave_count_as_right(hub):
    class Terse:
        def predict(self, examples):
            return ["mill"] * len(examples)

    assert evaluate(Terse(), load_task("hub:squad").test, "exact_match") == 1.0


def test_translation_goes_the_way_that_is_named(hub):
    forth, back = load_task("hub:wmt14:en-de"), load_task("hub:wmt14:de-en")
    assert (forth.kind, forth.metric, forth.prefix) == ("generation", "bleu", "translate English to German:")
    assert (back.test[0].text, back.test[0].target) == ("Das Haus 0 ist klein.", "House 0 of test is small.")
    assert (forth.test[0].text, forth.test[0].target) == (back.test[0].target, back.test[0].text)
    assert "hub:wmt14:en-de/train:4: the sentence in German is empty" in map(str, forth.skipped)
    assert (len(back.train), len(back.validation), len(back.test)) == (79, 79, 79)


@pytest.mark.parametrize(("name", "message"), [
    ("wmt16:en-fr", "wmt16 has no languages 'en-fr'; expected one of cs-en, de-en, fi-en, ro-en, ru-en, tr-en, in either order"),
    ("wmt14:german", "wmt14 has no languages 'german'"),
    ("sst2:binary", "known without a configuration"),
])  # fmt: skip
def test_what_is_not_there_is_told_before_anything_is_asked(hub, name, message):
    with pytest.raises(DataError, match=message):
        load_task(f"hub:{name}")
    assert not hub


def test_broken_rows_are_left_out_and_told(hub, monkeypatch):
    def moved(i, split):
        row = squad(i, split)
        if i == 5:
            row["answers"]["answer_start"] = [0] * len(row["answers"]["text"])
        if i == 6:
            row["answers"] = {"text": [], "answer_start": []}
        return row

    def unmarked(i, split):
        return semeval(i, split) | ({"sentence": "The <e1>film</e1> was long."} if i == 5 else {})

    monkeypatch.setitem(PUBLISHED, ("rajpurkar/squad", None), (SQUAD, moved, ("train", "validation")))
    monkeypatch.setitem(PUBLISHED, ("SemEvalWorkshop/sem_eval_2010_task_8", None), (SEMEVAL, unmarked, TWO))
    told = list(map(str, load_task("hub:squad").skipped))
    assert told[0] == "hub:squad/train:6: the answer 'a mill' does not stand at character 0 of the passage" and "no answer in the passage" in told[1]
    assert "no two entities are marked" in str(load_task("hub:semeval").skipped[0])


def test_columns_can_be_named_for_a_known_data_set_too(hub):
    assert load_task("hub:mnli[text=hypothesis]").test[0].text == "He sings."
    assert load_task("hub:mnli", columns=Columns("hypothesis")).test[0].text == "He sings."
    assert load_task("hub:mnli[text=hypothesis]", columns=Columns("premise")).test[0].text == "He sings.", "the name goes before"
    assert load_task("hub:sst2", columns=Columns("sentence")).prefix == "sst2 sentence:", "named as it is known, nothing is new"


def test_columns_of_a_data_set_that_is_not_known(hub, monkeypatch):
    monkeypatch.setitem(PUBLISHED, ("some/where", "part"), (SST2, sst2, THREE))
    assert load_task("hub:some/where:part", columns=Columns("sentence")).test[0].text.startswith("the film")
    for name in ("hub:some/where:part", "hub:some/where:part[text=words]"):
        with pytest.raises(DataError, match=r"it has idx, sentence, label; name them as hub:some/where:part\[text=COLUMN,label=COLUMN\]"):
            load_task(name)


def test_a_split_that_is_not_there_is_told(hub, monkeypatch):
    monkeypatch.setitem(PUBLISHED, ("fancyzhx/ag_news", None), (AG_NEWS, ag_news, ("train", "unsupervised")))
    with pytest.raises(DataError, match="hub:ag_news: no test split; it has train, unsupervised"):
        load_task("hub:ag_news")


# -- large data sets -----------------------------------------------------------------------------------------


def test_a_limit_draws_from_each_part(hub):
    task, again, other = load_task("hub:mnli", limit=30), load_task("hub:mnli", limit=30), load_task("hub:mnli", limit=30, seed=1)
    assert (len(task.train) + len(task.validation), len(task.test)) == (30, 30)
    assert [e.text for e in task.test] == [e.text for e in again.test] != [e.text for e in other.test]
    assert "30 of the 80 rows of the train split are drawn (seed 0)" in task.notes
    row = int(task.test[-1].text.split()[1])
    assert task.test[-1].source == f"hub:mnli/validation_matched:{row + 1}", "a drawn row keeps its number"


def test_a_limit_of_other_tasks(tmp_path):
    task = load_task("topic", limit=50)
    assert (len(task.train), len(task.validation), len(task.test)) == (50, 50, 50) and "50 of the 1,000 records of the test part" in task.notes[-1]
    assert len(load_task("topic").test) == 1000
    for wrong in (0, -1, 2.5, True):
        with pytest.raises(DataError, match="limit is"):
            load_task("topic", limit=wrong)


def test_a_limit_loses_no_label(hub, monkeypatch, tmp_path):
    def rare(i, split):
        return {"text": f"report {i} of {split}", "label": 2 if i == 17 else 3 if i in (5, 6) else 0}

    monkeypatch.setitem(PUBLISHED, ("fancyzhx/ag_news", None), (AG_NEWS, rare, TWO))
    task = load_task("hub:ag_news", limit=10)
    assert task.labels == ("Business", "Sci/Tech", "World") and {e.label for e in task.test} == set(task.labels) and len(task.test) == 10
    with pytest.raises(DataError, match="every training record within a limit of 1 has the label 'World'; there is nothing to learn; give a larger limit"):
        load_task("hub:ag_news", limit=1)

    (tmp_path / "own.csv").write_text("text,label\n" + "".join(f"t{i},{'neg' if i % 100 == 0 else 'odd' if i % 100 == 1 else 'pos'}\n" for i in range(1000)), encoding="utf-8")
    task = load_task(tmp_path / "own.csv", limit=40)
    assert all({e.label for e in part} == {"neg", "odd", "pos"} and len(part) == 40 for part in (task.train, task.test))
    task = load_task(tmp_path / "own.csv", limit=2)
    assert "2 of the 810 records of the train part are drawn (seed 0); the labels that are gone: 'odd'" in task.notes
    with pytest.raises(DataError, match="own: every training record within a limit of 1 has the label 'pos'"):
        load_task(tmp_path / "own.csv", limit=1)
    assert len(load_task("translation", limit=1).train) == 1, "where no labels are, one record is little but no mistake"


def test_millions_of_rows_are_drawn_from(hub, monkeypatch):
    monkeypatch.setattr(huggingface, "MOST", 40)
    task = load_task("hub:wmt16:en-ro")
    assert len(task.train) == 40 and "40 of the 80 rows of the train split are drawn (seed 0)" in task.notes


# -- through the models --------------------------------------------------------------------------------------

FITTING = [("sst2", "bert-nano"), ("mnli", "gpt-nano"), ("ag_news", "bert-nano"), ("semeval", "bert-nano"), ("semeval", "gpt-nano"), ("squad", "bert-nano"), ("squad", "t5-nano"), ("wmt14:en-de", "t5-nano"), ("wmt16:ro-en", "gpt-nano"), ("mnli", "t5-nano")]


@pytest.mark.parametrize(("name", "model"), FITTING)
def test_two_steps_with_each_family(hub, name, model):
    task = load_task(f"hub:{name}", limit=16)
    learner = learner_for(load_model(model, device="cpu"), load_tokenizer(model), task)
    result = train_task(learner, task, "full", steps=2, batch_size=4, progress=False)
    assert 0 <= result.score <= 1 and result.metric == task.metric
    cut = sum(len(example.text) > 5000 for example in [*task.train, *task.test])
    assert result.truncated == cut, "the long passages are cut, and counted"


def test_an_answer_behind_the_cut_points_nowhere(hub):
    """BERT reads 512 pieces; an answer that stands behind them is learnt as [CLS], no answer here."""
    task = load_task("hub:squad")
    learner = learner_for(load_model("bert-nano", device="cpu"), load_tokenizer("bert-nano"), task)
    long = next(example for example in task.train if len(example.text) > 5000)
    (item,) = learner.encode([long])
    assert len(item["ids"]) == 512 and item["ends"] != [0, 0]
    long.text = long.text[40:] + long.text[:40]
    long.meta["start"] = long.text.index("a mill")
    assert learner.encode([long])[0]["ends"] == [0, 0] and learner.predict([long])[0] in long.text


@pytest.mark.parametrize("name", ["sst2", "mnli", "ag_news", "semeval"])
def test_prompts_ask_in_the_names_of_the_labels(hub, name):
    task = load_task(f"hub:{name}", limit=12)
    learner = prompt_learner(load_model("bert-nano", device="cpu"), load_tokenizer("bert-nano"), task)
    assert set(learner.predict(task.test)) <= set(task.labels)


def test_from_the_command_line(hub, capsys):
    words = ["run", "--model", "bert-nano", "--task", "hub:semeval", "--method", "lora", "--limit", "40", "--steps", "2", "--no-from-scratch"]
    assert cli.main(words) == 0
    out, error = capsys.readouterr()
    assert "hub:semeval: f1_semeval on 40 test examples (trained on 36)" in out and "40 of the 80 rows of the train split are drawn" in error


def test_offline_is_one_line_and_exit_code_2(capsys, monkeypatch, tmp_path):
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path)
    for name, about in KNOWN.items():
        assert cli.main(["run", "--model", "bert-nano", "--task", f"hub:{name}"]) == 2
        error = capsys.readouterr().err
        assert f"the data set {about.repository!r} is not in the hub's cache, and HF_HUB_OFFLINE is set" in error and error.count("\n") == 1


def test_a_repository_that_is_not_known_is_left_to_its_columns():
    assert find_known("some/where", "part") is None and find_known("nyu-mll/glue", "cola") is None
