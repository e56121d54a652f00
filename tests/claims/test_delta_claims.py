"""What the claims about deltas measure with, on runs too small to show anything."""

from dataclasses import replace

import pytest

from minidelta.claims import c18_rank, c20_unified
from minidelta.claims.tuning import best_rate
from minidelta.data import load_task
from minidelta.delta import BitFit, Design
from minidelta.finetune import learner_for
from minidelta.hub import load_model, load_tokenizer


def test_each_rate_gets_a_fresh_model_and_a_fresh_delta():
    task, learners, deltas = load_task("topic", shots=2), [], []
    task = replace(task, test=task.test[:20])

    def learner():
        learners.append(learner_for(load_model("bert-nano"), load_tokenizer("bert-nano"), task))
        return learners[-1]

    def delta():
        deltas.append(BitFit())
        return deltas[-1]

    found = best_rate(learner, task, (1e-3, 1e-2), 0, delta=delta, steps=2, batch_size=4)
    assert [one.model for one in deltas] == [one.model for one in learners] and len({id(one.model) for one in deltas}) == 2
    assert found["trainable"] == deltas[0].num_parameters() + 6 * 65 and found["lr"] in (1e-3, 1e-2)


def test_a_prefix_and_its_gated_form_agree_in_a_whole_model():
    assert 0 < c20_unified.apart(0) < 1e-12


def test_the_designs_of_c20_are_of_one_size():
    model = load_model("bert-nano")
    sizes = []
    for changes, _ in c20_unified.DESIGNS.values():
        with Design(changes).attach(model) as design:
            sizes.append(design.num_parameters())
    assert max(sizes) < 1.04 * min(sizes)


def test_merged_and_attached_models_answer_alike_when_they_are_timed():
    found = c18_rank.latency(2, seed=0, rounds=4)
    assert found["apart"] == pytest.approx(0, abs=1e-4) and found["ms"] > 0 and found["merged"] > 0 and found["attached"] > 0
