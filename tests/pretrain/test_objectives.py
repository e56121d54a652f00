"""Rows and losses of the three objectives: what is hidden, what is asked, and that the loss is the paper's."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from minidelta.model import Transformer
from minidelta.pretrain.causal import CausalLM
from minidelta.pretrain.masked import IGNORED, MaskedLM
from minidelta.pretrain.recipes import Recipe, configuration
from minidelta.pretrain.rows import by_length, pad, size_of
from minidelta.pretrain.spans import SpanCorruption
from minidelta.world import Document


def rng(seed=0):
    return np.random.default_rng(seed)


def tiny(family, tokenizer):
    torch.manual_seed(0)
    return Transformer(configuration(Recipe(family, 16, 1, 2, 1, 1e-3), tokenizer)).eval()


def lines(batch, name):
    """Rows of all strips, without their padding."""
    return [row[mask.bool()].tolist() for strip in batch for row, mask in zip(strip[name], strip["attention_mask"])]


# ---- rows ---------------------------------------------------------------------------------------------------
def test_strips_hold_every_row_once_and_rows_of_like_length():
    rows = [[0] * n for n in rng().integers(5, 90, 200)]
    groups = by_length(rows)
    assert sorted(map(len, rows)) == [len(row) for group in groups for row in group]
    sizes = [sum(map(len, group)) for group in groups]
    assert max(sizes) < 1.5 * min(sizes)
    together, apart = pad(rows, 0).size, sum(pad(group, 0).size for group in groups)
    assert apart < 0.75 * together


# ---- masked words -------------------------------------------------------------------------------------------
def test_masking_keeps_its_shares_and_whole_words(tokenizers, some_documents):
    bert = MaskedLM(tokenizers["bert"], rate=0.2, marked=0.3)
    batch = bert.batch(some_documents, rng())
    chosen = masked = kept = words = chosen_words = 0
    for strip in batch:
        ids, labels = strip["input_ids"].numpy(), strip["labels"].numpy()
        original = np.where(labels != IGNORED, labels, ids)
        assert not bert.special[labels[labels != IGNORED]].any(), "a special token was chosen"
        assert ((ids == original) | (labels != IGNORED)).all()
        hidden = labels != IGNORED
        chosen, masked, kept = chosen + hidden.sum(), masked + (ids[hidden] == bert.mask).sum(), kept + (ids == original)[hidden].sum()
        begins = bert.starts[original]
        words, chosen_words = words + (begins & ~bert.special[original]).sum(), chosen_words + (begins & hidden).sum()
        for row in range(len(ids)):  # a word is chosen whole or not at all, and suffers one fate
            for i in range(1, ids.shape[1]):
                if not begins[row, i]:
                    assert hidden[row, i] == hidden[row, i - 1]
                    assert (ids[row, i] == bert.mask) == (ids[row, i - 1] == bert.mask)
    assert 0.18 < chosen_words / words < 0.22
    assert 0.76 < masked / chosen < 0.84
    assert 0.07 < kept / chosen < 0.14  # a tenth, and a few that random choice happened to hit


def test_some_word_is_hidden_however_small_the_batch(tokenizers):
    tokenizer = tokenizers["bert"]
    objective = MaskedLM(tokenizer, rate=1e-6)
    ids = np.array([[tokenizer.cls_token_id, *tokenizer("the cat", add_special_tokens=False)["input_ids"], tokenizer.sep_token_id]])
    inputs, labels = objective.hide(ids, rng())
    assert 0 < (labels != IGNORED).sum() < ids.size and (labels[:, [0, -1]] == IGNORED).all()
    nothing = ids[:, [0, -1]]
    assert (objective.hide(nothing, rng())[1] == IGNORED).all(), "special tokens are never chosen"


def test_favour_moves_the_masks_to_longer_words_and_keeps_their_number(tokenizers, some_documents):
    def share_and_long(favour):
        bert = MaskedLM(tokenizers["bert"], favour=favour, marked=0)
        asked = np.concatenate([strip["labels"].flatten().numpy() for strip in bert.batch(some_documents, rng())])
        asked = asked[asked != IGNORED]
        asked = asked[bert.starts[asked]]
        content = np.array([len(piece) > 4 for piece in tokenizers["bert"].convert_ids_to_tokens(asked.tolist())])
        return len(asked), content.mean()

    (number, plain), (number_favoured, favoured) = share_and_long(0.0), share_and_long(2.0)
    assert favoured > plain + 0.1
    assert abs(number_favoured / number - 1) < 0.1


def test_pairs_are_half_continuations_and_half_strangers_of_the_same_kind(tokenizers):
    words = {"story": ["cat", "dog"], "news": ["vote", "bank"]}
    texts = [Document(kind, [f"the {word} {n}", f"a {word} {n}", f"one {word} {n}"]) for kind in words for word in words[kind] for n in range(150)]
    bert = MaskedLM(tokenizers["bert"], rate=0.0, pairs=0.5, marked=0)
    batch = bert.batch(texts, rng())
    answers = torch.cat([strip["is_next"] for strip in batch])
    assert 0.43 < (answers != IGNORED).float().mean() < 0.57
    assert 0.40 < (answers[answers != IGNORED]).float().mean() < 0.60
    for strip in batch:
        for ids, types, mask, answer in zip(strip["input_ids"], strip["token_type_ids"], strip["attention_mask"], strip["is_next"]):
            ids, types = ids[mask.bool()], types[mask.bool()]
            assert ids[0] == bert.cls and ids[-1] == bert.sep
            assert (types.diff() >= 0).all()
            first, second = (tokenizers["bert"].decode(ids[types == t], skip_special_tokens=True).split() for t in (0, 1))
            if answer == IGNORED:
                assert not second
                continue
            assert second
            kind = {word: kind for kind in words for word in words[kind]}
            assert kind[first[1]] == kind[second[1]]
            assert answer == (first[1:3] != second[1:3])


def test_entity_marks_stand_around_words(tokenizers, some_documents):
    bert = MaskedLM(tokenizers["bert"], rate=0.0, pairs=0.0, marked=1.0)
    one, close_one, two, close_two = bert.marks
    seen = 0
    for document, (ids, _, _) in zip(some_documents, bert._rows(some_documents, [[bert.tokenizer(part, add_special_tokens=False).input_ids for part in d.parts] for d in some_documents], rng())):
        plain = [token for token in ids if token not in bert.marks]
        assert plain == bert.tokenizer(document.text).input_ids, "marks must not change the text"
        if one in ids:
            seen += 1
            assert all(ids.count(mark) == 1 for mark in bert.marks)
            for opening, closing in ((one, close_one), (two, close_two)):
                assert ids.index(closing) > ids.index(opening) + 1
                assert bert.starts[ids[ids.index(opening) + 1]] and bert.starts[ids[ids.index(closing) + 1]]
    assert seen > 0.9 * len(some_documents)


def test_long_rows_of_bert_are_full(tokenizers, some_documents):
    bert = MaskedLM(tokenizers["bert"])
    (strip,) = bert.batch(some_documents, rng(), length=128)
    assert strip["input_ids"].shape[1] == 128 and strip["attention_mask"].all()
    assert (strip["is_next"] == IGNORED).all()
    assert torch.isfinite(bert.loss(tiny("bert", tokenizers["bert"]), [strip]))


def test_masked_loss_is_the_mean_over_chosen_tokens_plus_the_mean_over_pairs(tokenizers, some_documents):
    bert, model = MaskedLM(tokenizers["bert"]), tiny("bert", tokenizers["bert"])
    batch = bert.batch(some_documents[:40], rng())
    logits, labels, following, answers = [], [], [], []
    with torch.no_grad():
        for s in batch:
            hidden = model.hidden(s["input_ids"], s["attention_mask"], s["token_type_ids"])
            logits.append(model.lm_logits(hidden).flatten(0, 1)), labels.append(s["labels"].flatten())
            following.append(model.next_sentence(model.pool(hidden))), answers.append(s["is_next"])
        by_hand = F.cross_entropy(torch.cat(logits), torch.cat(labels)) + F.cross_entropy(torch.cat(following), torch.cat(answers))
        assert torch.allclose(bert.loss(model, batch), by_hand, atol=1e-5)


# ---- next token -----------------------------------------------------------------------------------------------
def test_causal_rows_are_packed_and_shifted_by_one(tokenizers, some_documents):
    gpt = CausalLM(tokenizers["gpt"])
    (strip,) = gpt.batch(some_documents, rng(), length=64)
    inputs, labels = strip["input_ids"], strip["labels"]
    assert inputs.shape == labels.shape == (len(inputs), 64) and strip["attention_mask"].all()
    assert torch.equal(inputs[:, 1:], labels[:, :-1])
    starts = {tuple(tokenizers["gpt"](document.text).input_ids[:4]) for document in some_documents}
    opened = inputs[:, 0] == gpt.end
    assert 0.3 < opened.float().mean() < 0.7
    for row in inputs.tolist():
        beginning = row[1:5] if row[0] == gpt.end else row[:4]
        assert tuple(beginning) in starts, "every row starts with a document"


def test_causal_loss_in_pieces_is_the_mean_over_all_tokens(tokenizers, some_documents):
    gpt, model = CausalLM(tokenizers["gpt"]), tiny("gpt", tokenizers["gpt"])
    batch = gpt.batch(some_documents, rng())
    with torch.no_grad():
        whole = F.cross_entropy(model(batch[0]["input_ids"]).flatten(0, 1), batch[0]["labels"].flatten())
        assert torch.allclose(gpt.loss(model, batch), whole, atol=1e-5)


# ---- spans ------------------------------------------------------------------------------------------------------
def restore(source, target, sentinels):
    """Put the spans of the target back in the place of their sentinels."""
    spans, current = {}, None
    for token in target:
        if token in sentinels:
            current = spans.setdefault(token, [])
        else:
            current.append(token)
    return [t for token in source for t in (spans[token] if token in sentinels else [token])]


@pytest.mark.parametrize("length", [2, 3, 5, 12, 40, 200, 511])
def test_source_and_target_give_the_text_back(tokenizers, length):
    t5 = SpanCorruption(tokenizers["t5"], whole=0.0)
    text = list(range(1000, 1000 + length))
    for seed in range(30):
        source, target = t5.corrupt(text, rng(seed))
        assert restore(source, target, t5.sentinels) == text
        used = [token for token in target if token in t5.sentinels]
        assert used == t5.sentinels[: len(used)], "<extra_id_0> comes first"
        assert [token for token in source if token in t5.sentinels] == used[:-1]
        assert len(target) - len(used) == min(max(1, round(t5.rate * length)), length - 1)


def test_half_of_the_targets_are_the_whole_text(tokenizers):
    t5, text = SpanCorruption(tokenizers["t5"]), list(range(1000, 1040))
    pairs = [t5.corrupt(text, rng(seed)) for seed in range(200)]
    assert 70 < sum(target == text for _, target in pairs) < 130
    assert all(set(source) & set(t5.sentinels) for source, _ in pairs), "the source lacks spans either way"


def test_spans_may_begin_and_end_a_text(tokenizers):
    t5, text = SpanCorruption(tokenizers["t5"]), list(range(1000, 1012))
    sources = [t5.corrupt(text, rng(seed))[0] for seed in range(200)]
    assert 0 < sum(source[0] == t5.sentinels[0] for source in sources) < 100
    assert 0 < sum(source[-1] in t5.sentinels for source in sources) < 100


def test_text_too_short_to_lose_anything_is_left_out(tokenizers):
    t5 = SpanCorruption(tokenizers["t5"])
    assert t5.corrupt([1000], rng()) == ([1000], [])
    batch = t5.batch([Document("x", ["a"]), Document("x", ["The cheese is good."])], rng())
    assert sum(len(strip["labels"]) for strip in batch) == 1


def test_text_to_text_forms_are_used_half_of_the_time(tokenizers):
    t5 = SpanCorruption(tokenizers["t5"])
    batch = t5.batch([Document("x", ["the cheese is good"], ("translate: cheese", "fromage"))] * 400, rng())
    sources = [tokenizers["t5"].decode(row, skip_special_tokens=True) for row in lines(batch, "input_ids")]
    assert 160 < sources.count("translate: cheese") < 240
    for strip in batch:
        targets = torch.where(strip["labels"] == IGNORED, t5.pad, strip["labels"])
        assert (strip["decoder_input_ids"][:, 0] == t5.pad).all()
        assert torch.equal(strip["decoder_input_ids"][:, 1:], targets[:, :-1])
        assert ((targets == t5.end).sum(1) == 1).all()


def test_span_loss_is_the_mean_over_target_tokens(tokenizers, some_documents):
    t5, model = SpanCorruption(tokenizers["t5"]), tiny("t5", tokenizers["t5"])
    for length in (None, 64):
        batch = t5.batch(some_documents[:40], rng(), length)
        with torch.no_grad():
            logits = torch.cat([model(s["input_ids"], s["attention_mask"], decoder_input_ids=s["decoder_input_ids"], decoder_attention_mask=s["decoder_attention_mask"]).flatten(0, 1) for s in batch])
            by_hand = F.cross_entropy(logits, torch.cat([s["labels"].flatten() for s in batch]))
            assert torch.allclose(t5.loss(model, batch), by_hand, atol=1e-4)
            (strip,) = SpanCorruption(tokenizers["t5"], strips=1).batch(some_documents[:40], rng(), length)
            assert torch.allclose(t5.loss(model, [strip]), by_hand, atol=1e-4), "the same rows in one strip"
        tokens, padding = size_of(batch)
        assert padding < 0.5 * tokens  # a short and a long target may belong to sources of one length
