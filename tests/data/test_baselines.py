"""The two rivals: they repeat exactly, learn what words alone can tell, and say where they do not apply."""

import pytest

from minidelta.data import Example, load_task
from minidelta.data.baselines import NO_BAG, bag_of_words, majority
from minidelta.data.tasks import Task
from minidelta.errors import TaskError
from minidelta.evaluate import evaluate


def task_of(kind, train, test, labels=("no", "yes")):
    return Task("toy", kind, labels, "accuracy", train, [], test)


def test_majority_is_the_most_common_training_label():
    train = [Example("x", label=label) for label in ("yes", "no", "yes")]
    assert majority(task_of("classification", train, [])).predict(train) == ["yes"] * 3
    tie = [Example("x", label=label) for label in ("yes", "no")]
    assert majority(task_of("classification", tie, [])).predict(tie[:1]) == ["no"], "equals: the first in order"


def test_majority_tag():
    train = [Example("a b", meta={"tokens": ["a", "b"], "tags": ["O", "B-PER"]}), Example("c", meta={"tokens": ["c"], "tags": ["O"]})]
    assert majority(task_of("tagging", train, [])).predict(train) == [["O", "O"], ["O"]]


def test_bag_of_words_learns_words_and_not_order():
    train = [Example(f"the film was {word} today", label=label) for word, label in [("good", "yes"), ("fine", "yes"), ("bad", "no"), ("dull", "no")] * 3]
    bag = bag_of_words(task_of("classification", train, []))
    assert bag.predict([Example("GOOD"), Example("dull unseen words")]) == ["yes", "no"]
    order = [Example("a b" if i % 2 else "b a", label="yes" if i % 2 else "no") for i in range(20)]
    assert len(set(bag_of_words(task_of("classification", order, [])).predict(order))) == 1


def test_bag_of_words_keeps_the_two_texts_apart():
    train = [Example("x", "y", label="yes"), Example("y", "x", label="no")] * 5
    assert bag_of_words(task_of("classification", train, [])).predict(train[:2]) == ["yes", "no"]


def test_bag_of_options_and_of_single_words():
    train = [Example("the sky is blue", "what is blue?", 1, {"choices": ["stone", "sky", "sea"][: 2 + i % 2]}) for i in range(8)]
    assert bag_of_words(task_of("choice", train, [])).predict(train[:2]) == [1, 1]
    tags = [Example("Ada ran", meta={"tokens": ["Ada", "ran"], "tags": ["B-PER", "O"]})]
    assert bag_of_words(task_of("tagging", tags, [])).predict([Example("ran ada new", meta={"tokens": ["ran", "ada", "new"]})]) == [["O", "B-PER", "B-PER"]]


@pytest.mark.parametrize("kind", NO_BAG)
def test_where_a_bag_makes_no_sense_it_says_why(kind):
    with pytest.raises(TaskError, match=NO_BAG[kind]):
        bag_of_words(task_of(kind, [], []))


def test_both_repeat_and_structure_beats_a_bag():
    task = load_task("sentiment")
    scores = [evaluate(bag_of_words(task), task.test, task.metric) for _ in range(2)]
    assert scores[0] == scores[1]
    assert evaluate(majority(task), task.test, task.metric) < scores[0] < 0.8, "order matters in this task: words alone fall short"
