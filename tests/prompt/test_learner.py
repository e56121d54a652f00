"""The prompt learner in the training loop: the loss falls, padding changes nothing, soft tokens and calibration do what they say."""

import math
from dataclasses import replace

import pytest
import torch

from minidelta.data import Example, Task
from minidelta.errors import ConfigError, PromptError
from minidelta.finetune import parameter_groups, train_task
from minidelta.prompt import AnswerLearner, Answers, LabelVectors, PromptLearner, Prototypes, WordVerbalizer, calibrate
from minidelta.prompt.calibrate import KINDS, emptied, mean_prior, random_texts
from minidelta.prompt.decompose import DecomposedVerbalizer
from minidelta.prompt.knowledge import KnowledgeVerbalizer
from minidelta.prompt.soft import SoftTokens
from minidelta.prompt.template import Template
from tests.prompt.tiny import FAMILIES, model, task, tokenizer

WORDS = {"negative": ["bad", "dull"], "positive": ["good"]}
PLAIN, MIXED = "{text_a|shorten} it is {mask} .", '{soft:2} {text_a|shorten} {soft:"it was"} {mask} .'


def learner(family="bert", template=PLAIN, verbalizer=None, **settings):
    return PromptLearner(model(family), tokenizer(family), task(), template, verbalizer or WordVerbalizer(WORDS), **settings)


MADE = {
    "words": lambda family: learner(family),
    "answers": lambda family: AnswerLearner(model(family), tokenizer(family), task(), PLAIN, Answers({"negative": ["so bad"], "positive": ["good", "a great film"]})),
    "vectors": lambda family: learner(family, verbalizer=LabelVectors(WORDS)),
    "prototypes": lambda family: learner(family, verbalizer=Prototypes(("negative", "positive"))),
    "knowledge": lambda family: learner(family, verbalizer=KnowledgeVerbalizer(WORDS, weighted=True, prior=[-3.0, -4.0, -5.0])),
    "mixed": lambda family: learner(family, MIXED),
}


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("made", MADE)
def test_loss_falls_on_sixteen_examples(family, made):
    ours = MADE[made](family)
    result = train_task(ours, ours.task, "full", steps=40, lr=5e-3, batch_size=16, validations=0, progress=False)
    assert result.history.losses[-1] < 0.7 * result.history.losses[0]
    assert result.score > 0.9 and result.trainable == result.total
    assert ours.predict(ours.task.test) == ours.predict(ours.task.test[::-1])[::-1]


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("made", MADE)
def test_padding_and_company_change_no_score(family, made):
    ours = MADE[made](family)
    some = [*ours.task.test[:3], Example("it was")]
    together = ours.score(some)
    torch.testing.assert_close(together, torch.cat([ours.score([example]) for example in some]), atol=1e-4, rtol=1e-4)


def test_several_masks_learn():
    ours = learner(template="{text_a} {mask} was {mask}", verbalizer=DecomposedVerbalizer({"negative": ["film", "bad"], "positive": ["book", "good"]}))
    result = train_task(ours, ours.task, "full", steps=30, lr=5e-3, batch_size=16, validations=0, progress=False)
    assert result.history.losses[-1] < 0.5 * result.history.losses[0]


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("encoder", ["none", "mlp", "lstm"])
def test_soft_tokens_alone_train_and_the_backbone_stays(family, encoder):
    ours = learner(family, MIXED, encoder=encoder)
    before = {name: value.clone() for name, value in ours.model.backbone_state().items()}
    one_label = replace(ours.task, train=[example for example in ours.task.train if example.label == "positive"])  # as much as a random model can be told
    result = train_task(ours, one_label, "head", steps=60, lr=5e-2, batch_size=8, validations=0, progress=False)
    assert result.history.losses[-1] < (1.0 if family == "bert" else 0.95) * result.history.losses[0]  # the mask of a random BERT hardly listens to its neighbours
    assert all(torch.equal(before[name], value) for name, value in ours.model.backbone_state().items())
    assert result.trainable == sum(p.numel() for p in ours.soft.parameters()) and (encoder != "none" or result.trainable == 4 * 32)


def test_soft_tokens_bring_their_own_rate():
    assert [group["lr"] for group in parameter_groups(learner(template=MIXED), "head")] == [0.1]
    assert [group["lr"] for group in parameter_groups(learner(template=MIXED), "head", lr=0.5)] == [0.5]
    assert parameter_groups(learner(verbalizer=LabelVectors(WORDS)), "head")[0]["lr"] == 2e-2


def test_a_template_without_anything_to_train_says_so():
    with pytest.raises(ConfigError, match="Nothing to train.*soft tokens"):
        train_task(learner(), task(), "head", steps=1, validations=0)


# ---- soft tokens ----------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("encoder", ["none", "mlp", "lstm"])
def test_soft_words_start_as_their_words(encoder):
    """A template whose words are soft says at the start what the template of plain words says."""
    soft, plain = learner(template='{text_a} {soft:"it is"} {mask} .', encoder=encoder), learner(template="{text_a} it is {mask} .")
    torch.testing.assert_close(soft.score(task().test), plain.score(task().test), atol=1e-5, rtol=1e-5)


def test_one_id_is_one_vector():
    soft = SoftTokens(Template("{soft#a:2} {soft} {text_a} {soft#a} {mask}"), model("bert"), tokenizer("bert"))
    assert soft.weight.shape == (3, 32)
    soft.which = torch.tensor([[0, 1, 2, -1, 0]])
    out = torch.zeros(1, 5, 32)
    seen = soft(torch.zeros(1, 5), out)
    torch.testing.assert_close(seen[0, [0, 1, 2, 4]], soft.weight[[0, 1, 2, 0]])
    assert not seen[0, 3].any() and soft(torch.zeros(1, 1), out[:, :1]) is not None and torch.equal(soft(torch.zeros(1, 1), out[:, :1]), out[:, :1])


def test_the_lstm_lets_neighbours_depend_on_one_another():
    soft = SoftTokens(Template("{soft:4} {text_a} {mask}"), model("bert"), tokenizer("bert"), encoder="lstm")
    torch.testing.assert_close(soft.vectors(), soft.weight)  # nothing is added at the start
    torch.nn.init.ones_(soft.mlp[-1].weight)
    grown = torch.autograd.functional.jacobian(lambda w: torch.nn.functional.linear(soft.lstm(w[None])[0][0], soft.mlp[0].weight)[0].sum(), soft.weight.detach())
    assert (grown.abs().sum(-1) > 0).all(), "the first vector depends on all four"


def test_soft_tokens_are_checked_and_read():
    with pytest.raises(PromptError, match="no encoder of soft tokens called 'gru'"):
        learner(template=MIXED, encoder="gru")
    with pytest.raises(PromptError, match="has no soft token"):
        SoftTokens(Template("{text_a} {mask}"), model("bert"), tokenizer("bert"))
    ours = learner(template=MIXED)
    assert ours.soft.nearest(ours.model, ours.tokenizer)[2:] == ["it", "was"]


def test_one_model_serves_two_templates_in_turn():
    shared = model("bert")
    first, second = (PromptLearner(shared, tokenizer("bert"), task(), template, WordVerbalizer(WORDS)) for template in (MIXED, PLAIN))
    alone = learner(template=PLAIN).score(task().test)
    before = first.score(task().test)
    torch.testing.assert_close(second.score(task().test), alone)
    torch.testing.assert_close(first.score(task().test), before)


def test_the_same_seed_starts_the_same_soft_tokens():
    weights = [learner(template="{soft:5} {text_a} {mask}", seed=seed).soft.weight for seed in (0, 0, 1)]
    assert torch.equal(weights[0], weights[1]) and not torch.equal(weights[0], weights[2])


# ---- calibration ----------------------------------------------------------------------------------------------------
def test_the_mean_prior_by_hand():
    scores = torch.tensor([[math.log(0.8), math.log(0.2)], [math.log(6.0), math.log(4.0)]])  # the second row is not normalised: .6 and .4
    torch.testing.assert_close(mean_prior(scores).exp(), torch.tensor([0.7, 0.3]))


def test_contextual_calibration_makes_content_free_text_neutral():
    """Zhao et al.: W = diag(p_cf)^-1, so that a text without content gets equal shares; by hand for one such text."""
    ours = learner()
    prior = calibrate(ours, "contextual", task().train)
    raw = learner().score([Example("N/A"), Example("[MASK]"), Example("")])
    p_cf = raw.softmax(-1).mean(0)
    torch.testing.assert_close(prior, p_cf.log())
    p = learner().score(task().test).softmax(-1)
    theirs = p / p_cf  # W p
    torch.testing.assert_close(ours.score(task().test).softmax(-1), theirs / theirs.sum(-1, keepdim=True))


def test_pmi_takes_the_score_of_the_empty_prompt_off():
    ours = learner()
    bare = ours.score(task().test)
    calibrate(ours, "pmi", task().train)
    torch.testing.assert_close(ours.score(task().test), bare - learner().score([Example("")]))


def test_batch_calibration_evens_the_batch_out():
    ours = learner()
    bare = ours.score(task().test).softmax(-1)
    prior = calibrate(ours, "batch", task().test)
    torch.testing.assert_close(prior.exp(), bare.mean(0))
    torch.testing.assert_close(ours.score(task().test), learner().score(task().test) - bare.mean(0).log())


def test_domain_texts_are_made_of_the_words_of_the_domain():
    like = [Example("the film was bad", "so it was", "x", {"head": [4, 8]}), Example("good")]
    drawn = random_texts(like, 30, seed=1)
    assert {word for example in drawn for word in f"{example.text} {example.text_b or ''}".split()} <= set("the film was bad so it good".split())
    assert {len(example.text.split()) for example in drawn} == {4, 1} and all(example.label is None for example in drawn)
    assert drawn == random_texts(like, 30, seed=1) != random_texts(like, 30, seed=2)
    assert emptied(like[0], "").text_b == "" and emptied(like[1], "N/A").text_b is None


@pytest.mark.parametrize("kind", KINDS)
def test_calibration_is_asked_for_by_name_and_replaces_the_last(kind):
    ours = learner()
    first = calibrate(ours, kind, task().train)
    assert torch.equal(first, calibrate(ours, kind, task().train)) and first.shape == (2,)
    with pytest.raises(PromptError, match="needs some texts"):
        calibrate(ours, kind, [])
    with pytest.raises(PromptError, match="Did you mean batch"):
        calibrate(ours, "bath", task().train)


def test_masks_that_nobody_reads_are_told():
    words = WordVerbalizer({"negative": ["bad"], "positive": ["good"]})
    assert "has 3 masks, and these label words are read at the first" in PromptLearner(model("bert"), tokenizer("bert"), task(), "{text_a|shorten} it was {mask} {mask:2}", words).lint()[-1]


def test_an_explanation_and_a_lint_from_the_learner():
    ours = learner(template="{text_a|shorten} a good film ? {mask}")
    assert "a good film" in str(ours.explain(task().test[0])) and "'good'" in ours.lint()[0]


@pytest.mark.parametrize(("family", "other", "absent"), [("bert", "gpt", "cls_token and no sep_token"), ("t5", "bert", "eos_token")])
def test_the_tokenizer_of_another_family(family, other, absent):
    with pytest.raises(ConfigError, match=f"The tokenizer has no {absent} .* belongs to this model"):
        PromptLearner(model(family), tokenizer(other), task(), PLAIN, WordVerbalizer(WORDS))


def test_what_a_learner_refuses():
    with pytest.raises(PromptError, match="has no labels to put into words"):
        PromptLearner(model("bert"), tokenizer("bert"), Task("t", "generation", (), "bleu", [], [], []), PLAIN)
