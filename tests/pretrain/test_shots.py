"""What is measured in one pass over a list is what would be measured by asking question by question."""

from random import Random

import pytest
import torch

from minidelta.hub import load_model, load_tokenizer
from minidelta.pretrain.shots import accuracies, drawn, function, hits
from minidelta.world.lists import LAYOUTS


@pytest.fixture(scope="module")
def gpt():
    return load_model("gpt-nano").eval(), load_tokenizer("gpt-nano")


@pytest.mark.parametrize("layout", LAYOUTS)
def test_one_pass_answers_as_many_prompts(layout, gpt):
    model, tokenizer = gpt
    asked = drawn(Random(3), 6)
    one, between = layout
    for place, (word, answer, labels) in enumerate(asked):
        text = between.join([one.format(x=x, y=y) for x, y, _ in asked[:place]] + [one.format(x=word, y="").rstrip()])
        log_p = model(torch.tensor([[tokenizer.eos_token_id, *tokenizer(text)["input_ids"]]], device=model.device))[0, -1].log_softmax(-1)
        best = max(labels, key=lambda label: log_p[tokenizer(f" {label}")["input_ids"][0]])
        assert hits(model, tokenizer, [asked], layout)[0, place] == (best == answer), (layout, place)


def test_a_guess_is_right_as_often_as_there_are_answers(gpt):
    found = accuracies(*gpt)
    assert set(found) == {f"{kind}-{shots}" for kind in ("drawn", "function") for shots in (0, 1, 2, 4, 8, 16)}
    assert found == accuracies(*gpt) and all(0 <= value <= 1 for value in found.values())
    assert abs(found["drawn-0"] - 0.5) < 0.15


def test_questions_of_a_list_are_not_asked_twice_while_there_are_others():
    for seed in range(30):
        words = [word for word, _, _ in function(Random(seed))]
        assert len(set(words)) == len(words)
    assert torch.tensor([len({word for word, _, _ in drawn(Random(seed))}) for seed in range(30)]).float().mean() > 14
