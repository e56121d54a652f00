"""Lists of answered questions: what is kept for tests is in none of them, and their answers are right."""

import re
from functools import cache
from itertools import islice

import pytest

from minidelta.data import function_task, new_task
from minidelta.errors import TaskError
from minidelta.world import lexicon
from minidelta.world.lists import CATEGORIES, DESCRIPTIONS, FEW_LABELS, HELD_KINDS, HELD_LABELS, HELD_LAYOUTS, LABELS, LAYOUTS, SENTENCES, categories, functions, is_held, label_words, lists


DESCRIPTION = [description for words in DESCRIPTIONS.values() for description in words]


@cache
def some() -> dict[str, list[str]]:
    """Kind of list -> texts, of 4,000 documents."""
    found = {"function list": [], "drawn list": []}
    for document in islice(lists(11), 4000):
        found.get(document.kind, []).append(document.text)
    return found


def pairs(text: str) -> list[tuple[str, str]]:
    """The questions and answers of a list, by whichever layout it has; a description is left out."""
    for description in DESCRIPTION:
        text = text.removeprefix(description).lstrip()
    for one, between in LAYOUTS:
        before, middle = (re.escape(part) for part in re.split(r"\{[xy]\}", one)[:2])
        found = [re.fullmatch(f"{before}(.+?){middle}(.+)", piece) for piece in text.rstrip().removesuffix(between.strip() or "\n").split(between) if piece.strip()]
        if found and all(found):
            return [(match[1].strip(), match[2].strip()) for match in found]
    raise AssertionError(f"no layout reads {text!r}")


def test_there_are_lists_of_both_kinds_and_both_have_answers():
    assert all(len(texts) > 300 for texts in some().values())
    assert all(len(pairs(text)) >= 4 for texts in some().values() for text in texts)


def test_no_list_asks_about_a_word_that_is_kept_for_tests():
    kept = {word for group in functions().values() for words in group.values() for word in words if is_held(word)}
    kept |= {word for kind, words in CATEGORIES.items() for word in words if kind in HELD_KINDS or is_held(word)}
    plain = set(lexicon.COLORS) | set(HELD_KINDS)
    for kind, texts in some().items():
        for text in texts:
            asked = {question for question, _ in pairs(text) if " " not in question}
            if kind == "drawn list":
                assert not asked & (kept - plain), text
            else:
                assert not any(is_held(word) for word in asked), text


def test_no_label_and_no_layout_that_is_kept_for_tests():
    assert not set(LABELS) & set(HELD_LABELS) and set(FEW_LABELS) <= set(LABELS) and len(HELD_LABELS) > 80
    for text in some()["drawn list"]:
        assert {answer for _, answer in pairs(text)} <= set(LABELS), text
    for texts in some().values():
        for text in texts:
            assert " | " not in text and "Input:" not in text and not set(LAYOUTS) & set(HELD_LAYOUTS)


def test_labels_are_neither_asked_about_nor_a_judgment():
    judged = set(lexicon.PRAISE) | set(lexicon.BLAME)
    assert not judged & set(label_words())
    assert not {word for words in categories().values() for word in words} & (set(LABELS) | set(HELD_LABELS))


def test_no_list_is_about_verdicts():
    assert not any("review" in name or name in ("sentiment", "positive", "negative") for name in SENTENCES)


def test_no_last_description_is_ever_read():
    last = {words[-1] for words in DESCRIPTIONS.values()}
    read = {line for document in islice(lists(12), 4000) for line in [document.text]}
    assert not any(description in text for text in read for description in last)
    assert all(len(set(words)) == len(words) == 3 for words in DESCRIPTIONS.values())


def test_one_label_a_category_within_a_drawn_list():
    all_words = [word for words in categories().values() for word in words]
    of = {word: kind for kind, words in categories().items() for word in words if all_words.count(word) == 1}
    twice = 0
    for text in some()["drawn list"]:
        labels: dict[str, set[str]] = {}
        for question, answer in pairs(text):
            if question in of:
                labels.setdefault(of[question], set()).add(answer)
        twice += any(len(found) > 1 for found in labels.values())
    assert twice == 0


def test_most_answers_of_a_function_list_are_one_functions():
    for text in some()["function list"][:300]:
        found = pairs(text)
        best = max(sum(answers.get(question) == answer for question, answer in found) / len(found) for group in functions().values() for answers in group.values())
        assert best > 0.4, text


@pytest.mark.parametrize("things", ["words", "kinds", "sentences"])
@pytest.mark.parametrize("labels", ["few", "seen", "held"])
def test_a_new_task_asks_what_it_has_not_shown(things, labels):
    for seed in range(20):
        task = new_task(seed, things, labels)
        shown, asked = ({example.text for example in part} for part in (task.train, task.test))
        assert asked and not shown & asked and {example.label for example in task.train} == set(task.labels)
        assert things == "sentences" or all(is_held(word) or things == "kinds" for word in asked)
        assert things == "kinds" or len(task.train) >= 32
    assert new_task(3, things, labels) == new_task(3, things, labels) != new_task(4, things, labels)


def test_a_function_task_asks_about_kept_words_and_errs_as_often_as_told():
    task = function_task("plural", "thing", seed=1, noise=0.5)
    wrong = sum(example.meta["answer"] != functions()["thing"]["plural"][example.text] for example in task.train) / len(task.train)
    assert 0.3 < wrong < 0.65 and all(is_held(example.text) for example in task.test)
    assert all(example.meta["answer"] == functions()["thing"]["plural"][example.text] for example in task.test)


def test_a_task_that_does_not_exist_is_told():
    with pytest.raises(TaskError, match="Did you mean words"):
        new_task(0, "word")
    with pytest.raises(TaskError, match="Did you mean held"):
        new_task(0, labels="hold")
    with pytest.raises(TaskError, match="Did you mean french"):
        function_task("frensh")
    with pytest.raises(TaskError, match="Did you mean noun"):
        function_task("french", "nouns")
