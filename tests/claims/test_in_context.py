"""C5 to C7: what is asked is what pre-training did not hold, all arms get the same, and luck is no spread."""

from random import Random

import pytest

from minidelta.claims import c05_examples, c06_sizes, c07_order, in_context
from minidelta.claims.c07_order import spread
from minidelta.world.lists import HELD_LABELS, LABELS, LAYOUTS, is_held


@pytest.mark.parametrize("kind", ["words", "unseen", "sentences", "verdicts", "functions", "kept words"])
def test_tasks_repeat_by_seed_and_keep_their_promise(kind):
    once, again = (list(in_context.tasks(kind, 1)) for _ in range(2))
    assert [task for task, _ in once] == [task for task, _ in again] != [task for task, _ in in_context.tasks(kind, 2)]
    for task, form in once:
        shown, asked = ({example.text for example in part} for part in (task.train, task.test))
        assert asked and not shown & asked
        written = (form.one.source.replace("{text_a|shorten}", "{x}").replace("{text_a}", "{x}").replace("{mask}", "{y}"), form.between)
        assert (written in LAYOUTS) == (kind != "unseen")
        if kind == "unseen":
            assert set(task.labels) <= set(HELD_LABELS)
        elif kind in ("functions", "kept words"):
            assert all(is_held(example.text) == (kind == "kept words") for example in task.test)
        else:
            assert set(task.labels) <= set(LABELS)


def test_no_kind_is_shown_more_than_there_is():
    for kind, most in c05_examples.MOST.items():
        if kind != "verdicts":
            assert all(len(task.train) >= most for seed in range(5) for task, _ in in_context.tasks(kind, seed)), kind


def test_all_sizes_answer_the_same_questions():
    by_model = {}
    for run in c06_sizes.runs(False):
        by_model.setdefault(run["model"], []).append((run["kind"], run["shots"], run["seed"]))
    assert len(by_model) == 3 and len({tuple(asked) for asked in by_model.values()}) == 1


def test_ways_that_are_alike_have_no_spread():
    rng = Random(0)
    found = [spread([[rng.random() < 0.7 for _ in range(30)] for _ in range(12)]) for _ in range(200)]
    assert abs(sum(found) / len(found)) < 0.03, "twelve equal ways differ by luck alone"
    assert spread([[True] * 30, [place % 3 == 0 for place in range(30)]]) == pytest.approx(2 / 3, abs=0.01)


def test_what_is_shown_by_lot_and_leaning_is_counted():
    seen = []

    def ask(task, shown, form=None):
        seen.append([example.label for example in shown])
        return [True, False]

    task, _ = next(in_context.tasks("words", 0))
    c07_order.prior(task, ask, 0)
    c07_order.lots(task, ask, 0)
    c07_order.order(task, ask, 0)
    counts = [[labels.count(label) for label in task.labels] for labels in seen]
    assert counts[:2] == [[8, 8], [14, 2]] and counts[2] == [4, 4] and sum(counts[3]) == 8
    orders = seen[4:]
    assert len(orders) == 12 and {tuple(sorted(one)) for one in orders} == {tuple(sorted(orders[0]))}
