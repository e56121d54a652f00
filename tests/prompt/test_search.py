"""Template search: gaps filled by T5 against its own likelihoods, gradients against finite differences, the policy gradient by hand."""

import pytest
import torch

from minidelta.data import Example
from minidelta.errors import PromptError
from minidelta.finetune import train_task
from minidelta.prompt import PromptLearner, WordVerbalizer
from minidelta.prompt.autoprompt import autoprompt, trigger_gradient, triggers
from minidelta.prompt.expand import whole_words
from minidelta.prompt.policy import common_words, policy_loss, policy_search, reward
from minidelta.prompt.search import _with, agreement, asking, fill_gaps, generate_templates, mine, paraphrase, rank
from minidelta.prompt.template import Template
from tests.prompt.tiny import FAMILIES, model, pieces, task, tokenizer

WORDS = {"negative": ["bad"], "positive": ["good"]}


def ask(family="bert"):
    return asking(model(family).requires_grad_(False), tokenizer(family), task(), WORDS)


def taught(family="bert"):
    """A model that answers by what it read, so that wording can matter."""

    ours = PromptLearner(model(family), tokenizer(family), task(), "{text_a|shorten} it was {mask}", WordVerbalizer(WORDS))
    train_task(ours, ours.task, "full", steps=60, lr=1e-2, batch_size=16, validations=0, progress=False)
    return asking(ours.model.requires_grad_(False), ours.tokenizer, ours.task, WORDS)


# ---- gaps -----------------------------------------------------------------------------------------------------------
def test_filled_gaps_have_the_likelihood_that_t5_gives_them():
    t5, pieces_of = model("t5"), tokenizer("t5")
    sources = [pieces("t5", "_the", "<extra_id_0>", "_good", "<extra_id_1>", "</s>"), pieces("t5", "_a", "_film", "_and", "<extra_id_0>", "_bad", "<extra_id_1>", "</s>")]
    found = fill_gaps(t5, pieces_of, sources, gaps=2, beams=4, longest=3)
    assert len(found) == 4 and [score for score, _ in found] == sorted((score for score, _ in found), reverse=True)
    first, second, third = pieces("t5", "<extra_id_0>", "<extra_id_1>", "<extra_id_2>")
    for score, (one, two) in found:
        target = [first, *one, second, *two, third]
        assert len(one) + len(two) <= 3 and not {*one, *two} & set(pieces_of.all_special_ids)
        total = 0.0
        for source in sources:  # padding on, and one source after the other
            log_p = t5(torch.tensor([source]), decoder_input_ids=torch.tensor([[t5.config.decoder_start_token_id, *target[:-1]]])).log_softmax(-1)[0]
            total += log_p[torch.arange(1, len(target)), target[1:]].sum().item()
        assert score == pytest.approx(total, rel=1e-4)


def test_a_wider_beam_finds_nothing_worse():
    sources = [pieces("t5", "_the", "<extra_id_0>", "_good", "</s>")]
    narrow, wide = (fill_gaps(model("t5"), tokenizer("t5"), sources, gaps=1, beams=beams, longest=2)[0][0] for beams in (1, 30))
    assert wide >= narrow - 1e-5


def test_generated_templates_hold_texts_a_mask_and_words():
    found = generate_templates(model("t5"), tokenizer("t5"), task().train[:4], WORDS, beams=5, longest=4)
    assert 1 <= len(found) <= 5 and len({template for _, template in found}) == len(found)
    assert all([part.kind for part in template.parts if part.kind != "literal"] == ["text_a", "mask"] for _, template in found)
    pairs = [Example("the film", "the book", "positive"), Example("the meal", "the film", "negative")]
    assert all(template.source.startswith("{text_a|shorten} {text_b|shorten} ") for _, template in generate_templates(model("t5"), tokenizer("t5"), pairs, WORDS, beams=2, longest=2))
    for arguments, complaint in (((model("bert"), tokenizer("bert"), task().train, WORDS), "take a T5"), ((model("t5"), tokenizer("t5"), [], WORDS), "none were given"), ((model("t5"), tokenizer("t5"), [Example("x")], WORDS), "has no label word")):
        with pytest.raises(PromptError, match=complaint):
            generate_templates(*arguments)


def test_a_paraphrase_changes_one_or_two_words():
    old = Template("{text_a|shorten} it was {mask} .")
    found = paraphrase(old, model("t5"), tokenizer("t5"), task().train[:3], ["good"] * 3, beams=2, longest=2)
    assert found and all(template != old and template.masks and [part.kind for part in template.parts][0] == "text_a" for _, template in found)
    assert [score for score, _ in found] == sorted((score for score, _ in found), reverse=True)
    with pytest.raises(PromptError, match="take a T5"):
        paraphrase(old, model("bert"), tokenizer("bert"), task().train[:1], ["good"])


def test_what_stands_before_the_gaps_is_one_s_own_choice():
    some = [Example(f"the {noun} was good", label="positive", meta={"domain": noun}) for noun in ("film", "book")]
    found = generate_templates(model("t5"), tokenizer("t5"), some, WORDS, beams=2, longest=2, before="{meta:domain} : {text_a|shorten}")
    assert found and all(template.source.startswith("{meta:domain} : {text_a|shorten} ") for _, template in found)


def test_new_words_are_not_glued_to_a_gap():
    old = Template("{text_a} It was {mask}.").parts
    assert _with(old, 3, ["and", "so"]).source == "{text_a} It was {mask} and so" and _with(old, 3, ["?"]).source == "{text_a} It was {mask}?"
    assert _with(old, 1, ["They", "were"]).source == "{text_a} They were {mask}." and _with(Template("It was {mask}").parts, 0, ["So"]).source == "So {mask}"


def test_mining_counts_what_stands_between():
    said = [Example("Ada was born in Rome.", label="born", meta={"head": [0, 3], "tail": [16, 20]})] * 3
    said += [Example("Rome {is} the home of Ada.", label="lives", meta={"head": [22, 25], "tail": [0, 4]})] * 2
    said += [Example("Ada saw Rome.", label="saw", meta={"head": [0, 3], "tail": [8, 12]})]
    found = mine(said)
    assert found["born"] == [(3, Template("{head} was born in {mask}."))] and found["lives"] == [(2, Template("{mask} {{is}} the home of {head}."))] and found["saw"] == []


def test_ranking_is_by_accuracy_and_then_by_likelihood():
    asked = taught()
    some = [Template("{text_a} . {mask}"), Template("{text_a} it was {mask}"), Template("so ? {mask} a film"), Template("{mask} {text_a}")]
    ranked = rank(some, asked, task().train)
    judged = {template: agreement(asked(template), task().train) for template in some}
    assert [template for _, template in ranked] == sorted(some, key=judged.get, reverse=True)
    assert ranked[0][0] == 1.0 and ranked[-1] == (0.5, some[2]), "a template that does not read the text knows nothing"
    assert judged[some[1]][0] == 1.0 and -0.7 < judged[some[1]][1] < 0


# ---- AutoPrompt -------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("family", FAMILIES)
def test_the_gradient_at_a_trigger_is_that_of_a_small_step(family):
    """Move the embedding of a word that stands as a trigger only, and compare the change of log p with the gradient."""
    asked = ask(family)
    examples = [Example("the film was bad", label="negative"), Example("the meal", label="positive")]
    learner = asked(triggers(["topic", "science"]))
    gradient = trigger_gradient(learner, examples, ["topic", "science"])[1]  # of science
    table, token = learner.model.token_embedding.weight, pieces(family, "_science")[0]
    step = 1e-2 * gradient / gradient.norm()

    def log_p() -> float:
        return agreement(learner, examples)[1] * len(examples)

    head = table.detach().clone()  # the tied output layer moves with the table, and its row is no label word's: log p of label words shifts alike
    with torch.no_grad():
        table[token] += step
        up = log_p()
        table[token] -= 2 * step
        down = log_p()
        table.copy_(head)
    assert (up - down) / 2 == pytest.approx((gradient @ step).item(), rel=0.05)


@pytest.mark.parametrize("family", FAMILIES)
def test_autoprompt_climbs_on_its_examples(family):
    asked = ask(family)
    found = autoprompt(asked, task().train, count=2, steps=4, k=4)
    start = found.history[0][1]
    assert found.score >= start and found.score == pytest.approx(agreement(asked(found.template), task().train)[1], abs=1e-5)
    words = found.template.words.split()
    assert len(words) == 2 and not {"good", "bad"} & set(words)
    assert found.template == autoprompt(asked, task().train, count=2, steps=4, k=4).template
    few = autoprompt(asked, task().train, candidates=["it", "was", "good"], count=2, steps=2, k=4)
    assert set(few.template.words.split()) <= {"it", "was"}, "never a label word"
    with pytest.raises(PromptError, match="only 1 of the candidates"):
        autoprompt(asked, task().train, candidates=["it", "good"], count=2)
    with pytest.raises(PromptError, match="at least one trigger"):
        autoprompt(asked, task().train, count=0)
    with pytest.raises(PromptError, match="between two parts in braces"):
        triggers(["so"], before="{text_a} and")


# ---- policy -----------------------------------------------------------------------------------------------------------
def test_the_policy_gradient_by_hand():
    """theta = 0: grad log pi of a drawn word is 1 - 1/W at it and -1/W elsewhere."""
    theta = torch.zeros(1, 4, requires_grad=True)
    policy_loss(theta, torch.tensor([[2], [0]]), torch.tensor([3.0, 1.0])).backward()
    advantage = 1.0 / 2**0.5  # (3 - 2) / std, std = sqrt(2)
    expected = -advantage * (torch.tensor([-0.25, -0.25, 0.75, -0.25]) - torch.tensor([0.75, -0.25, -0.25, -0.25])) / 2
    torch.testing.assert_close(theta.grad[0], expected)


def test_a_reward_is_the_gap_to_the_next_label():
    learner = ask()(Template("{text_a} {mask}"))
    p = learner.score(task().train).softmax(-1)
    labels = torch.tensor([learner.label_number(example) for example in task().train])
    rows = torch.arange(len(p))
    assert reward(learner, task().train) == pytest.approx((p[rows, labels] - p[rows, 1 - labels]).mean().item(), abs=1e-6)


def test_a_policy_finds_the_words_that_the_model_was_trained_with():
    asked = taught()
    found = policy_search(asked, task().train, candidates=["it", "was", "topic", "science"], count=2, steps=12, samples=6, seed=1)
    others = [reward(asked(triggers([a, b])), task().train) for a in ("topic", "science") for b in ("topic", "science")]
    assert found.score >= max(others) and found.score == pytest.approx(reward(asked(found.template), task().train), abs=1e-5)
    assert [score for _, score, _ in found.history] == sorted(score for _, score, _ in found.history)
    with pytest.raises(PromptError, match="All candidates are label words"):
        policy_search(asked, task().train, candidates=["good", "Bad"])
    with pytest.raises(PromptError, match="two samples a step"):
        policy_search(asked, task().train, samples=1)


def test_common_words_come_from_the_examples():
    words = common_words(tokenizer("bert"), task().train, avoid=["good"])
    assert words[:2] == ["the", "was"] and "good" not in words and set(words) <= {tokenizer("bert").convert_ids_to_tokens(i).lstrip("Ġ") for i in whole_words(tokenizer("bert"), 2)}
    with pytest.raises(PromptError, match="give candidates"):
        common_words(tokenizer("bert"), [Example("???")])
