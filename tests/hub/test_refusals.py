"""What cannot be read is refused in one clear line that says what was met, what was expected and what to do."""

import json
import re
import shutil

import pytest
import torch
from safetensors.torch import load_file, save_file

from minidelta.errors import CheckpointError, ConfigError, MinideltaError
from minidelta.hub import load_model, load_tokenizer, save_pretrained
from minidelta.model import Transformer, bert_config, gpt2_config, t5_config
from tests.hub.oracle import case, edit


@pytest.fixture(scope="module")
def originals(tmp_path_factory):
    """One folder for each family, which the tests copy and then break."""
    folder = tmp_path_factory.mktemp("originals")
    for name in ["bert", "gpt2", "t5"]:
        case(name, folder / name)
    return folder


@pytest.fixture
def bert(originals, tmp_path):
    return shutil.copytree(originals / "bert", tmp_path / "bert")


def refusal(folder, **more) -> str:
    """The message of the error; its first line must be complete by itself."""
    with pytest.raises(MinideltaError) as refused:
        load_model(folder, device="cpu", **more)
    message = str(refused.value)
    assert message.splitlines()[0].endswith((".", ":")), message
    return message


def rewrite(folder, change) -> None:
    tensors = load_file(folder / "model.safetensors")
    change(tensors)
    save_file(tensors, folder / "model.safetensors")


# --- tensors ------------------------------------------------------------------------------------------------------


def test_missing_and_unexpected_tensors_are_listed(bert):
    def change(tensors):
        tensors["bert.encoder.layer.0.intermediate.dense.kernel"] = tensors.pop("bert.encoder.layer.0.intermediate.dense.weight")
        del tensors["bert.encoder.layer.1.output.dense.bias"]

    rewrite(bert, change)
    first, *listed = refusal(bert).splitlines()
    assert first == f"{bert} does not match its config.json, 2 missing and 1 unexpected tensor(s): the weights are incomplete, or belong to another config.json."
    assert [line.strip() for line in listed] == [
        "missing: bert.encoder.layer.0.intermediate.dense.weight",
        "missing: bert.encoder.layer.1.output.dense.bias",
        "unexpected: bert.encoder.layer.0.intermediate.dense.kernel",
    ]


@pytest.mark.parametrize(
    ("name", "changes", "complaint"),
    [
        ("bert", {"vocab_size": 60}, r"bert.embeddings.word_embeddings.weight: met \[61, 24\], expected \[60, 24\]"),
        ("bert", {"intermediate_size": 41}, r"layer.0.intermediate.dense.weight: met \[40, 24\], expected \[41, 24\]"),
        ("gpt2", {"n_embd": 27}, r"transformer.h.0.attn.c_attn.weight: met \[24, 72\], expected \[27, 81\]"),
        ("gpt2", {"n_positions": 47}, r"transformer.wpe.weight: met \[48, 24\], expected \[47, 24\]"),
        ("t5", {"d_kv": 6}, r"encoder.block.0.layer.0.SelfAttention.q.weight: met \[15, 24\], expected \[18, 24\]"),
    ],
)
def test_wrong_shapes_are_named(originals, tmp_path, name, changes, complaint):
    folder = shutil.copytree(originals / name, tmp_path / name)
    edit(folder, **changes)
    assert re.search(complaint, refusal(folder))


def test_one_tensor_under_two_spellings(bert):
    rewrite(bert, lambda tensors: tensors.update({"pooler.dense.weight": tensors["bert.pooler.dense.weight"].clone()}))
    assert "holds bert.pooler.dense.weight twice" in refusal(bert)


@pytest.mark.parametrize(
    ("name", "changes", "complaint"),
    [
        ("bert", {"num_hidden_layers": 1}, "16 unexpected tensor(s): config.json says 1 layer, the file has 2 (bert.encoder.layer); take both from one model."),
        ("bert", {"num_hidden_layers": 3}, "16 missing tensor(s): config.json says 3 layers, the file has 2 (bert.encoder.layer)"),
        ("gpt2", {"n_layer": 1}, "config.json says 1 layer, the file has 2 (transformer.h)"),
        ("t5", {"num_layers": 1, "num_decoder_layers": 2}, "config.json says 1 layer, the file has 2 (encoder.block)"),
        ("t5", {"num_decoder_layers": 1}, "config.json says 1 layer, the file has 2 (decoder.block)"),
    ],
)
def test_another_number_of_layers(originals, tmp_path, name, changes, complaint):
    folder = shutil.copytree(originals / name, tmp_path / name)
    edit(folder, **changes)
    assert complaint in refusal(folder).splitlines()[0]


# --- config.json --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "changes", "complaint"),
    [
        ("bert", {"position_embedding_type": "relative_key"}, "sets position_embedding_type to 'relative_key', which this kit cannot represent; .* = 'absolute'"),
        ("bert", {"is_decoder": True}, "sets is_decoder to True"),
        ("bert", {"add_cross_attention": True}, "sets add_cross_attention to True"),
        ("bert", {"hidden_act": "mish"}, "sets hidden_act to 'mish', which this kit cannot represent; it knows gelu"),
        ("bert", {"hidden_size": "24"}, "sets hidden_size to '24'; expected a whole number"),
        ("bert", {"num_hidden_layers": 2.0}, "sets num_hidden_layers to 2.0; expected a whole number"),
        ("bert", {"layer_norm_eps": None}, "sets layer_norm_eps to None; expected a number"),
        ("bert", {"tie_word_embeddings": "yes"}, "sets tie_word_embeddings to 'yes'; expected true or false"),
        ("bert", {"pad_token_id": "[PAD]"}, r"sets pad_token_id to '\[PAD\]'; expected a whole number"),
        ("bert", {"num_attention_heads": 5}, "d_model 24 cannot be split over n_heads 5"),
        ("bert", {"quantization_config": {"bits": 4}}, "sets quantization_config"),
        ("bert", {"pruned_heads": {"0": [1]}}, "sets pruned_heads"),
        ("gpt2", {"scale_attn_by_inverse_layer_idx": True}, "sets scale_attn_by_inverse_layer_idx to True"),
        ("gpt2", {"add_cross_attention": True}, "sets add_cross_attention to True"),
        ("gpt2", {"activation_function": "quick_gelu"}, "sets activation_function to 'quick_gelu'"),
        ("t5", {"feed_forward_proj": "gelu-gated"}, "sets feed_forward_proj to 'gelu-gated'; expected an activation such as 'relu', or 'gated-gelu'"),
        ("t5", {"is_decoder": True}, "sets is_decoder to True"),
        ("t5", {"model_type": "mt5"}, "holds a model of type 'mt5', which this kit does not read. Did you mean t5"),
        ("bert", {"model_type": "roberta"}, "holds a model of type 'roberta', which this kit does not read. .*Known: bert, gpt2, t5"),
        ("bert", {"model_type": ...}, 'names no model_type; add "model_type": "bert"'),
        ("bert", {"model_type": ["bert"]}, "holds a model of type"),
    ],
)
def test_settings_that_cannot_be_represented(originals, tmp_path, name, changes, complaint):
    folder = shutil.copytree(originals / name, tmp_path / name)
    edit(folder, **changes)
    assert re.search(complaint, refusal(folder))


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ('{"model_type": "bert",\n "vocab_size" 61}', "config.json is broken at line 2, column 15"),
        ("[1, 2]", "config.json holds a JSON list; expected an object"),
        ("", "config.json is broken at line 1"),
        (b"\xff\xfe\x00", "config.json cannot be read"),
    ],
)
def test_broken_config_files(bert, text, complaint):
    (bert / "config.json").write_bytes(text if isinstance(text, bytes) else text.encode())
    assert complaint in refusal(bert)


def test_the_file_that_is_wrong_is_named(bert):
    (bert / "generation_config.json").write_text('{"eos_token_id": "x"}')
    assert refusal(bert) == "generation_config.json sets eos_token_id to 'x'; expected a whole number."


# --- files --------------------------------------------------------------------------------------------------------


def test_pickled_weights_are_refused(bert):
    """A pickle that would write a file when read: it must not be read."""
    proof = bert / "i-ran"

    class Bomb:
        def __reduce__(self):
            return open, (str(proof), "w")

    (bert / "model.safetensors").unlink()
    torch.save({"bert.x": Bomb()}, bert / "pytorch_model.bin")
    message = refusal(bert)
    assert "only as a pickle (pytorch_model.bin), and unpickling runs whatever code the file contains" in message
    assert "from_pretrained" in message and "save_pretrained" in message
    assert not proof.exists()


@pytest.mark.parametrize("vocabulary", [True, False])
def test_the_way_out_of_a_pickle_works(bert, vocabulary):
    """The programs in the message, run as they stand, make a folder that loads, with its tokenizer if there is one."""
    torch.save(load_file(bert / "model.safetensors"), bert / "pytorch_model.bin")
    (bert / "model.safetensors").unlink()
    if vocabulary:
        (bert / "vocab.txt").write_text("[PAD]\n[UNK]\n[CLS]\n[SEP]\n[MASK]\nfine\n")
    commands = refusal(bert).splitlines()[1:]
    assert len(commands) == 1 + vocabulary
    for command in commands:
        exec(re.fullmatch(r'    python -c "(.*)"', command)[1])
    assert load_model(f"{bert}-safe", device="cpu").config.vocab_size == 61
    if vocabulary:
        assert load_tokenizer(f"{bert}-safe")("fine").input_ids == [2, 5, 3]


def test_damaged_weights(bert):
    whole = (bert / "model.safetensors").read_bytes()
    for damaged in [whole[:1000], whole[:4], b"", b"\xff" * 200, whole[:-10]]:
        (bert / "model.safetensors").write_bytes(damaged)
        assert "model.safetensors is damaged or cut short" in refusal(bert)


def test_what_git_clones_without_lfs(bert):
    for name, load in (("model.safetensors", load_model), ("tokenizer.json", load_tokenizer)):
        (bert / name).write_text("version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 440449768\n")
        with pytest.raises(CheckpointError, match=f"{name} is a Git LFS pointer, a note in place of the file; run `git lfs pull` in {bert}"):
            load(bert)
    (bert / "model.safetensors").rename(bert / "pytorch_model.bin")
    assert "pytorch_model.bin is a Git LFS pointer" in refusal(bert)


def test_shards_that_are_not_there(originals, tmp_path):
    case("bert", tmp_path / "many", max_shard_size="8KB")
    next((tmp_path / "many").glob("model-00002-of-*")).unlink()
    assert "files that model.safetensors.index.json names: model-00002-of-" in refusal(tmp_path / "many")
    (tmp_path / "many" / "model.safetensors.index.json").write_text('{"weight_map": {"a": "../elsewhere.safetensors"}}')
    assert "index.json is damaged" in refusal(tmp_path / "many")


def test_folders_that_hold_no_model(bert, tmp_path):
    (bert / "model.safetensors").unlink()
    assert "holds no weights; expected model.safetensors" in refusal(bert)
    (bert / "config.json").unlink()
    assert "has no config.json; expected a Hugging Face model folder" in refusal(bert)
    assert f"There is no folder {tmp_path / 'nowhere'}" in refusal(tmp_path / "nowhere")
    (tmp_path / "file").write_text("x")
    assert "is a file; give the folder" in refusal(str(tmp_path / "file"))


def test_numbers_of_other_kinds(bert):
    assert "dtype 'float8' is not one of float32, float16, bfloat16" in refusal(bert, dtype="float8")
    assert "dtype torch.int64 is not one of" in refusal(bert, dtype=torch.int64)
    rewrite(bert, lambda tensors: tensors.update({"bert.pooler.dense.weight": torch.ones(24, 24, dtype=torch.int8)}))
    assert "bert.pooler.dense.weight is stored as int8" in refusal(bert)


def test_a_place_that_cannot_be_written(bert, tmp_path):
    (tmp_path / "taken").write_text("a file")
    with pytest.raises(CheckpointError, match="taken.* cannot be written"):
        save_pretrained(load_model(bert, device="cpu"), tmp_path / "taken")
    with pytest.raises(CheckpointError, match="cannot be written"):
        save_pretrained(load_model(bert, device="cpu"), tmp_path / "taken" / "inside")
    with pytest.raises(ConfigError, match="dtype 'int8'"):
        save_pretrained(load_model(bert, device="cpu"), tmp_path / "new", dtype="int8")
    assert json.loads((bert / "config.json").read_text())["model_type"] == "bert"


# --- saving -------------------------------------------------------------------------------------------------------

TINY = {"vocab_size": 61, "d_model": 24, "n_layers": 1, "n_heads": 3, "d_ff": 40}


@pytest.mark.parametrize(
    "config, complaint",
    [
        (gpt2_config(**TINY, lm_head="mlm"), "its lm_head is 'mlm', a GPT-2 has 'linear' or none"),
        (t5_config(**TINY, lm_head="mlm"), "its lm_head is 'mlm', a T5 has 'linear' or none"),
        (bert_config(**TINY, lm_head="linear"), "its lm_head is 'linear', a BERT has 'mlm' or none"),
        (gpt2_config(**TINY, d_head=5), "its 3 heads are 5 wide, a GPT-2 splits d_model 24 among them"),
        (bert_config(**TINY, d_head=5), "its 3 heads are 5 wide, a BERT splits d_model 24 among them"),
        (bert_config(**TINY, token_types=0), "it has no token types"),
        (t5_config(**TINY, shape="encoder"), "an encoder alone with a language-model head"),
    ],
)
def test_what_a_folder_cannot_say_is_not_written(config, complaint, tmp_path):
    with pytest.raises(CheckpointError, match=re.escape(complaint)):
        save_pretrained(Transformer(config, seed=0), tmp_path / "model")
    assert not (tmp_path / "model").exists()


@pytest.mark.parametrize("config", [gpt2_config(**TINY, lm_head=None), t5_config(**TINY, lm_head=None), bert_config(**TINY, lm_head=None), t5_config(**TINY, shape="encoder", lm_head=None)])
def test_a_bare_model_comes_back_bare(config, tmp_path):
    save_pretrained(Transformer(config, seed=0), tmp_path)
    back = load_model(tmp_path, device="cpu").config
    assert (back.lm_head, back.shape, back.tied) == (None, config.shape, True)


def test_neither_a_name_nor_a_folder():
    assert "named by a string or a path" in refusal(None)
