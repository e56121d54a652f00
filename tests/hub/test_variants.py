"""The same model comes in many spellings: bare, old, sharded, half precision, with and without its heads."""

import json
import re

import pytest
import torch
import transformers
from safetensors.torch import load_file, save_file

from minidelta.errors import CheckpointError, ConfigError
from minidelta.hub import Pretrained, load_model, load_tokenizer, save_pretrained, train_tokenizer
from minidelta.hub.checkpoint import FAMILIES
from minidelta.model import Transformer, TransformerConfig, bert_config, gpt2_config, t5_config
from tests.hub.oracle import BERT, CASES, GPT2, NEW_T5, T5, batch, case, make, theirs

CLOSE = {"atol": 1e-5, "rtol": 0}
PLAIN = ["bert", "gpt2", "t5", "t5-v1.1"]


def load(folder, **more) -> Pretrained:
    return load_model(folder, device="cpu", **more)


def rewrite(folder, change) -> None:
    """Pass the stored tensors through `change`, a function from dict to dict."""
    tensors = change(load_file(folder / "model.safetensors"))
    save_file({key: value.clone() for key, value in tensors.items()}, folder / "model.safetensors", metadata={"format": "pt"})


def same(model: Transformer, other: Transformer) -> bool:
    mine, its = model.state_dict(), other.state_dict()
    return list(mine) == list(its) and all(torch.equal(mine[key], its[key]) for key in mine)


# --- the same tensors under other names ---------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["bert", "gpt2"])
def test_without_the_family_prefix(name, tmp_path):
    case(name, tmp_path)
    expected = load(tmp_path)
    rewrite(tmp_path, lambda old: {key.removeprefix("bert.").removeprefix("transformer."): value for key, value in old.items()})
    assert same(load(tmp_path), expected)


def test_gamma_and_beta(tmp_path):
    case("bert", tmp_path)
    expected = load(tmp_path)
    old_names = {"LayerNorm.weight": "LayerNorm.gamma", "LayerNorm.bias": "LayerNorm.beta"}

    def age(tensors):
        for new, old in old_names.items():
            tensors = {key.replace(new, old): value for key, value in tensors.items()}
        return tensors

    rewrite(tmp_path, age)
    assert any(key.endswith("gamma") for key in load_file(tmp_path / "model.safetensors"))
    assert same(load(tmp_path), expected)


def test_buffers_of_old_files_are_no_weights(tmp_path):
    for name, buffers in {
        "bert": {"bert.embeddings.position_ids": torch.arange(32)[None]},
        "gpt2": {f"transformer.h.{i}.attn.{what}": torch.ones(1, 1, 4, 4) for i in range(2) for what in ("bias", "masked_bias")},
        "t5": {"decoder.block.0.layer.1.EncDecAttention.relative_attention_bias.weight": torch.ones(32, 3)},
    }.items():
        case(name, tmp_path / name)
        expected = load(tmp_path / name)
        rewrite(tmp_path / name, lambda tensors, buffers=buffers: tensors | buffers)
        assert same(load(tmp_path / name), expected)


@pytest.mark.parametrize(
    ("name", "copies"),
    [
        ("bert", {"cls.predictions.decoder.weight": "bert.embeddings.word_embeddings.weight", "cls.predictions.decoder.bias": "cls.predictions.bias"}),
        ("gpt2", {"lm_head.weight": "transformer.wte.weight"}),
        ("t5", {"lm_head.weight": "shared.weight", "encoder.embed_tokens.weight": "shared.weight", "decoder.embed_tokens.weight": "shared.weight"}),
        ("t5-v1.1", {"encoder.embed_tokens.weight": "shared.weight"}),
    ],
)
def test_tied_tensors_may_be_stored_once_or_twice(name, copies, tmp_path):
    case(name, tmp_path)
    expected = load(tmp_path)
    rewrite(tmp_path, lambda tensors: tensors | {copy: tensors[original] for copy, original in copies.items()})
    assert same(load(tmp_path), expected)
    lone = [copy for copy in copies if not copy.startswith(("lm_head", "cls.predictions.decoder.weight"))]
    if lone:  # under the second name alone
        rewrite(tmp_path, lambda tensors: {key: value for key, value in tensors.items() if key not in copies.values() or not key.startswith(("shared", "cls"))})
        assert same(load(tmp_path), expected)


def test_heads_that_should_be_tied_but_differ(tmp_path):
    """transformers keeps both matrices; so do we, and say so."""
    for name, head in [("bert", "cls.predictions.decoder.weight"), ("gpt2", "lm_head.weight")]:
        case(name, tmp_path / name)
        other = torch.randn(61, 24)
        rewrite(tmp_path / name, lambda tensors, head=head, other=other: tensors | {head: other})
        with pytest.warns(UserWarning, match=f"tie_word_embeddings, but {head} differs from .*both are kept, untied"):
            model = load(tmp_path / name)
        assert not model.config.tied and torch.equal(model.lm_head.weight, other)
        reference = getattr(transformers, CASES[name][0]).from_pretrained(tmp_path / name).eval()
        inputs = batch(reference)
        if name == "gpt2":
            torch.testing.assert_close(model(**inputs)[0], theirs(reference, inputs)[0][0], **CLOSE)


def test_second_names_of_different_numbers(tmp_path):
    case("t5", tmp_path)
    rewrite(tmp_path, lambda tensors: tensors | {"decoder.embed_tokens.weight": tensors["shared.weight"] + 1})
    with pytest.raises(CheckpointError, match="shared.weight and decoder.embed_tokens.weight, which are one tensor .* different numbers"):
        load(tmp_path)


# --- with and without heads ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "settings"),
    [("BertModel", BERT), ("GPT2Model", GPT2), ("T5Model", T5), ("T5Model", NEW_T5), ("T5EncoderModel", T5), ("BertForNextSentencePrediction", BERT)],
)
@torch.no_grad()
def test_bare_models_load_for_their_hidden_states(kind, settings, tmp_path):
    reference = make(kind, settings)
    reference.save_pretrained(tmp_path)
    model = load(tmp_path)
    inputs = batch(reference)
    if kind == "T5EncoderModel":
        inputs.pop("decoder_input_ids")
        assert model.config.shape == "encoder"
    base = reference.bert if kind == "BertForNextSentencePrediction" else reference
    expected = base(**inputs).last_hidden_state
    where = inputs["attention_mask"].bool() if "decoder_input_ids" not in inputs else slice(None)
    torch.testing.assert_close(model.hidden(**inputs)[where], expected[where], **CLOSE)
    headless = kind in ("BertModel", "T5EncoderModel", "BertForNextSentencePrediction") or settings is NEW_T5
    if headless:
        with pytest.raises(ConfigError, match="no language-model head"):
            model(**inputs)
    else:  # the head is the embedding: nothing is missing
        assert model(**inputs).shape[-1] == 61

    model.save_pretrained(tmp_path / "ours")
    opener = transformers.AutoModel if kind != "T5EncoderModel" else transformers.T5EncoderModel
    opened, report = opener.from_pretrained(tmp_path / "ours", output_loading_info=True)
    assert not report["missing_keys"] and not report["mismatched_keys"]
    torch.testing.assert_close(opened.eval()(**inputs).last_hidden_state[where], expected[where], atol=0, rtol=0)
    assert same(load(tmp_path / "ours"), model)


@pytest.mark.parametrize(
    ("kind", "settings", "head"),
    [
        ("BertForSequenceClassification", BERT, "classifier.weight"),
        ("BertForTokenClassification", BERT, "classifier.bias"),
        ("BertForQuestionAnswering", BERT, "qa_outputs.weight"),
        ("GPT2ForSequenceClassification", GPT2, "score.weight"),
        ("T5ForSequenceClassification", T5, "classification_head.dense.weight"),
    ],
)
def test_task_heads_are_listed_with_a_remedy_that_works(kind, settings, head, tmp_path):
    reference = make(kind, settings)
    reference.save_pretrained(tmp_path / "task")
    with pytest.raises(CheckpointError) as refused:
        load(tmp_path / "task")
    first, *listed = str(refused.value).splitlines()
    assert "unexpected tensor(s): a task head is not read; keep the backbone" in first
    assert f"    unexpected: {head}" in listed
    train_tokenizer({"Bert": "bert", "GPT2": "gpt", "T5": "t5"}[kind.split("For")[0]], ["fine"], 300).save_pretrained(tmp_path / "task")
    for name in re.search(r"of transformers' (\w+) and (\w+)\.$", first).groups():
        getattr(transformers, name).from_pretrained(tmp_path / "task").save_pretrained(tmp_path / "backbone")
    assert load(tmp_path / "backbone").config.d_model == 24
    assert load_tokenizer(tmp_path / "backbone")("fine") == load_tokenizer(tmp_path / "task")("fine")


# --- files and number types ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", PLAIN)
def test_sharded_folders(name, tmp_path):
    case(name, tmp_path / "one")
    case(name, tmp_path / "many", max_shard_size="8KB")
    assert len(list((tmp_path / "many").glob("*.safetensors"))) > 2
    model = load(tmp_path / "many")
    assert same(model, load(tmp_path / "one"))

    model.save_pretrained(tmp_path / "many")  # over the shards, which must not stay behind
    assert [file.name for file in (tmp_path / "many").glob("*.safetensors*")] == ["model.safetensors"]
    assert same(load(tmp_path / "many"), model)


@pytest.mark.parametrize("stored", [torch.float16, torch.bfloat16])
@pytest.mark.parametrize("name", PLAIN)
def test_half_precision_is_computed_in_full(name, stored, tmp_path):
    case(name, tmp_path / "full")
    load(tmp_path / "full").save_pretrained(tmp_path / "half", dtype=stored)
    assert all(tensor.dtype == stored for tensor in load_file(tmp_path / "half" / "model.safetensors").values())
    model = load(tmp_path / "half")
    assert all(parameter.dtype == torch.float32 for parameter in model.parameters())
    original = load(tmp_path / "full")
    for key, value in model.state_dict().items():
        assert torch.equal(value, original.state_dict()[key].to(stored).float())
    reference = getattr(transformers, CASES[name][0]).from_pretrained(tmp_path / "half", dtype=torch.float32).eval()
    inputs = batch(reference)
    where = inputs["attention_mask"].bool() if "decoder_input_ids" not in inputs else slice(None)
    with torch.no_grad():
        torch.testing.assert_close(model(**inputs)[where], theirs(reference, inputs)[0][where], **CLOSE)
    for dtype in (stored, str(stored)):
        if name.startswith("t5") and stored == torch.float16:
            with pytest.raises(ConfigError, match="T5's feed-forward exceeds"):
                load(tmp_path / "half", dtype=dtype)
        else:
            assert load(tmp_path / "half", dtype=dtype).dtype == stored


def test_loading_touches_no_random_number_and_sleeps_no_dropout(tmp_path):
    case("bert", tmp_path)
    torch.manual_seed(3)
    expected = torch.rand(2)
    torch.manual_seed(3)
    model = load(tmp_path)
    assert torch.equal(torch.rand(2), expected)
    assert not model.training and all(parameter.requires_grad for parameter in model.parameters())
    assert not any(parameter.is_meta for parameter in model.parameters()) and not any(True for _ in model.buffers())


def test_old_config_files_leave_defaults_out(tmp_path):
    model = make("BertForMaskedLM", {"vocab_size": 61, "hidden_size": 24, "num_attention_heads": 12, "num_hidden_layers": 12, "intermediate_size": 40})
    model.save_pretrained(tmp_path)
    (tmp_path / "config.json").write_text('{"model_type": "bert", "vocab_size": 61, "hidden_size": 24, "intermediate_size": 40, "gradient_checkpointing": false}')
    inputs = {"input_ids": torch.arange(5, 12)[None]}
    with torch.no_grad():
        torch.testing.assert_close(load(tmp_path)(**inputs), model(**inputs).logits, **CLOSE)


# --- our own models out --------------------------------------------------------------------------------------------

SIZES = {"vocab_size": 300, "d_model": 16, "n_layers": 2, "n_heads": 2, "d_ff": 24}
OURS = {
    "bert": (bert_config(**SIZES, next_sentence=True, mask_token_id=4), "AutoModelForPreTraining", "BertForPreTraining"),
    "bert-plain": (bert_config(**SIZES, pooler=False), "AutoModelForMaskedLM", "BertForMaskedLM"),
    "gpt": (gpt2_config(**SIZES, bos_token_id=0, eos_token_id=0, pad_token_id=1), "AutoModelForCausalLM", "GPT2LMHeadModel"),
    "t5": (t5_config(**SIZES), "AutoModelForSeq2SeqLM", "T5ForConditionalGeneration"),
    "t5-v1.1": (t5_config("1.1", **SIZES, n_decoder_layers=1, d_head=5), "AutoModelForSeq2SeqLM", "T5ForConditionalGeneration"),
    "t5-tied-unscaled": (t5_config("1.1", **SIZES, tied=True), "AutoModelForSeq2SeqLM", "T5ForConditionalGeneration"),
    "t5-untied-scaled": (t5_config("1.0", **SIZES, tied=False), "AutoModelForSeq2SeqLM", "T5ForConditionalGeneration"),
    "t5-gated-exact": (t5_config("1.1", **SIZES, activation="gelu"), "AutoModelForSeq2SeqLM", "T5ForConditionalGeneration"),
}


@pytest.mark.parametrize("name", list(OURS))
@torch.no_grad()
def test_a_new_model_saves_as_a_whole_folder(name, tmp_path):
    config, opener, kind = OURS[name]
    model = Transformer(config, seed=0).eval()
    family = name.split("-")[0]
    tokenizer = train_tokenizer(family, ["the cheese is good"], 300)
    save_pretrained(model, tmp_path / "m", tokenizer)
    assert sorted(file.name for file in (tmp_path / "m").iterdir()) == ["config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json"]
    assert not list(tmp_path.glob(".*")), "something half-written stayed behind"
    assert len({file.stat().st_mode for file in (tmp_path / "m").iterdir()}) == 1, "who may read one file may read all"

    opened = getattr(transformers, opener).from_pretrained(tmp_path / "m").eval()
    assert type(opened).__name__ == kind
    inputs = {key: value for key, value in batch(opened).items() if key != "token_type_ids"}
    where = inputs["attention_mask"].bool() if "decoder_input_ids" not in inputs else slice(None)
    torch.testing.assert_close(model(**inputs)[where], theirs(opened, inputs)[0][where], **CLOSE)
    for read in [transformers.AutoTokenizer.from_pretrained(tmp_path / "m"), load_tokenizer(tmp_path / "m")]:
        assert read("Cheese, 好!").input_ids == tokenizer("Cheese, 好!").input_ids

    back = load(tmp_path / "m")
    assert same(back, model) and back.config == config


def test_deltas_are_not_saved(tmp_path):
    model = Transformer(OURS["gpt"][0], seed=0)
    model.sites()["layers.0.attn.q_proj"].parts["lora"] = torch.nn.Linear(16, 16)
    save_pretrained(model, tmp_path)
    assert not any("parts" in key for key in load_file(tmp_path / "model.safetensors"))
    load(tmp_path)


def test_other_files_of_the_folder_stay(tmp_path):
    (tmp_path / "history.json").write_text("[]")
    save_pretrained(Transformer(OURS["gpt"][0]), tmp_path)
    assert (tmp_path / "history.json").read_text() == "[]"


def test_a_save_that_fails_leaves_the_old_folder_whole(tmp_path, monkeypatch):
    case("gpt2", tmp_path / "m")
    before = load(tmp_path / "m")

    def full_disk(*args, **more):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("minidelta.hub.checkpoint.save_file", full_disk)
    with pytest.raises(CheckpointError, match="cannot be written .*No space left"):
        before.save_pretrained(tmp_path / "m")
    assert same(load(tmp_path / "m"), before) and [file.name for file in tmp_path.iterdir()] == ["m"]


def test_numbers_too_large_for_half_precision(tmp_path):
    model = Transformer(OURS["t5"][0])
    model.token_embedding.weight.data[0, 0] = 1e5
    with pytest.raises(CheckpointError, match="shared.weight reaches 1e\\+05, too large for torch.float16; save it as bfloat16 or float32"):
        save_pretrained(model, tmp_path / "m", dtype="float16")
    save_pretrained(model, tmp_path / "m", dtype="bfloat16")


def test_shapes_that_no_family_has(tmp_path):
    for changes, complaint in [
        ({"shape": "encoder"}, "cannot be saved as BERT: its norm_position is 'pre', a BERT has 'post'"),
        ({"shape": "decoder", "norm": "rmsnorm"}, "cannot be saved as GPT-2: its norm is 'rmsnorm', a GPT-2 has 'layernorm'"),
        ({"shape": "encoder-decoder"}, "cannot be saved as T5: its positions is 'learned', a T5 has 'relative'"),
    ]:
        with pytest.raises(CheckpointError, match=complaint):
            save_pretrained(Transformer(TransformerConfig(**SIZES, **changes)), tmp_path)


@pytest.mark.parametrize("config", [config for config, *_ in OURS.values()], ids=list(OURS))
def test_the_name_maps_are_complete(config):
    """Every tensor of ours has exactly one place in the file, and every name of theirs is used once."""
    family = FAMILIES["gpt2" if config.shape == "decoder" else "bert" if config.positions == "learned" else "t5"]
    places = [name for weight in family.weights(config) for name in weight.ours]
    stored = [weight.theirs for weight in family.weights(config)]
    assert sorted(places) == sorted(Transformer(config).backbone_state()) and len(set(stored)) == len(stored)
    assert all(family.canonical(name) == name for name in stored), "a current name is its own canonical name"
    assert json.dumps(family.write_config(config))


def test_generation_config_says_what_ends_a_text(tmp_path):
    """Newer folders keep it in a file of its own; config.json may then say something else."""
    reference = case("gpt2", tmp_path)
    ids = torch.tensor([[5, 6, 7]])
    plain = load(tmp_path).generate(ids, max_new_tokens=8)
    stop = int(plain[0, 4])  # the second piece it writes
    reference.generation_config.eos_token_id, reference.generation_config.pad_token_id = [stop], 0
    reference.save_pretrained(tmp_path)
    ours = load(tmp_path).generate(ids, max_new_tokens=8)
    assert ours.tolist() == reference.generate(ids, attention_mask=torch.ones_like(ids), max_new_tokens=8, do_sample=False).tolist()
    assert ours.shape[1] < plain.shape[1]


def test_a_config_without_architectures(tmp_path):
    case("t5-v1.1", tmp_path)
    expected = load(tmp_path)
    given = json.loads((tmp_path / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps(given | {"architectures": None}))
    assert same(load(tmp_path), expected)
