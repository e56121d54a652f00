"""From template to token ids: the three families against ids put together by hand, truncation, soft tokens, and what is refused."""

import pytest

from minidelta.data import Example
from minidelta.errors import PromptError
from minidelta.prompt.explain import explain, lint
from minidelta.prompt.render import ADDED, Renderer
from minidelta.prompt.template import Template
from tests.prompt.tiny import FAMILIES, pieces, renderer, tokenizer

FILM = Example("The film was good.", "We liked it?")


def render(source: str, family: str = "bert", example: Example = FILM, room: int = 64):
    return renderer(source, family, room)([example])[0]


def test_a_masked_model_reads_a_mask():
    seen = render("{text_a} It was {mask}.")
    assert seen.ids == pieces("bert", "[CLS]", "_the", "_film", "_was", "_good", "_.", "_it", "_was", "[MASK]", "_.", "[SEP]")
    assert seen.masks == [[8]] and seen.types == [0] * 11 and seen.decoder == [] and seen.cut == {}
    assert seen.origin == [ADDED, 0, 0, 0, 0, 0, 1, 1, 2, 3, ADDED]


def test_a_causal_model_stops_at_the_mask():
    seen = render("{text_a} It was {mask}.", "gpt")
    assert seen.ids == pieces("gpt", "_the", "_film", "_was", "_good", "_.", "_it", "_was")
    assert seen.masks == [[6]] and seen.origin == [0] * 5 + [1] * 2


def test_a_text_to_text_model_gets_a_sentinel():
    seen = render("{text_a} It was {mask}.", "t5")
    assert seen.ids == pieces("t5", "_the", "_film", "_was", "_good", "_.", "_it", "_was", "<extra_id_0>", "_.", "</s>")
    assert seen.decoder == pieces("t5", "<pad>", "<extra_id_0>") and seen.masks == [[1]]


def test_several_masks():
    seen = render("{mask:2} {text_a} {mask}")
    assert seen.masks == [[1, 2], [8]] and [seen.ids[i] for i in (1, 2, 8)] == pieces("bert", "[MASK]") * 3
    assert render("{mask:2} {text_a} {mask}", "t5").ids == pieces("t5", "<extra_id_0>", "_the", "_film", "_was", "_good", "_.", "<extra_id_1>", "</s>")


def test_separators_and_token_types():
    seen = render("{text_a}{sep}{text_b} {mask}")
    assert seen.ids == pieces("bert", "[CLS]", "_the", "_film", "_was", "_good", "_.", "[SEP]", "_we", "_liked", "_it", "_?", "[MASK]", "[SEP]")
    assert seen.types == [0] * 7 + [1] * 6
    assert render("{text_a}{sep}{text_b} {mask}", "gpt").ids[5:7] == pieces("gpt", "_Ċ", "_we")
    assert render("{special:[E1]} {text_a} {special:[/E1]} {mask}").ids[1] == pieces("bert", "[E1]")[0]


def test_filters_act_before_the_tokens():
    assert render("{text_a|strip_punctuation}, {mask}", "gpt").ids == pieces("gpt", "_the", "_film", "_was", "_good", "_,")


def test_soft_tokens_have_rows_of_a_table():
    seen = render('{soft:2} {text_a} {soft#x:2} {soft:"it was"} {mask} {soft#x}')
    assert [row for row in seen.soft if row >= 0] == [0, 1, 2, 3, 4, 5, 2, 3]
    assert [place for place, row in zip(seen.origin, seen.soft) if row >= 0] == [0, 0, 4, 4, 6, 6, 10, 10]
    with pytest.raises(PromptError, match=r"soft#x\} stands for 2 vectors already"):
        renderer("{soft#x:2} {soft#x:3} {mask}")


LONG = Example("a the film book meal was is good bad fine", "we they saw liked hated it")  # 10 and 6 tokens


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize(
    ("side", "kept"),
    [("tail", "a the film book"), ("head", "is good bad fine"), ("balanced", "book meal was is")],
)
def test_the_named_end_goes_and_nothing_else(family, side, kept):
    frame = {"bert": 2, "gpt": 0, "t5": 1}[family]
    source = "news: {text_a|shorten:" + side + "} It was {mask}"
    fixed = frame + 4 + (family != "gpt")
    seen = render(source, family, LONG, fixed + 4)
    assert [token for token, place in zip(seen.ids, seen.origin) if place == 1] == pieces(family, *(f"_{word}" for word in kept.split()))
    assert [token for token, place in zip(seen.ids, seen.origin) if place in (0, 2)] == pieces(family, "_news", "_:", "_it", "_was")
    assert len(seen.ids) == fixed + 4 and len(seen.cut[1]) == 6
    for room in range(fixed, fixed + 12):  # exact lengths, the mask always there
        seen = render(source, family, LONG, room)
        assert len(seen.ids) == min(room, fixed + 10)
        assert family == "gpt" or sum(place == 3 for place in seen.origin) == 1


def test_the_longest_text_gives_first_and_unmarked_text_never():
    seen = render("{text_a|shorten} {text_b|shorten} {mask}", example=LONG, room=3 + 12)
    assert [sum(place == part for place in seen.origin) for part in (0, 2)] == [6, 6]
    seen = render("{text_a|shorten} {text_b} {mask}", example=LONG, room=3 + 8)
    assert [sum(place == part for place in seen.origin) for part in (0, 2)] == [2, 6]
    with pytest.raises(PromptError, match=r"19 tokens may not be cut and the model reads 12; mark a text with \|shorten"):
        render("{text_a} {text_b} {mask}", example=LONG, room=12)
    with pytest.raises(PromptError, match="shorten the template"):
        render("we saw the film and they liked it {text_a|shorten} {mask}", example=LONG, room=8)


@pytest.mark.parametrize(
    ("source", "family", "complaint"),
    [
        ("{text_a} It was good", "bert", "has no {mask}"),
        ("{mask} news: {text_a}", "gpt", "never see {text_a} behind the mask"),
        ("{text_a} {mask} {mask}", "gpt", "never see {mask} behind the mask"),
        ("{mask} news", "gpt", "nothing to go on from"),
        ("{special:[E9]} {mask}", "bert", "no token '[E9]'"),
        ("{special:cls_token} {text_a} {mask}", "gpt", "no token 'cls_token'"),
    ],
)
def test_what_does_not_suit_a_family(source, family, complaint):
    with pytest.raises(PromptError) as error:
        renderer(source, family)
    assert complaint in str(error.value).splitlines()[0]


def test_a_masked_template_needs_a_mask_token():
    with pytest.raises(PromptError, match="no mask token"):
        Renderer(Template("{text_a} {mask}"), tokenizer("gpt"), "encoder", 64)


def test_many_examples_at_once_are_rendered_as_alone():
    some = [FILM, LONG, Example("a [MASK] is a {mask} ?", "")]
    for family in FAMILIES:
        read = renderer("{text_a|shorten} was {mask}", family, 12)
        assert read(some) == [read([example])[0] for example in some] and read([]) == []


def test_a_mask_in_the_text_is_not_the_mask():
    seen = render("{text_a} was {mask}", example=Example("a [MASK] film"))
    assert seen.masks == [[5]] and seen.ids[2] == pieces("bert", "[MASK]")[0]


def test_tokenizers_whose_pieces_hold_their_space():
    """As published GPT-2 and RoBERTa do it: the space before a word belongs to the word, also in the offsets."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    core = Tokenizer(models.BPE())
    core.pre_tokenizer, core.decoder = pre_tokenizers.ByteLevel(add_prefix_space=False), decoders.ByteLevel()
    core.train_from_iterator(["the film was good. it was bad."] * 9, trainers.BpeTrainer(vocab_size=330, special_tokens=["<s>", "</s>", "<mask>", "<pad>"], initial_alphabet=pre_tokenizers.ByteLevel.alphabet()))
    roberta = PreTrainedTokenizerFast(tokenizer_object=core, cls_token="<s>", sep_token="</s>", mask_token="<mask>", pad_token="<pad>", eos_token="</s>")
    one = Renderer(Template("{text_a} it was {mask}."), roberta, "encoder", 64)([Example("the film")])[0]
    assert roberta.convert_ids_to_tokens(one.ids)[:5] == ["<s>", "the", "Ġfilm", "Ġit", "Ġwas"]
    assert one.origin[:5] == [ADDED, 0, 0, 1, 1] and [one.ids[i] for i in one.masks[0]] == [roberta.mask_token_id]
    other = Renderer(Template("it was {text_a} it {mask}"), roberta, "decoder", 64)([Example("good")])[0]
    assert roberta.convert_ids_to_tokens(other.ids) == ["it", "Ġwas", "Ġgood", "Ġit"] and other.origin == [0, 0, 1, 2]


# ---- explain and lint -------------------------------------------------------------------------------------------
@pytest.mark.parametrize("family", FAMILIES)
def test_an_explanation_shows_every_token_and_what_was_cut(family):
    shown = explain(renderer('{soft:2} {text_a|shorten} it {soft:"was"} {mask} .', family, 10), LONG, "good")
    assert shown.text == "<soft> a the film book meal was is good bad fine it <was> good ."
    assert [name for name, origin in shown.tokens if origin == "soft"] == ["<soft 0>", "<soft 1>", "<soft 2>"]
    assert "fine" in shown.cut["{text_a|shorten}"] and "a the" not in shown.cut["{text_a|shorten}"]
    assert {"bert": "at the mask, position", "gpt": "on the token after", "t5": "position 1 of the decoder"}[family] in str(shown)
    assert bool(shown.decoder) == (family == "t5")
    page = shown._repr_html_()
    assert page.count("<span") == len(shown.tokens) + len(shown.decoder) and "<s>" in page
    assert shown.coloured().count("\033[0m") == page.count("<span")


def test_html_is_escaped():
    assert "<b>" not in explain(renderer("<b> {text_a} {mask}"), Example("<script>"))._repr_html_()


@pytest.mark.parametrize("comma", ["，", ","])
def test_the_template_of_the_lecture_gives_its_answer_away(comma):
    """这部电影 [MASK]，我觉得它是 [正面 / 负面] 的"""
    words = {"negative": ["负面"], "positive": ["正面"]}
    leaks = renderer(f"这部电影 {{mask}}{comma}我觉得它是 [正面 / 负面] 的")
    assert leaks.template.fill(FILM) == f"这部电影 [MASK]{comma}我觉得它是 [正面 / 负面] 的"
    found = lint(leaks, words, split=False)
    assert [line.split()[3] for line in found[:2]] == ["'负面'", "'正面'"] and all("stands in the template itself" in line for line in found[:2])
    assert "uses no text of the example" in found[2]
    assert lint(renderer("{text_a|shorten} 我觉得这部电影是{mask}的。"), words, split=False) == [], "mended; and Chinese needs no space before its gap"


def test_lint_finds_the_usual_mistakes():
    words = {"positive": ["good"], "negative": ["un-forget-table"]}
    found = lint(renderer("Was it good ? {text_a} was{mask}"), words, [LONG, LONG])
    assert [finding.split("'")[1] for finding in found[:3]] == ["good", "un-forget-table", "was"]
    assert "stands in the template itself" in found[0] and "tokens (" in found[1] and "No space stands before mask 1" in found[2]
    assert "No text is marked |shorten" in found[3] and len(found) == 4
    assert lint(renderer("{text_a|shorten} it was {mask}"), {"positive": ["good"]}, [FILM]) == []
    assert "2 of 2 examples are cut to 8 tokens." in lint(renderer("{text_a|shorten} it was {mask}", room=8), {}, [LONG, LONG])
    assert "1 of 1 examples cannot be rendered" in lint(renderer("{text_a} it was {mask}", room=8), {}, [LONG])[-1]
    assert "GPT stops at the mask and never reads '? yes'." in lint(renderer("{text_a|shorten} it was {mask} ? yes", "gpt"))
    assert "every example reads alike" in lint(renderer("it was {mask}"))[0]
    assert "The template writes [MASK] itself" in lint(renderer("{text_a|shorten} it was [MASK] {mask}"))[0]
