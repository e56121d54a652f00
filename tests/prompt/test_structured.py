"""Structured questions of several formats in one model; ensembles of templates; prompts with demonstrations."""

import pytest
import torch

from minidelta.data import Example, Task
from minidelta.errors import PromptError
from minidelta.evaluate import evaluate
from minidelta.finetune import train_task
from minidelta.prompt.demonstrations import demonstrate, draw, drawn_templates
from minidelta.prompt.ensemble import Ensemble, mix, trained_weights
from minidelta.prompt.search import asking
from minidelta.prompt.structured import StructuredLearner, read, structured, structured_template, together
from minidelta.prompt.template import Template
from tests.prompt.tiny import FAMILIES, model, task, tokenizer

WORDS = {"negative": ["bad"], "positive": ["good"]}


def questions() -> list[Task]:
    """Three formats over the same small passages."""
    extract, choose, abstract = [], [], []
    for i, (noun, word) in enumerate([("film", "good"), ("book", "bad"), ("meal", "dull"), ("film", "fine")]):
        text = f"the {noun} was {word}"
        extract.append(Example(text, "what was it ?", meta={"answer": noun, "start": 4}))
        choose.append(Example(text, "was it good ?", i % 2, {"choices": [word, "science"] if i % 2 == 0 else ["science", word]}))
        abstract.append(Example(text, "is it so ?", meta={"answer": "yes" if word in ("good", "fine") else "no"}))
    made = lambda name, kind, metric, some: Task(name, kind, (), metric, some, some, some)  # noqa: E731
    return [made("qa-extract", "extraction", "f1_answer", extract), made("qa-choice", "choice", "accuracy", choose), made("qa-abstract", "generation", "exact_match", abstract)]


# ---- structured -------------------------------------------------------------------------------------------------------
def test_the_example_of_the_lecture():
    example = structured(Example("The Normans, were the people who in the 10th and 11th centuries gave their name to Normandy, a region in France.", "In what Country is Normandy located?", meta={"answer": "France"}), Task("SQuAD", "extraction", (), "f1_answer", [], [], []), domain="Wikipedia")
    said = structured_template(example, length=0).fill(example)
    assert said.startswith("[Format]: extractive, [Task]: SQuAD, [Domain]: Wikipedia, [Question]: In what Country is Normandy located?, [Passage]: The Normans, were")
    soft = structured_template(example, length=3)
    assert [part.label for part in soft.softs] == ["Format", "Format-extractive", "Task", "Task-SQuAD", "Domain", "Domain-Wikipedia", "Question", "Passage"]
    assert [part.shorten for part in soft.parts if part.kind in ("text_a", "text_b")] == [None, "tail"]


def test_candidates_stand_in_the_prompt_and_missing_keys_do_not():
    choice = structured(Example("", "dog ?", 1, {"choices": ["a", "b"]}), Task("analogy", "choice", (), "accuracy", [], [], []))
    template = structured_template(choice, length=0)
    assert template.fill(choice) == "[Format]: multiple choice, [Task]: analogy, [Domain]: world, [Question]: dog ?, [Candidates]: a ; b" and choice.target == "b"
    with pytest.raises(PromptError, match="no question with an answer in words"):
        structured(Example("a"), Task("ner", "tagging", (), "span_f1", [], [], []))


def test_one_table_of_soft_tokens_serves_all_formats():
    tasks = questions()
    ours = StructuredLearner(model("t5"), tokenizer("t5"), together(tasks), length=2)
    first, second = (ours.encode([structured(one.train[0], one)])[0] for one in tasks[:2])
    rows = [[row for row in item["soft"] if row >= 0] for item in (first, second)]
    shared = [row for key in ("Format", "Task", "Domain", "Question", "Passage") for row in ours.rows_of[key]]
    assert set(shared) <= set(rows[0]) & set(rows[1])
    assert set(ours.rows_of["Format-extractive"]) <= set(rows[0]) - set(rows[1]) and set(ours.rows_of["Format-multiple-choice"]) <= set(rows[1]) - set(rows[0])
    strange = structured(tasks[0].train[0], tasks[0], domain="moon")
    assert set(ours.rows_of["other"]) <= set(ours.encode([strange])[0]["soft"]) and not set(ours.rows_of["other"]) & set(rows[0])
    assert sorted({row for rows in ours.rows_of.values() for row in rows}) == list(range(len(ours.soft.weight)))


@pytest.mark.parametrize("length", [0, 2])
def test_three_formats_are_learnt_together(length):
    tasks = questions()
    ours = StructuredLearner(model("t5", n_layers=1), tokenizer("t5"), together(tasks), length=length)
    result = train_task(ours, ours.task, "full", steps=100, lr=1e-2, batch_size=12, validations=0, progress=False)
    assert result.history.losses[-1] < 0.3 * result.history.losses[0]
    assert min(ours.report(tasks).values()) > 0.7, ours.report(tasks)
    some = ours.task.test
    assert ours.predict(some) == [ours.predict([example])[0] for example in some]  # padding changes no answer


def test_an_answer_is_read_back():
    meta = {"Candidates": ["no", "yes"]}
    assert read(" Yes .", Example("", meta=meta)) == "yes" and read("perhaps", Example("", meta=meta)) is None
    assert read(" the film ", Example("")) == "the film"
    with pytest.raises(PromptError, match="take t5-micro"):
        StructuredLearner(model("bert"), tokenizer("bert"), together(questions()))


# ---- ensembles --------------------------------------------------------------------------------------------------------
def several(count=3):
    asked = asking(model("bert"), tokenizer("bert"), task(), WORDS)
    return Ensemble([asked(Template(source)) for source in ("{text_a} it was {mask}", "{mask} : {text_a}", "{soft:2} {text_a} {mask}")[:count]])


def test_a_mixture_by_hand():
    each = torch.tensor([[[0.9, 0.1], [0.2, 0.8]], [[0.5, 0.5], [0.6, 0.4]]]).log()
    torch.testing.assert_close(mix(each, torch.tensor([0.75, 0.25])).exp(), torch.tensor([[0.8, 0.2], [0.3, 0.7]]))
    weights = trained_weights(each, torch.tensor([0, 1]), 300, 0.1)
    assert weights[0] > 0.9 and weights.sum().item() == pytest.approx(1.0)


def test_an_ensemble_is_the_mean_of_its_templates():
    ours = several()
    mean = torch.stack([learner.score(task().test).softmax(-1) for learner in ours.learners]).mean(0)
    torch.testing.assert_close(ours.score(task().test).exp(), mean)
    assert 0 <= evaluate(ours, task().test) <= 1
    accuracies = torch.tensor([evaluate(learner, task().train) for learner in ours.learners])
    torch.testing.assert_close(ours.weigh(task().train, "accuracy"), accuracies / accuracies.sum())
    before = torch.nn.functional.nll_loss(ours.score(task().train), torch.tensor([ours.learners[0].label_number(example) for example in task().train]))
    ours.weigh(task().train, "trained")
    after = torch.nn.functional.nll_loss(ours.score(task().train), torch.tensor([ours.learners[0].label_number(example) for example in task().train]))
    assert after < before and ours.weigh(task().train, "uniform").tolist() == pytest.approx([1 / 3] * 3)
    with pytest.raises(PromptError, match="Did you mean uniform"):
        ours.weigh(task().train, "unifrm")
    with pytest.raises(PromptError, match="no templates"):
        Ensemble([])


# ---- demonstrations ---------------------------------------------------------------------------------------------------
def test_demonstrations_stand_in_front_and_are_never_cut():
    shown = demonstrate(Template("{text_a|shorten|lower} it was {mask} ."), [(Example("A {BAD} film and more"), "bad")], most=3)
    assert str(shown) == "a {{bad}} film it was bad .{sep}{text_a|shorten|lower} it was {mask} ."
    assert shown.fill(Example("The book"), "good") == "a {bad} film it was bad .[SEP]the book it was good ."
    with pytest.raises(PromptError, match="2 gaps"):
        demonstrate(Template("{mask} {text_a} {mask}"), [])


def test_one_demonstration_of_each_label_is_drawn():
    drawn = draw(task().train, WORDS, seed=3)
    assert sorted((example.label, word) for example, word in drawn) == [("negative", "bad"), ("positive", "good")]
    assert drawn == draw(task().train, WORDS, seed=3) and any(drawn != draw(task().train, WORDS, seed=seed) for seed in range(5))
    with pytest.raises(PromptError, match="No example of 'positive'"):
        draw([example for example in task().train if example.label == "negative"], WORDS)


@pytest.mark.parametrize("family", FAMILIES)
def test_draws_answer_together(family):
    asked = asking(model(family), tokenizer(family), task(), WORDS)
    ours = Ensemble([asked(template) for template in drawn_templates(Template("{text_a|shorten} it was {mask}"), task().train, WORDS, draws=3)])
    assert len({learner.template for learner in ours.learners}) > 1 and len(ours.predict(task().test)) == 16
