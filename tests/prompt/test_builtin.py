"""The built-in templates: none repeats four words of pre-training, all suit every family, and each task's words are whole."""

import pytest

from minidelta.data import load_task
from minidelta.hub import load_tokenizer
from minidelta.prompt.builtin import LABEL_WORDS, TEMPLATES, templates_for
from minidelta.prompt.explain import lint
from minidelta.prompt.render import Renderer
from minidelta.world import TASKS
from tests.prompt.tiny import FAMILIES, SHAPES, grams, words

EVERY = [(task, template) for task, templates in TEMPLATES.items() for template in templates]


def zones(task: str, template) -> set[str]:
    """What stands between the texts of an example, with each label word in the gap."""
    found = set()
    for answers in LABEL_WORDS.get(task, {"": [""]}).values():
        for answer in answers:
            filled = "".join(answer if part.kind == "mask" else part.value if part.kind == "literal" else "\n" for part in template.parts)
            found |= {" ".join(words(zone)) for zone in filled.split("\n") if words(zone)}
    return found


@pytest.mark.parametrize(("task", "template"), EVERY, ids=lambda value: getattr(value, "name", value))
def test_no_four_words_of_a_template_stand_in_pretraining(task, template, told):
    met = {gram for zone in zones(task, template) for gram in grams(zone) if len(gram.split()) > 2 and f" {gram} " in told}
    assert bool(met) == template.seen, met


def test_templates_have_words_to_look_for():
    for task, template in EVERY:
        assert max(len(zone.split()) for zone in zones(task, template)) >= (3 if template.name == "it-was" else 4), template


def test_the_search_finds_what_is_there(told):
    assert " in a word " in told and " it was a " in told


def test_label_words_follow_the_tasks():
    for name, given in LABEL_WORDS.items():
        assert tuple(given) == TASKS[name].labels
    assert set(TEMPLATES) - set(LABEL_WORDS) == {name for name in TEMPLATES if TASKS[name].kind == "choice"}


@pytest.mark.parametrize("family", FAMILIES)
def test_every_template_suits_every_family(family):
    tokenizer = load_tokenizer(f"{family}-micro")
    for task, template in EVERY:
        renderer = Renderer(template, tokenizer, SHAPES[family], 256, start=0)
        assert lint(renderer, LABEL_WORDS.get(task), load_task(task).train[:20]) == [], (task, template)
    with pytest.raises(Exception, match="no template for the generation task"):
        templates_for(load_task("translation"))
