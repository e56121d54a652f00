"""C9's wordings are new to the model, and its searches keep to their budget."""

import pytest

from minidelta.claims import c09_wordings
from minidelta.claims.c09_wordings import DRAWS, SEARCHES, WORDINGS, chosen, counting, frozen_spread, tuned_spread
from minidelta.data import load_task
from minidelta.hub import load_model, load_tokenizer
from minidelta.prompt.builtin import LABEL_WORDS
from minidelta.prompt.search import agreement, asking
from minidelta.prompt.template import Template
from minidelta.prompt.wording import repeated

EVERY = [(task, template) for task, templates in WORDINGS.items() for template in templates]


@pytest.mark.parametrize(("task", "template"), EVERY, ids=lambda value: getattr(value, "name", value))
def test_no_wording_repeats_four_words_of_pretraining(task, template):
    assert not repeated(template, LABEL_WORDS[task]) and len(template.words.split()) >= 2


def test_the_wordings_of_a_task_differ():
    for templates in WORDINGS.values():
        assert len(templates) == 14 == len({template.name for template in templates}) == len(set(templates))


def test_readings_are_counted():
    task = load_task("topic", shots=2)
    asked, readings = counting(asking(load_model("bert-nano"), load_tokenizer("bert-nano"), task, LABEL_WORDS["topic"]))
    for template in WORDINGS["topic"][:2]:
        agreement(asked(template), task.train[:5])
    assert readings == [5, 5]


def test_a_tuned_spread_is_not_made_of_luck():
    """Draws that disagree about the best wording make no spread; draws that agree do."""

    def runs(scores):
        return [{"task": "topic", "how": "tuned", "by": by, "draw": draw, "score": score} for draw in DRAWS for by, score in scores[draw].items()]

    assert tuned_spread(runs({0: {"a": 0.9, "b": 0.5}, 1: {"a": 0.5, "b": 0.9}})) == pytest.approx(-0.4)
    assert tuned_spread(runs({0: {"a": 0.9, "b": 0.5}, 1: {"a": 0.8, "b": 0.6}})) == pytest.approx((0.2 + 0.4) / 2)


def test_validation_names_the_best_and_the_worst_and_test_measures_them():
    runs = [{"task": "topic", "how": "frozen", "by": by, "score": score, "validation": validation, "log_p": -1.0} for by, score, validation in (("a", 0.7, 0.9), ("b", 0.8, 0.5), ("c", 0.1, 0.4), (SEARCHES[0], 1.0, 1.0))]
    assert frozen_spread(runs) == pytest.approx(0.6)
    judged = {run["by"]: (Template("{mask}"), run) for run in runs}
    assert chosen(judged, c09_wordings.BEST_MANUAL) == "a" and chosen(judged, c09_wordings.BEST_FOUND) == SEARCHES[0]
