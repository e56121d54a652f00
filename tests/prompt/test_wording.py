"""How a template reads, against the model by hand; and what it repeats of pre-training."""

import pytest
import torch

from minidelta.data import Example
from minidelta.errors import PromptError
from minidelta.prompt.builtin import LABEL_WORDS, TEMPLATES
from minidelta.prompt.template import Template
from minidelta.prompt.wording import fluency, plain, repeated
from tests.prompt.tiny import model, pieces, tokenizer

WORDS = {"negative": ["bad"], "positive": ["good"]}
SAID = [Example("the film", label="negative"), Example("we saw the meal", label="positive")]


def test_fluency_is_the_mean_log_p_of_the_templates_own_tokens():
    gpt, end = model("gpt"), tokenizer("gpt").eos_token_id
    total = []
    for said, answer in ((("_the", "_film"), "_bad"), (("_we", "_saw", "_the", "_meal"), "_good")):  # one after the other, without padding
        ids = [end, *pieces("gpt", *said, "_it", "_was", answer, "_yes")]  # plain: without the comma and the exclamation mark
        log_p = gpt(torch.tensor([ids]))[0].log_softmax(-1)
        total += [log_p[place - 1, ids[place]].item() for place in (len(said) + 1, len(said) + 2, len(said) + 4)]
    assert fluency(Template("{text_a|shorten} It was {mask}, yes!"), gpt, tokenizer("gpt"), SAID, WORDS) == pytest.approx(sum(total) / 6, rel=1e-4)


def test_a_text_behind_the_words_and_a_template_without_words():
    gpt, end = model("gpt"), tokenizer("gpt").eos_token_id
    ids = [end, *pieces("gpt", "_it", "_was")]
    log_p = gpt(torch.tensor([ids]))[0].log_softmax(-1)
    by_hand = (log_p[0, ids[1]] + log_p[1, ids[2]]).item() / 2
    assert fluency(Template("It was {mask}: {text_a}"), gpt, tokenizer("gpt"), SAID, WORDS) == pytest.approx(by_hand, rel=1e-4)
    assert fluency(Template("{text_a} ... {mask}."), gpt, tokenizer("gpt"), SAID, WORDS) == 0.0
    with pytest.raises(PromptError, match="take a GPT"):
        fluency(Template("{mask}"), model("bert"), tokenizer("bert"), SAID, WORDS)


def test_built_in_templates_repeat_what_they_say_they_do(told):
    for task, templates in TEMPLATES.items():
        for template in templates if task in LABEL_WORDS else ():
            assert bool(repeated(template, LABEL_WORDS[task], told)) == template.seen, template


def test_the_default_sample_is_that_of_the_tests(told):
    assert " in a word " in told and repeated(Template("{text_a} In a word, {mask}."), WORDS, told) == repeated(Template("{text_a} In a word, {mask}."), WORDS)
    assert plain("Don't, (ever)  STOP_it") == "don t ever stop it"
