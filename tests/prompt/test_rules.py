"""Rules: sub-prompts, conjunctions, the template and the words they make, the lecture's example, and mistakes."""

from dataclasses import replace

import pytest
import torch

from minidelta.data import Example, load_task
from minidelta.errors import PromptError
from minidelta.finetune import train_task
from minidelta.hub import load_model, load_tokenizer
from minidelta.prompt import PromptLearner
from minidelta.prompt.learners import prompt_learner
from minidelta.prompt.rules import RELATION_RULES, SubPrompt, compose, readings
from minidelta.world import TASKS
from tests.prompt.tiny import grams, model, pieces, task, tokenizer, words

KIND = ("film", "book")
SUBJECT, OBJECT = SubPrompt("subject", "the {mask} {text_a}", KIND), SubPrompt("object", "the {mask}", ("good", "bad", "dull"))
RULES = {"negative": SUBJECT("film") & OBJECT("bad"), "positive": SUBJECT("film") & OBJECT("good")}


def test_a_conjunction_makes_a_template_and_its_words():
    template, verbalizer = compose(RULES, before="it was ", after=" .")
    assert template.source == "it was the {mask} {text_a} the {mask} ." and template.name == "rules"
    assert verbalizer.words == {"negative": ["film", "bad"], "positive": ["film", "good"]}
    assert str(RULES["negative"]) == "subject = film and object = bad"


def test_a_product_over_masks_against_the_model_by_hand():
    template, verbalizer = compose(RULES, before="it was ", after=" .")
    ours = PromptLearner(model("bert"), tokenizer("bert"), task(), template, verbalizer)
    logits = ours.model(torch.tensor([pieces("bert", "[CLS]", "_it", "_was", "_the", "[MASK]", "_meal", "_the", "[MASK]", "_.", "[SEP]")]))[0]
    second = logits[7, pieces("bert", "_bad", "_good")].log_softmax(-1)  # the first mask has one word only, with probability 1
    torch.testing.assert_close(ours.score([Example("meal")])[0], second)
    said = readings(ours, Example("meal"))
    assert said[0] == ("film", pytest.approx(1.0)) and said[1][0] == ("bad", "good")[int(second.argmax())] and said[1][1] == pytest.approx(second.exp().max().item(), rel=1e-4)


def test_several_masks_in_one_sub_prompt():
    link = SubPrompt("link", "{mask:2} of", ("lives in", "works for"))
    _, verbalizer = compose({"a": SUBJECT("film") & link("lives in"), "b": SUBJECT("book") & link("works for")})
    assert verbalizer.words == {"a": ["film", "lives", "in"], "b": ["book", "works", "for"]}


def test_the_example_of_the_lecture_runs():
    """the [MASK] Langdon [MASK] the [MASK] Mark Twain"""
    kinds = ("person", "company", "city")
    subject, object_, link = SubPrompt("subject", "the {mask} {head}", kinds), SubPrompt("object", "the {mask} {tail}", kinds), SubPrompt("link", "{mask}", ("child", "founder", "home"))
    labels = {"per:parents": ("person", "child", "person"), "org:founded_by": ("company", "founder", "person"), "per:city": ("person", "home", "city")}
    template, verbalizer = compose({label: subject(a) & link(b) & object_(c) for label, (a, b, c) in labels.items()}, after="")
    text = "Mark Twain was the father of Langdon."
    example = Example(text, meta={"head": [29, 36], "tail": [0, 10]})
    assert template.fill(example).endswith("the [MASK] Langdon [MASK] the [MASK] Mark Twain")
    ours = PromptLearner(load_model("bert-micro"), load_tokenizer("bert-micro"), replace(load_task("relation", shots=1), labels=tuple(labels)), template, verbalizer)
    assert ours.score([example]).shape == (1, 3) and ours.predict([example])[0] in labels and len(readings(ours, example)) == 3


def test_rules_learn():
    template, verbalizer = compose(RULES, before="", after="")
    ours = PromptLearner(model("bert"), tokenizer("bert"), task(), template, verbalizer)
    result = train_task(ours, ours.task, "full", steps=30, lr=5e-3, batch_size=16, validations=0, progress=False)
    assert result.history.losses[-1] < 0.5 * result.history.losses[0] and result.score > 0.9


def test_the_rules_of_the_built_in_task(told):
    assert tuple(RELATION_RULES) == TASKS["relation"].labels
    template, verbalizer = compose(RELATION_RULES)
    ours = prompt_learner(load_model("bert-nano"), load_tokenizer("bert-nano"), load_task("relation", shots=1), "rules")
    assert ours.template == template and ours.score(ours.task.train[:2]).shape == (2, 11)
    for answers in verbalizer.words.values():
        said = iter(answers)
        filled = "".join(next(said) if part.kind == "mask" else part.value if part.kind == "literal" else "\n" for part in template.parts)
        assert not [gram for zone in filled.split("\n") if words(zone) for gram in grams(" ".join(words(zone))) if len(gram.split()) > 3 and f" {gram} " in told]


@pytest.mark.parametrize(
    ("make", "complaint"),
    [
        (lambda: SubPrompt("kind", "the {head}", KIND), "'kind' has no {mask}"),
        (lambda: SubPrompt("kind", "the {mask}", ("a film",)), "has 1 masks, and its answer 'a film' 2 words"),
        (lambda: SUBJECT("filn"), "no answer 'filn'. Did you mean film"),
        (lambda: compose({"a": SUBJECT("film"), "b": OBJECT("bad")}), "rule of 'b' asks for object, and that of 'a' for subject"),
        (lambda: compose({"a": SUBJECT("film"), "b": SUBJECT("film")}), "have the same words 'film'"),
        (lambda: compose({"a": SUBJECT("film")}), "1 rules were given"),
        (lambda: prompt_learner(model("bert"), tokenizer("bert"), task(), "rules"), "rules are written for relation"),
        (lambda: prompt_learner(model("gpt"), tokenizer("gpt"), load_task("relation", shots=1), "rules"), "behind the mask"),
        (lambda: prompt_learner(load_model("t5-nano"), load_tokenizer("t5-nano"), load_task("relation", shots=1), "rules"), "a BERT with one {mask} a word is needed"),
    ],
)
def test_mistakes(make, complaint):
    with pytest.raises(PromptError) as error:
        make()
    assert complaint in str(error.value).splitlines()[0]
