"""What C11 and C26 count and compare is what they say."""

import pytest
import torch

from minidelta.claims import c11_structured as c11
from minidelta.claims import c26_many_tasks as c26
from minidelta.data import load_task


def test_a_frozen_backbone_saves_a_third_of_the_operations_at_most():
    task = load_task("sentiment", shots=16)
    prompts, copies = c26.cost("prompts", task), c26.cost("copies", task)
    assert 0 < 1 - prompts["flops"] / copies["flops"] < 1 / 3
    assert prompts["held"] < copies["held"] and prompts["trained"] == 4 * 64 * (c26.SOFT + len(task.labels))
    costs = {"sentiment": prompts}, {"sentiment": copies}
    assert c26.stored("prompts", costs[0]) == prompts["weights"] + prompts["trained"] and c26.stored("copies", costs[1]) == copies["weights"]


@pytest.mark.parametrize(("arm", "changed"), [("prompts", False), ("copies", True)])
def test_only_the_copies_change_the_backbone(arm, changed):
    task = load_task("sentiment", shots=4)
    learner = c26.asked(arm, task, seed=0)
    before = {name: value.clone() for name, value in learner.model.named_parameters() if "embed_out" not in name}
    groups = c26.parameter_groups(learner, c26.method(arm))
    optimizer = torch.optim.AdamW(groups, lr=1e-2)
    learner.loss(learner.collate(task.train)).backward()
    optimizer.step()
    after = dict(learner.model.named_parameters())
    assert any(not torch.equal(after[name], value) for name, value in before.items()) is changed


def test_the_plain_arm_reads_the_same_without_a_key():
    task = load_task(c11.UNSEEN, shots=2)
    schema, plain = (c11.learner_for(arm, [task], seed=0) for arm in ("together", "plain"))
    example = schema.task.train[0]
    with_keys, without = (one.renderer_for(example).template.fill(example) for one in (schema, plain))
    assert "[Question]" in with_keys and "[" not in without
    assert without == f"{example.text_b} {example.text}" and plain.soft is None and schema.soft is not None


def test_the_unseen_format_is_tuned_without_moving_the_learner(monkeypatch):
    monkeypatch.setattr(c11, "FEW_STEPS", 1)
    monkeypatch.setattr(c11, "FRESH", 4)
    one = c11.learner_for("alone", [load_task("qa-abstract", shots=2)], seed=0)
    before = {name: value.clone() for name, value in one.model.state_dict().items()}
    assert 0 <= c11.few_shot(one, seed=0) <= 1
    assert all(torch.equal(one.model.state_dict()[name], value) for name, value in before.items())
