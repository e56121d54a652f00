"""Folders of transformers compute the same here, and ours compute the same there."""

import json

import pytest
import torch
import transformers

from minidelta.hub import load_model, save_pretrained
from minidelta.model import Cache
from tests.hub.oracle import CASES, batch, case, theirs

AUTO = {"bert": "AutoModelForMaskedLM", "gpt2": "AutoModelForCausalLM", "t5": "AutoModelForSeq2SeqLM"}
CLOSE = {"atol": 1e-5, "rtol": 0}
WRITERS = [name for name in CASES if not name.startswith("bert")]


@pytest.fixture(scope="module", params=list(CASES))
def pair(request, tmp_path_factory):
    """A transformers model and ours, read from its folder."""
    folder = tmp_path_factory.mktemp(request.param)
    reference = case(request.param, folder)
    return reference, load_model(folder, device="cpu")


def real(reference, inputs) -> torch.Tensor:
    """Where there is text: what a model says at padding means nothing."""
    of = "decoder_input_ids" if "decoder_input_ids" in inputs else "attention_mask"
    return inputs["attention_mask"].bool() if of == "attention_mask" else torch.ones_like(inputs[of]).bool()


def cacheable(reference) -> bool:
    """transformers 5.23 makes a T5 cache with as many layers as the encoder has, too few for a deeper decoder."""
    return getattr(reference.config, "num_decoder_layers", 0) <= reference.config.num_hidden_layers


@pytest.mark.parametrize("side", ["right", "left"])
@torch.no_grad()
def test_logits_and_hidden_states(pair, side):
    reference, model = pair
    inputs = batch(reference, side)
    logits, hidden = theirs(reference, inputs)
    where = real(reference, inputs)
    torch.testing.assert_close(model(**inputs)[where], logits[where], **CLOSE)
    torch.testing.assert_close(model.hidden(**inputs)[where], hidden[where], **CLOSE)
    assert logits[where].std() > 0.1, "weights too small to compare anything"


@torch.no_grad()
def test_without_padding_and_alone(pair):
    """The fast path without a mask; and a text gives the same alone as in a padded batch."""
    reference, model = pair
    inputs = batch(reference)
    alone = {key: value[1:2, :6] for key, value in inputs.items() if key != "attention_mask"}
    torch.testing.assert_close(model(**alone), theirs(reference, alone)[0], **CLOSE)
    torch.testing.assert_close(model(**alone), model(**inputs)[1:2, :6], **CLOSE)


@torch.no_grad()
def test_decoder_padding(pair):
    reference, model = pair
    if reference.config.model_type != "t5":
        pytest.skip("only T5 has a decoder behind an encoder")
    inputs = batch(reference) | {"decoder_attention_mask": torch.tensor([[1] * 6, [1] * 4 + [0] * 2, [1] * 2 + [0] * 4])}
    where = inputs["decoder_attention_mask"].bool()
    torch.testing.assert_close(model(**inputs)[where], theirs(reference, inputs)[0][where], **CLOSE)
    encoder = reference.get_encoder()(inputs["input_ids"], attention_mask=inputs["attention_mask"]).last_hidden_state
    ours = model.encode(inputs["input_ids"], inputs["attention_mask"])
    seen = inputs["attention_mask"].bool()
    torch.testing.assert_close(ours[seen], encoder[seen], **CLOSE)


@torch.no_grad()
def test_pooler_and_next_sentence(pair):
    reference, model = pair
    if not model.config.next_sentence:
        pytest.skip("no such head")
    inputs = batch(reference)
    pooled = model.pool(model.hidden(**inputs))
    torch.testing.assert_close(pooled, reference.bert(**inputs).pooler_output, **CLOSE)
    torch.testing.assert_close(model.next_sentence(pooled), reference(**inputs).seq_relationship_logits, **CLOSE)


@torch.no_grad()
def test_cache(pair):
    """Reading a text in three pieces through the caches gives what reading it at once gives, here and there."""
    reference, model = pair
    inputs = batch(reference)
    if reference.config.model_type == "bert":
        pytest.skip("BERT reads a text at once")
    whole, _ = theirs(reference, inputs)
    ids = inputs.pop("decoder_input_ids", inputs["input_ids"])
    mine, memory, cache = [], None, Cache(model.config)
    for start, end in [(0, 3), (3, 4), (4, ids.size(1))]:
        piece = ids[:, start:end]
        if reference.config.model_type == "t5":
            new = {**inputs, "decoder_input_ids": piece}
        else:
            new = {"input_ids": piece, "attention_mask": inputs["attention_mask"][:, :end]}
        mine.append(model(**new, cache=cache))
        output = reference(**new, past_key_values=memory, use_cache=True)
        memory = output.past_key_values
        seen = new["attention_mask"][:, start:end].bool() if "decoder_input_ids" not in new else slice(None)
        torch.testing.assert_close(mine[-1][seen], output.logits[seen], **CLOSE)
    where = real(reference, batch(reference))
    torch.testing.assert_close(torch.cat(mine, 1)[where], whole[where], **CLOSE)


@pytest.mark.parametrize("settings", [{}, {"num_beams": 3}, {"num_beams": 4, "length_penalty": 2.0, "early_stopping": True}], ids=str)
@pytest.mark.parametrize("name", WRITERS)
def test_generation(name, settings, tmp_path):
    """The same tokens from prompts of unequal length, padded on the left."""
    reference = case(name, tmp_path)
    model = load_model(tmp_path, device="cpu")
    inputs = {key: value for key, value in batch(reference, "left").items() if key in ("input_ids", "attention_mask")}
    expected = reference.generate(**inputs, max_new_tokens=12, do_sample=False, use_cache=cacheable(reference), **settings)
    assert model.generate(**inputs, max_new_tokens=12, **settings).tolist() == expected.tolist()


@torch.no_grad()
def test_a_written_folder_opens_in_transformers(pair, tmp_path):
    reference, model = pair
    model.save_pretrained(tmp_path / "ours")
    written = json.loads((tmp_path / "ours" / "config.json").read_text())
    assert written["architectures"] == [type(reference).__name__]
    inputs = batch(reference)
    expected, _ = theirs(reference, inputs)
    for opener in [AUTO[reference.config.model_type], "AutoModelForPreTraining"]:
        opened, report = getattr(transformers, opener).from_pretrained(tmp_path / "ours", output_loading_info=True)
        extra = {"bert.pooler.dense.weight", "bert.pooler.dense.bias", "cls.seq_relationship.weight", "cls.seq_relationship.bias"}
        spare = extra if not model.config.next_sentence else set()
        spare = spare if model.config.tied else spare | {"cls.predictions.bias"}  # which nothing reads there
        assert not set(report["missing_keys"]) - spare, report
        assert not set(report["unexpected_keys"]) - extra and not report["mismatched_keys"], report
        logits, _ = theirs(opened.eval(), inputs)
        assert torch.equal(logits, expected), f"{opener} computes something else from our folder"


def test_there_and_back_changes_no_bit(pair, tmp_path):
    reference, model = pair
    save_pretrained(model, tmp_path / "ours")
    opened = type(reference).from_pretrained(tmp_path / "ours")
    opened.save_pretrained(tmp_path / "theirs")
    back = load_model(tmp_path / "theirs", device="cpu")
    assert back.config == model.config
    mine, again = model.state_dict(), back.state_dict()
    assert list(mine) == list(again) and all(torch.equal(mine[key], again[key]) for key in mine)


@torch.no_grad()
def test_transformers_generates_the_same_from_a_written_folder(tmp_path):
    for name in WRITERS:
        reference = case(name, tmp_path / name)
        load_model(tmp_path / name, device="cpu").save_pretrained(tmp_path / f"{name}-ours")
        opened = type(reference).from_pretrained(tmp_path / f"{name}-ours")
        inputs = {key: value for key, value in batch(reference, "left").items() if key in ("input_ids", "attention_mask")}
        for beams in [1, 3]:
            settings = {"max_new_tokens": 8, "do_sample": False, "num_beams": beams, "use_cache": cacheable(reference)}
            assert opened.generate(**inputs, **settings).tolist() == reference.generate(**inputs, **settings).tolist()
