"""What C16 and C17 measure with: the least dimension that is enough, and tasks that are held out where they should be."""

import pytest
import torch

from minidelta.claims import c16_intrinsic as c16
from minidelta.claims import c17_prompt_space as c17


def scored(scores, model="bert-nano", task="topic"):
    return [{"task": task, "model": model, "d": d, "score": score} for d, score in scores.items()]


@pytest.mark.parametrize(
    ("scores", "d90"),
    [
        ({0: 1.0, 4: 0.8, 16: 1.0}, 8.0),  # half of the way, on the logarithm
        ({0: 1.0, 4: 0.95, 16: 1.0}, 4.0),  # reached at once
        ({0: 1.0, 4: 0.5, 16: 0.8}, 16.0),  # never
        ({0: 1.0, 1: 0.2, 4: 0.9, 16: 0.3}, 4.0),  # the first crossing counts
    ],
)
def test_d90_is_interpolated_on_the_logarithm(scores, d90):
    assert c16.d90(scored(scores), "topic", "bert-nano") == pytest.approx(d90)


def test_times_halved_counts_the_tasks_that_both_models_have():
    runs = scored({0: 1.0, 4: 0.5, 16: 1.0}, "random") + scored({0: 1.0, 4: 1.0, 16: 1.0}) + scored({0: 1.0, 4: 0.5, 16: 0.5}, "random", "relation")
    first = c16.d90(runs, "topic", "random")
    assert c16.fewer(runs, "random", "bert-nano") == pytest.approx(torch.tensor(first / 4).log2().item(), abs=1e-6)


def test_random_weights_differ_by_seed_and_have_the_shape_of_nano():
    one, same, other = c16.fresh("random", 0), c16.fresh("random", 0), c16.fresh("random", 1)
    values = [model.layers[0].attn.q_proj.weight for model in (one, same, other)]
    assert torch.equal(values[0], values[1]) and not torch.equal(values[0], values[2])
    assert one.config == c16.load_model("bert-nano").config


def test_every_small_task_is_held_out_once_and_can_be_learnt_from():
    folds = [c17.names(fold) for fold in range(c17.FOLDS)]
    assert sorted(sum(folds, [])) == sorted(c17.VARIANTS) and len(c17.VARIANTS) == 45 and all(len(fold) >= 8 for fold in folds)
    kinds = [variant.kind for variant in c17.VARIANTS.values()]
    assert max(kinds.count(kind) for kind in kinds) <= len(kinds) / 5, "no kind has more than a fifth of the tasks"
    for name, variant in c17.VARIANTS.items():
        task = c17.as_task(variant, 100)
        assert {one.label for one in task.train} == set(variant.labels), name
        assert len(task.train) >= 400 and len(task.test) >= 100, name


def test_texts_are_labelled_by_what_stands_in_them():
    assert c17.thing("The salmon was sold to the baker") == "fish" and c17.thing("The salmon lay beside the piano") is None
    assert c17.reviewed("The plot was dull and the prose fine") == "book" and c17.reviewed("It was fine") is None


def test_recovery_is_counted_above_the_most_frequent_class():
    runs = [{"arm": arm, "d": d, "seen": False, "score": score, "guess": 0.5} for arm, d, score in (("prompt", 0, 0.9), ("space", 16, 0.8), ("noise", 16, 0.7))]
    assert c17.recovered(runs, False) == pytest.approx(0.75) and c17.recovered(runs, False, "noise") == pytest.approx(0.5)
