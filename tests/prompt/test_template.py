"""The template language: every construct, every mistake with its caret, and what is written is read back."""

import random
import string

import pytest

from minidelta.data import Example
from minidelta.errors import PromptError
from minidelta.prompt.template import FILTERS, SIDES, Part, Template, choose_template, load_templates

EXAMPLE = Example("The film: GOOD!  We saw it.", "It is fine?", "positive", {"title": "News", "choices": ["a", "b"], "head": [4, 8], "tail": [10, 14]})


@pytest.mark.parametrize(
    ("source", "part"),
    [
        ("{text_a}", Part("text_a")),
        ("{text_b}", Part("text_b")),
        ("{head}", Part("head")),
        ("{tail|lower}", Part("tail", filters=("lower",))),
        ("{meta:title}", Part("meta", "title")),
        ('{meta:"odd | key}"}', Part("meta", "odd | key}")),
        ("{mask}", Part("mask")),
        ("{mask:3}", Part("mask", count=3)),
        ("{sep}", Part("sep")),
        ("{soft}", Part("soft")),
        ("{soft:10}", Part("soft", count=10)),
        ('{soft:"it was"}', Part("soft", "it was", None)),
        (r'{soft:"a \"b\" \\c"}', Part("soft", r'a "b" \c', None)),
        ("{soft#x}", Part("soft", label="x")),
        ("{soft#x-1:4}", Part("soft", count=4, label="x-1")),
        ("{special:cls_token}", Part("special", "cls_token")),
        ("{special:[E1]}", Part("special", "[E1]")),
        ("{text_a|shorten}", Part("text_a", shorten="tail")),
        ("{text_a|shorten:head}", Part("text_a", shorten="head")),
        ("{text_a|lower|shorten:balanced|strip_punctuation}", Part("text_a", filters=("lower", "strip_punctuation"), shorten="balanced")),
        ("It was", Part("literal", "It was")),
        ("a {{brace}} b", Part("literal", "a {brace} b")),
        ("}}{{", Part("literal", "}{")),
        ("a|b:c#d\"e\"", Part("literal", "a|b:c#d\"e\"")),
    ],
)
def test_every_construct(source, part):
    assert Template(source).parts == (part,)
    assert Template(str(Template(source))) == Template(source)


@pytest.mark.parametrize(
    ("source", "complaint", "caret"),
    [
        ("{txt_a} was {mask}", "Did you mean text_a", "^^^^^"),
        ("a } b", "closing brace without an opening one", "^"),
        ("so {text_a", "never closed", "^"),
        ("so {", "never closed", "^"),
        ("{}", "empty part", "^"),
        ("{ text_a}", "empty part", "^"),
        ("{text_a|shortn}", "Did you mean shorten", "^^^^^^"),
        ("{text_a|}", "no filter called ''", "^"),
        ("{text_a|lower:3}", "takes no argument", "^^^^^^^"),
        ("{text_a|shorten:left}", "tail, head or balanced", "^^^^^^^^^^^^"),
        ("{mask|lower}", "no text of the example", "^^^^^"),
        ("{mask:0}", "whole number from 1 to 512", "^"),
        ("{mask:many}", "whole number from 1 to 512", "^^^^"),
        ("{mask:999}", "whole number from 1 to 512", "^^^"),
        ('{mask:"3x"}', "whole number", "^^^^"),
        ("{soft:it}", 'words in quotes: {soft:"it was"}', "^^"),
        ('{soft:""}', "needs words", "^^"),
        ('{soft:"it} {mask}', "quote is never closed", "^"),
        ("{soft#}", "only {soft#id} has an id", "^"),
        ("{mask#a}", "only {soft#id} has an id", "^"),
        ("{meta}", "needs the key", "^^^^^"),
        ("{meta:}", "needs the key", "^^^^^^"),
        ("{special} x", "needs a token", "^^^^^^^^"),
        ("{text_a:3}", "takes no argument", "^"),
        ("{text_a lower}", "expected |filter or }", "^"),
        ("one\ntwo {maks}\nthree", "Did you mean mask", "^^^^"),
    ],
)
def test_every_mistake_has_its_caret(source, complaint, caret):
    with pytest.raises(PromptError) as error:
        Template(source)
    first, line, under = str(error.value).split("\n")
    assert complaint in first and line[2:] in source.split("\n")
    place = int(first.split("character ")[1].split(":")[0]) - 1
    within = place - (source.rfind("\n", 0, place) + 1)
    assert under == "  " + " " * within + caret


@pytest.mark.parametrize("source", ["", "   ", None, 3])
def test_no_template_at_all(source):
    with pytest.raises(PromptError, match="{mask}"):
        Template(source)


def test_what_is_written_is_read_back():
    """Random templates of every construct survive writing and reading."""
    rng = random.Random(0)
    letters = string.ascii_letters + ' {}|:#"\\.é好'

    def some_part() -> Part:
        kind = rng.choice(["literal", "text_a", "text_b", "meta", "mask", "sep", "soft", "special", "head"])
        text = "".join(rng.choice(letters) for _ in range(rng.randint(1, 8))).strip() or "x"
        if kind == "literal":
            return Part(kind, text)
        if kind in ("text_a", "text_b", "head", "meta"):
            return Part(kind, text if kind == "meta" else None, filters=tuple(rng.choices(list(FILTERS), k=rng.randint(0, 2))), shorten=rng.choice([None, *SIDES]))
        if kind == "soft" and rng.random() < 0.5:
            return Part(kind, text, None, rng.choice([None, "id"]))
        return Part(kind, text if kind == "special" else None, rng.randint(1, 5) if kind in ("mask", "soft") else 1)

    for _ in range(400):
        parts = [some_part() for _ in range(rng.randint(1, 6))]
        parts = [part for i, part in enumerate(parts) if i == 0 or (part.kind, parts[i - 1].kind) != ("literal", "literal")]  # two in a row would be one
        source = "".join(map(str, parts))
        assert Template(source).parts == tuple(parts), source


def test_places_point_into_the_source():
    template = Template("It {{is}} {text_a|lower} and {mask:2}.")
    assert [template.source[part.start : part.end] for part in template.parts] == ["It {{is}} ", "{text_a|lower}", " and ", "{mask:2}", "."]


def test_what_an_example_says():
    said = Template("{text_a|first_sentence|lower|strip_punctuation}/{text_b|upper}/{meta:title}/{meta:choices}/{head}/{tail|lower}/{text_b|strip|capitalize}")
    assert said.fill(EXAMPLE) == "the film: good/IT IS FINE?/News/a ; b/film/good/It is fine?"
    assert Template("{text_a|strip_punctuation|lower}").fill(Example("«A  B», ...")) == "«a  b»"  # ASCII marks alone


def test_filling_the_gaps():
    template = Template('{soft:2} {text_a} {soft:"it was"} {mask:2} {sep} {special:cls_token} {mask}')
    assert template.fill(Example("A film."), "very good", "so") == "<soft> A film. <it was> very good [SEP] <cls_token> so"
    assert Template("{mask:2}").fill(EXAMPLE) == "[MASK] [MASK]"


def test_a_missing_text_says_what_there_is():
    with pytest.raises(PromptError, match=r"^an example: the template asks for \{text_b\}, which this record lacks. Did you mean text_a\? Known: text_a, meta:title.$"):
        Template("{text_b} {mask}").fill(Example("a", meta={"title": "b"}))
    with pytest.raises(PromptError, match=r"^mine.jsonl:3: the template asks for \{meta:titel\}, which this record lacks. Did you mean meta:title\?"):
        Template("{meta:titel|lower} {mask}").check([Example("a", meta={"titel": "b"}), Example("a", meta={"title": "b"}, source="mine.jsonl:3")])


def test_several_templates_in_a_file(tmp_path):
    file = tmp_path / "mine.txt"
    file.write_text("\ufeff# a remark\n@it-was {text_a} It was {mask}.\n\n{mask} news: {text_a}\n", encoding="utf-8")
    first, second = load_templates(file)
    assert (first.name, first.source, second.name) == ("it-was", "{text_a} It was {mask}.", "2")
    assert choose_template([first, second]) is choose_template([first, second], "it-was") is choose_template([first, second], 1) is first
    assert choose_template([first, second], "2") is second
    with pytest.raises(PromptError, match="mine.txt has no template 'it-is'. Did you mean it-was"):
        choose_template([first, second], "it-is", "mine.txt")
    file.write_text("{text_a} {mask}\n{oops\n", encoding="utf-8")
    with pytest.raises(PromptError, match="mine.txt:2: the template cannot be read") as error:
        load_templates(file)
    assert str(error.value).endswith("  {oops\n  ^")
    for content in (b"# nothing\n", b"\xff\xfe\x00"):
        file.write_bytes(content)
        with pytest.raises(PromptError, match="mine.txt"):
            load_templates(file)
    with pytest.raises(PromptError, match="cannot be read"):
        load_templates(tmp_path / "none.txt")
