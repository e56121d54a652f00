"""The embedded tokenizers: nothing is unknown, nothing is lost but white space, and a word looks the same everywhere."""

import json
import random
import subprocess
import sys
import unicodedata
from pathlib import Path

import pytest

from minidelta.errors import CheckpointError, ConfigError
from minidelta.hub import load_tokenizer, train_tokenizer
from minidelta.hub.tokenizer import SPECIAL

FAMILIES = ["bert", "gpt", "t5"]
WORDS = "the a cheese fromage museum lina warm is in was great café 1987 river plays visited because".split()

STRANGE = [
    "我爱你，北京。",
    "👩‍👧 ❤️ 🇨🇳 naïve Ünïcode — “quotes” … ½ ₤ ∑",
    "\x00\x01\x07\x1b[0m\x7f\u200b\ufeff\ue000\U000fffff",
    "▁ Ġ Ċ <0x41> ##ing </w>",
    "İstanbul ΌΣΟΣ ǅ ß ﬁ e\u0301 \u1100\u1161",
    "مرحبا नमस्ते שלום ไทย",
    "don't l'eau state-of-the-art (x_1) 3.14% $5 a/b http://a.b/?q=1&r=2",
    "tabs\tand\r\nlines\n\nand\u00a0spaces \u3000 end ",
]


def corpus() -> list[str]:
    pick = random.Random(0)
    return [" ".join(pick.choices(WORDS, k=pick.randint(3, 12))).capitalize() + pick.choice([".", "!", "?", " (good)."]) for _ in range(400)]


@pytest.fixture(scope="module", params=FAMILIES)
def tokenizer(request):
    made = train_tokenizer(request.param, corpus(), vocab_size=400)
    made.family = request.param
    return made


def plain(text: str) -> str:
    """What should survive: lower case, composed, without white space."""
    return "".join(unicodedata.normalize("NFC", text).lower().split())


def random_text(seed: int) -> str:
    pick = random.Random(seed)
    ranges = [(0x20, 0x7F), (0xA0, 0x24F), (0x400, 0x4FF), (0x4E00, 0x4FFF), (0x1F300, 0x1F6FF), (0xE000, 0xE0FF), (0x10000, 0x100FF)]
    return "".join(chr(pick.randint(*pick.choice(ranges))) for _ in range(40))


@pytest.mark.parametrize("text", STRANGE)
def test_no_text_is_unknown(tokenizer, text):
    ids = tokenizer(text, add_special_tokens=False).input_ids
    assert ids and tokenizer.unk_token_id not in ids
    assert min(ids) >= len(SPECIAL[tokenizer.family]), "ordinary text must not turn into a special token"


def test_every_byte_value_is_a_piece(tokenizer):
    every_plane = "".join(chr(c) for c in [*range(0x250), *range(0x300, 0x110000, 997)] if not 0xD800 <= c < 0xE000)
    ids = tokenizer(every_plane, add_special_tokens=False).input_ids
    assert tokenizer.unk_token_id not in ids


@pytest.mark.parametrize("text", corpus()[:5] + [s for s in STRANGE if "Σ" not in s] + [random_text(i) for i in range(20)])
def test_decoding_gives_the_lower_cased_text(tokenizer, text):
    decoded = tokenizer.decode(tokenizer(text).input_ids, skip_special_tokens=True)
    assert plain(decoded) == plain(text)


def test_decoded_sentences_read_well(tokenizer):
    text = "lina's cheese (the warm one) wasn't great, was it? yes: 3.5% for $10!"
    assert tokenizer.decode(tokenizer(text).input_ids, skip_special_tokens=True) == text


def test_a_word_is_one_piece_wherever_it_stands(tokenizer):
    special = SPECIAL[tokenizer.family][-1]
    (piece,) = tokenizer("museum", add_special_tokens=False).input_ids
    for text in ["Museum", "the museum", "the (museum)", "museum.", '"museum"', f"{special}museum", f"the {special} museum {special}.", "cheese-museum"]:
        assert tokenizer(text, add_special_tokens=False).input_ids.count(piece) == 1, text


def test_a_mark_is_the_same_after_a_word_and_after_a_special_token(tokenizer):
    special = SPECIAL[tokenizer.family][-1]
    after_word = tokenizer("cheese.", add_special_tokens=False).input_ids
    for text in [f"{special}.", f" {special} ."]:
        assert tokenizer(text, add_special_tokens=False).input_ids[1:] == after_word[1:]


def test_special_tokens_are_never_cut(tokenizer):
    for i, token in enumerate(SPECIAL[tokenizer.family]):
        assert tokenizer.convert_tokens_to_ids(token) == i
        assert tokenizer(f"cheese{token}was", add_special_tokens=False).input_ids.count(i) == 1
    assert len(tokenizer) <= 400


def test_a_saved_folder_opens_with_the_same_ids(tokenizer, tmp_path):
    from transformers import AutoTokenizer

    tokenizer.save_pretrained(tmp_path)
    model_type = {"bert": "bert", "gpt": "gpt2", "t5": "t5"}[tokenizer.family]
    for config in [None, f'{{"model_type": "{model_type}"}}']:
        if config:
            (tmp_path / "config.json").write_text(config)
        for opened in [AutoTokenizer.from_pretrained(tmp_path), load_tokenizer(tmp_path), load_tokenizer(str(tmp_path))]:
            for text in corpus()[:20] + STRANGE + ["".join(SPECIAL[tokenizer.family])]:
                assert opened(text).input_ids == tokenizer(text).input_ids
                assert opened(text, "so it is").data == tokenizer(text, "so it is").data
            assert opened.padding_side == tokenizer.padding_side
            assert opened.model_max_length == 512
            assert opened.special_tokens_map == tokenizer.special_tokens_map


def test_each_family_frames_text_in_its_own_way():
    bert, gpt, t5 = (train_tokenizer(family, corpus(), 400) for family in FAMILIES)
    pair = bert("the cheese", "was warm")
    assert bert.convert_ids_to_tokens(pair.input_ids) == ["[CLS]", "Ġthe", "Ġcheese", "[SEP]", "Ġwas", "Ġwarm", "[SEP]"]
    assert pair.token_type_ids == [0, 0, 0, 0, 1, 1, 1]
    assert gpt.convert_ids_to_tokens(gpt("the\ncheese").input_ids) == ["Ġthe", "Ġ", "Ċ", "Ġcheese"]
    assert gpt.decode(gpt("the warm:\n\ncheese").input_ids) == "the warm:\n\ncheese"
    assert gpt(["the", "the cheese"], padding=True).attention_mask == [[0, 1], [1, 1]]
    assert "token_type_ids" not in gpt("the") and "token_type_ids" not in t5("the")
    assert t5.convert_ids_to_tokens(t5("the <extra_id_0> cheese").input_ids) == ["Ġthe", "<extra_id_0>", "Ġcheese", "</s>"]
    assert (gpt.bos_token_id, gpt.eos_token_id, gpt.pad_token_id) == (0, 0, 1)
    assert (t5.pad_token_id, t5.eos_token_id, t5.unk_token_id) == (0, 1, 2)


def test_offsets_point_into_the_text_as_it_was_typed():
    bert = train_tokenizer("bert", corpus(), 400)
    text = "In the Museum (LINA) was: great."
    pieces = [text[a:b] for a, b in bert(text, return_offsets_mapping=True).offset_mapping]
    assert [piece for piece in pieces if piece in text.split() or piece in "()LINA:."] and "Museum" in pieces
    assert not any(" " in piece for piece in pieces)


def test_the_same_text_gives_the_same_tokenizer_in_another_process():
    code = """
from tests.hub.test_tokenizer import FAMILIES, corpus
from minidelta.hub import train_tokenizer
for family in FAMILIES:
    print(train_tokenizer(family, iter(corpus()), 400).backend_tokenizer.to_str())"""
    other = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=Path(__file__).parents[2]).stdout
    assert other.splitlines() == [train_tokenizer(family, corpus(), 400).backend_tokenizer.to_str() for family in FAMILIES]


def test_unigram_takes_the_likeliest_cut():
    """Kudo 2018, equation 3: the probability of a cut is the product of its pieces' probabilities."""
    t5 = train_tokenizer("t5", ["ab " * 98 + "a " * 1 + "b"], 300)
    assert t5.tokenize("ab") == ["Ġab"]
    score = dict(json.loads(t5.backend_tokenizer.to_str())["model"]["vocab"])
    assert score["Ġab"] > -1 > -5 > score["a"]


def test_what_cannot_work_is_said():
    with pytest.raises(ConfigError, match="'roberta'; use bert, gpt or t5"):
        train_tokenizer("roberta", corpus(), 400)
    with pytest.raises(ConfigError, match="vocab_size 200 is too small: .* need 265"):
        train_tokenizer("bert", corpus(), 200)


def test_a_folder_without_tokenizer_or_with_a_damaged_one(tmp_path):
    with pytest.raises(CheckpointError, match="holds no tokenizer; expected tokenizer.json"):
        load_tokenizer(tmp_path)
    (tmp_path / "tokenizer.json").write_text('{"version": "1.0", ')
    with pytest.raises(CheckpointError, match="cannot be read"):
        load_tokenizer(tmp_path)
