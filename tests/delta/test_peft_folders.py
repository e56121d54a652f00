"""Folders of PEFT, written and read: the same logits on both sides, with padding, on a model of each shape."""

import json

import pytest
import torch
from safetensors.torch import load_file, save_file

from minidelta.delta import (
    DoRA, IA3, IPT, KronA, LNTuning, LoHa, LoKr, LoRA, LoRAFA, LoRAPlus, METHODS, OFT, AdaLoRA, PiSSA, PrefixTuning, PromptTuning, PTuning,
    PTuningV2, RsLoRA, SPoT, TokenEmbeddings, VeRA, find_subspace, load_delta,
)  # fmt: skip
from minidelta.errors import CheckpointError, DeltaError, MinideltaError
from tests.delta.oracle import batch, equal, noise, pair
from tests.delta.tiny import SHAPES, tiny

FAMILIES = ("bert", "gpt2", "t5")
LINEARS = {
    "bert": ["query", "key", "value", "attention.output.dense", "intermediate.dense"], "gpt2": ["c_attn", "attn.c_proj", "mlp.c_fc", "mlp.c_proj"],
    "t5": ["q", "k", "v", "o", "wi", "wo"],
}  # fmt: skip
NORMS = {"bert": ["attention.output.LayerNorm", "embeddings.LayerNorm"], "gpt2": ["ln_1", "ln_2", "ln_f"], "t5": ["layer_norm", "final_layer_norm"]}
TASKS = {"bert": "FEATURE_EXTRACTION", "gpt2": "CAUSAL_LM", "t5": "SEQ_2_SEQ_LM"}
SIZE = {"bert": 0.3, "gpt2": 0.3, "t5": 0.1}  # of what stands in for training; a T5 does not scale its attention, and its logits grow with it
NO_CONV1D = {"loha", "lokr", "krona", "oft"}


def compare(family: str, ours, twin) -> None:
    """Logits at the text's own tokens; PEFT leaves those of a prompt before them."""
    inputs = batch(family)
    mine, expected = ours(**inputs), twin(**inputs).logits
    equal(mine, expected[:, -mine.size(1) :], inputs["attention_mask"] if family != "t5" else None)


# -- what we write, PEFT reads -----------------------------------------------------------------------------------

WRITTEN = {
    "lora": lambda family: LoRA(rank=2, alpha=6.0),
    "lora everywhere": lambda family: LoRA(rank=3, targets="linear"),
    "rslora": lambda family: RsLoRA(rank=4),
    "lora-plus": lambda family: LoRAPlus(rank=2, targets=["q_proj", "o_proj"]),
    "lora-fa": lambda family: LoRAFA(rank=2),
    "pissa": lambda family: PiSSA(rank=3, targets=["k_proj", "v_proj", "up_proj"]),
    "dora": lambda family: DoRA(rank=2, targets=["o_proj", "up_proj"]),
    "adalora": lambda family: AdaLoRA(rank=3, target_rank=2),
    "vera": lambda family: VeRA(rank=5),
    "vera everywhere": lambda family: VeRA(rank=5, targets="linear"),
    "loha": lambda family: LoHa(rank=2, targets="linear"),
    "lokr": lambda family: LoKr(rank=1, targets="linear"),
    "lokr of full rank": lambda family: LoKr(rank=3, targets="linear"),
    "krona": lambda family: KronA(targets="linear"),
    "oft": lambda family: OFT(block_size=4, targets="linear"),
    "ia3": lambda family: IA3(),
    "ia3 on some": lambda family: IA3(targets=["layers.1.attn.kv" if family != "t5" else "decoder.layers.1.cross.kv", "act"]),
    "ln-tuning": lambda family: LNTuning(),
    "prompt-tuning": lambda family: PromptTuning(prompt_length=4),
    "spot": lambda family: SPoT(source=torch.randn(3, 16)),
    "ipt": lambda family: IPT(find_subspace([torch.randn(4, 16) for _ in range(2)], steps=1)),
    "p-tuning": lambda family: PTuning(prompt_length=4),
    "prefix": lambda family: PrefixTuning(prefix_length=4, positions=True, targets=prefix_targets(family)),
    "p-tuning-v2": lambda family: PTuningV2(prefix_length=4, positions=True, targets=prefix_targets(family)),
}
READ_AS = {"rslora": "lora", "lora-plus": "lora", "lora-fa": "lora", "pissa": "lora", "krona": "lokr", "spot": "prompt-tuning", "ipt": "prompt-tuning", "p-tuning": "prompt-tuning", "prefix": "p-tuning-v2"}


def prefix_targets(family: str) -> str | None:
    return r"decoder\..*attn\.kv" if family == "t5" else None


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("case", WRITTEN)
def test_peft_reads_what_we_write(case, family, tmp_path):
    peft = pytest.importorskip("peft")
    ours, original = pair(family, tmp_path / "model")
    torch.manual_seed(1)
    delta = WRITTEN[case](family).attach(ours)
    before = ours(**batch(family))
    noise(delta.parameters(), size=SIZE[family])
    assert not torch.allclose(before, ours(**batch(family)), atol=1e-3)
    if family == "gpt2" and delta.name in NO_CONV1D:
        with pytest.raises(CheckpointError, match="knows no Conv1D"):
            delta.save(tmp_path / "adapter", format="peft")
        assert not (tmp_path / "adapter").exists()
        return
    delta.save(tmp_path / "adapter", format="peft")
    compare(family, ours, peft.PeftModel.from_pretrained(original, tmp_path / "adapter").eval())
    fresh = pair(family, tmp_path / "again")[0]
    again = load_delta(tmp_path / "adapter").attach(fresh)
    assert again.name == READ_AS.get(delta.name, delta.name) and again.audit().ok
    torch.testing.assert_close(fresh(**batch(family)), ours(**batch(family)), atol=1e-5, rtol=1e-5)
    again.save(tmp_path / "ours")  # and in our own form
    again.detach()
    load_delta(tmp_path / "ours").attach(fresh)
    torch.testing.assert_close(fresh(**batch(family)), ours(**batch(family)), atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("family", ["bert", "gpt2"])
def test_token_embeddings_go_where_the_output_layer_is_its_own(family, tmp_path):
    peft = pytest.importorskip("peft")
    ours, original = pair(family, tmp_path / "model", tie_word_embeddings=False)
    delta = TokenEmbeddings(tokens=[5, 2, 9, 40]).attach(ours)
    noise(delta.parameters())
    delta.save(tmp_path / "adapter", format="peft")
    compare(family, ours, peft.PeftModel.from_pretrained(original, tmp_path / "adapter").eval())
    delta.detach()

    original = pair(family, tmp_path / "again", tie_word_embeddings=False)[1]
    twin = peft.get_peft_model(original, peft.TrainableTokensConfig(token_indices=[3, 7, 41])).eval()
    noise(p for p in twin.parameters() if p.requires_grad)
    twin.save_pretrained(tmp_path / "theirs")
    load_delta(tmp_path / "theirs").attach(ours)
    compare(family, ours, twin)


@pytest.mark.parametrize("family", FAMILIES)
def test_token_embeddings_stay_where_the_output_layer_is_tied(family, tmp_path):
    ours = pair(family, tmp_path / "model")[0]
    with TokenEmbeddings(tokens=[5]).attach(ours) as delta, pytest.raises(CheckpointError, match="moves a tied output layer"):
        delta.save(tmp_path / "a", format="peft")
    if family != "t5":
        untied = pair(family, tmp_path / "untied", tie_word_embeddings=False)[0]
        TokenEmbeddings(tokens=[5]).attach(untied).save(tmp_path / "a", format="peft")
        with pytest.raises(CheckpointError, match="moves a tied output layer"):
            load_delta(tmp_path / "a").attach(ours)


# -- what PEFT writes, we read -----------------------------------------------------------------------------------


def linear(config: str, **settings):
    return lambda peft, family: getattr(peft, config)(target_modules=LINEARS[family], **settings, **({"fan_in_fan_out": family == "gpt2"} if config in ("LoraConfig", "AdaLoraConfig", "VeraConfig") else {}))


def by_task(config: str, **settings):
    return lambda peft, family: getattr(peft, config)(task_type=TASKS[family], num_virtual_tokens=4, **settings)


THEIRS = {  # -> (PEFT's configuration, the method that we read it as)
    "lora": (linear("LoraConfig", r=3, lora_alpha=5), "lora"),
    "rslora": (linear("LoraConfig", r=3, lora_alpha=5, use_rslora=True), "lora"),
    "dora": (lambda peft, family: peft.LoraConfig(r=3, lora_alpha=5, use_dora=True, target_modules=[name for name in LINEARS[family] if name != "c_attn"], fan_in_fan_out=family == "gpt2"), "dora"),
    "pissa": (linear("LoraConfig", r=3, lora_alpha=5, init_lora_weights="pissa"), "pissa"),
    "adalora": (linear("AdaLoraConfig", init_r=3, target_r=2, lora_alpha=5, total_step=10), "adalora"),
    "vera": (linear("VeraConfig", r=6), "vera"),
    "loha": (linear("LoHaConfig", r=2, alpha=3), "loha"),
    "lokr": (linear("LoKrConfig", r=1, alpha=3), "lokr"),
    "lokr of full rank": (linear("LoKrConfig", r=3, alpha=5, decompose_both=True), "lokr"),
    "oft": (linear("OFTConfig", r=0, oft_block_size=4, use_cayley_neumann=False), "oft"),
    "oft by blocks": (lambda peft, family: peft.OFTConfig(r=2, oft_block_size=0, target_modules=LINEARS[family][:3], use_cayley_neumann=False), "oft"),
    "ia3": (lambda peft, family: peft.IA3Config(), "ia3"),  # its own choice of modules, with GPT-2's q and the input of BERT's o_proj
    "ia3 on some": (lambda peft, family: peft.IA3Config(target_modules={"bert": ["query", "value"], "gpt2": ["c_attn"], "t5": ["q", "k"]}[family], feedforward_modules=[]), "ia3"),
    "ln-tuning": (lambda peft, family: peft.LNTuningConfig(target_modules=NORMS[family]), "ln-tuning"),
    "prompt-tuning": (by_task("PromptTuningConfig"), "prompt-tuning"),
    "p-tuning": (by_task("PromptEncoderConfig", encoder_hidden_size=8), "prompt-tuning"),
    "p-tuning by lstm": (by_task("PromptEncoderConfig", encoder_hidden_size=8, encoder_reparameterization_type="LSTM"), "prompt-tuning"),
    "prefix": (by_task("PrefixTuningConfig"), "p-tuning-v2"),
    "prefix by mlp": (by_task("PrefixTuningConfig", prefix_projection=True), "p-tuning-v2"),
}


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("case", THEIRS)
@pytest.mark.filterwarnings("ignore::UserWarning")
def test_we_read_what_peft_writes(case, family, tmp_path):
    peft = pytest.importorskip("peft")
    make, method = THEIRS[case]
    ours, original = pair(family, tmp_path / "model")
    if family == "gpt2" and method in NO_CONV1D:
        with pytest.raises(TypeError):
            peft.get_peft_model(original, make(peft, family))
        return
    before = original(**batch(family)).logits
    torch.manual_seed(1)
    twin = peft.get_peft_model(original, make(peft, family)).eval()
    noise((p for p in twin.parameters() if p.requires_grad), size=SIZE[family])
    assert not torch.allclose(before, twin(**batch(family)).logits[:, -before.size(1) :], atol=1e-3)
    twin.save_pretrained(tmp_path / "adapter")
    delta = load_delta(tmp_path / "adapter").attach(ours)
    assert delta.name == method and delta.audit().ok
    compare(family, ours, twin)


def test_every_step_of_a_generation_sees_the_prefix_at_its_positions(tmp_path):
    """Greedy words behind a prefix are PEFT's."""
    peft = pytest.importorskip("peft")
    for family in ("gpt2", "t5"):
        ours, original = pair(family, tmp_path / family)
        twin = peft.get_peft_model(original, THEIRS["prefix"][0](peft, family)).eval()
        noise(p for p in twin.parameters() if p.requires_grad)
        twin.save_pretrained(tmp_path / "adapter")
        load_delta(tmp_path / "adapter").attach(ours)
        ids = batch(family)["input_ids"][:1]
        theirs = ids
        words = torch.zeros(1, 1, dtype=torch.long)
        for _ in range(6):
            if family == "gpt2":
                theirs = torch.cat((theirs, twin(input_ids=theirs).logits[:, -1:].argmax(-1)), dim=1)
            else:
                words = torch.cat((words, twin(input_ids=ids, decoder_input_ids=words).logits[:, -1:].argmax(-1)), dim=1)
        assert ours.generate(ids, max_new_tokens=6, eos_token_id=[]).tolist() == (theirs if family == "gpt2" else words).tolist()


def test_ranks_that_peft_has_taken_away_are_silent(tmp_path):
    peft = pytest.importorskip("peft")
    ours, original = pair("bert", tmp_path / "model")
    twin = peft.get_peft_model(original, peft.AdaLoraConfig(init_r=4, target_r=1, total_step=4, tfinal=1, lora_alpha=5, target_modules=["query", "value"]))
    noise(p for p in twin.parameters() if p.requires_grad)
    for step in range(4):
        twin(**batch("bert")).logits.square().mean().backward()
        twin.base_model.update_and_allocate(step)
    twin.eval().save_pretrained(tmp_path / "adapter")
    assert json.loads((tmp_path / "adapter" / "adapter_config.json").read_text())["rank_pattern"]
    delta = load_delta(tmp_path / "adapter").attach(ours)
    assert sum(delta.ranks().values()) == 4
    compare("bert", ours, peft.PeftModel.from_pretrained(pair("bert", tmp_path / "again")[1], tmp_path / "adapter").eval())


def test_a_bare_model_without_its_head(tmp_path):
    peft, transformers = pytest.importorskip("peft"), pytest.importorskip("transformers")
    from minidelta.hub import load_model

    torch.manual_seed(0)
    original = transformers.BertModel(transformers.BertConfig(vocab_size=60, hidden_size=16, num_hidden_layers=2, num_attention_heads=2, intermediate_size=32, max_position_embeddings=32)).eval()
    original.save_pretrained(tmp_path / "model")
    ours, inputs = load_model(tmp_path / "model", device="cpu").eval(), batch("bert")
    delta = LoRA(rank=2).attach(ours)
    noise(delta.parameters())
    delta.save(tmp_path / "adapter", format="peft")
    twin = peft.PeftModel.from_pretrained(original, tmp_path / "adapter").eval()
    equal(ours.hidden(**inputs), twin(**inputs).last_hidden_state, inputs["attention_mask"])
    expected = ours.hidden(**inputs)
    delta.detach()
    load_delta(tmp_path / "adapter").attach(ours)
    torch.testing.assert_close(ours.hidden(**inputs), expected)


# -- what cannot be exchanged ------------------------------------------------------------------------------------


@pytest.mark.parametrize("shape", SHAPES)
def test_a_prefix_without_positions_cannot_be_written(shape, tmp_path):
    for method in (PrefixTuning, PTuningV2):
        with method().attach(tiny(shape)) as delta, pytest.raises(DeltaError, match="positions=True"):
            delta.save(tmp_path / "a", format="peft")
    assert not (tmp_path / "a").exists()


def test_what_cannot_be_written(tmp_path):
    for method in ("bitfit", "houlsby", "mam", "said", "diff-pruning"):
        with METHODS[method]().attach(tiny("decoder")) as delta, pytest.raises(DeltaError, match="no method that does what"):
            delta.save(tmp_path / "a", format="peft")
    lora = LoRA(rank=2).attach(tiny("decoder"))
    with pytest.raises(DeltaError, match="format is 'petf'.*Did you mean peft"):
        lora.save(tmp_path / "a", format="petf")
    with pytest.raises(DeltaError, match="no place for a task head"):
        lora.save(tmp_path / "a", head=torch.nn.Linear(2, 2), format="peft")
    with pytest.raises(CheckpointError, match="fused q, k and v"):
        DoRA(rank=2).attach(tiny("decoder")).save(tmp_path / "a", format="peft")
    with pytest.raises(DeltaError, match="stands in all self-attentions of a stack"):
        PTuningV2(positions=True, targets="layers.1.attn.kv").attach(tiny("decoder"))
    with pytest.raises(CheckpointError, match=r"self-attention of every layer of the decoder and nowhere else"):
        PTuningV2(positions=True, targets="attn.kv").attach(tiny("encoder-decoder")).save(tmp_path / "a", format="peft")
    assert not (tmp_path / "a").exists()


REFUSED = [  # what is changed in a folder of this method, and what is said
    ("lora", {"peft_type": "BOFT"}, "of the type BOFT"), ("lora", {"peft_type": None}, "of the type None"), ("lora", {"rank_pattern": {"q": 3}}, "sets rank_pattern"),
    ("lora", {"init_lora_weights": "olora"}, "init_lora_weights='olora'"), ("lora", {"init_lora_weights": "pissa_niter_4"}, "cannot be told from the folder"),
    ("lora", {"modules_to_save": ["classifier"]}, "sets modules_to_save"),
    ("lokr", {"decompose_factor": 2}, "sets decompose_factor"), ("oft", {"use_cayley_neumann": True}, "only nearly a rotation"), ("oft", {"coft": True}, "sets coft"),
    ("vera", {"vera_dropout": 0.1}, "sets vera_dropout"), ("prompt-tuning", {"task_type": None}, "its task_type is None"),
]  # fmt: skip


@pytest.mark.parametrize(("method", "change", "message"), REFUSED)
def test_what_cannot_be_read(method, change, message, tmp_path):
    METHODS[method]().attach(tiny("encoder")).save(tmp_path, format="peft")
    config = tmp_path / "adapter_config.json"
    config.write_text(json.dumps(json.loads(config.read_text()) | change))
    with pytest.raises(MinideltaError, match=message) as told:
        load_delta(tmp_path)
    assert "\n" not in str(told.value) and str(tmp_path) in str(told.value)


def test_tensors_that_have_no_place_here(tmp_path):
    def change(method, **tensors):
        METHODS[method]().attach(tiny("encoder")).save(tmp_path, format="peft")
        file = tmp_path / "adapter_model.safetensors"
        save_file(load_file(file) | tensors, file)

    wrong = {
        "lora": ("base_model.model.bert.encoder.layer.0.output.dense.bias", torch.zeros(16), "holds base_model.model.bert.encoder.layer.0.output.dense.bias"),
        "ia3": ("base_model.model.bert.encoder.layer.0.intermediate.dense.ia3_l", torch.ones(32, 1), "scales what .*intermediate.dense gives"),
        "ln-tuning": ("base_model.model.cls.predictions.transform.LayerNorm.ln_tuning_layers.weight", torch.ones(16), "adapts 'cls.predictions.transform.LayerNorm'"),
        "prompt-tuning": ("base_model.classifier.weight", torch.zeros(2, 16), "holds base_model.classifier.weight beside"),
    }
    for method, (name, tensor, message) in wrong.items():
        change(method, **{name: tensor})
        with pytest.raises(CheckpointError, match=message):
            load_delta(tmp_path)
    VeRA(rank=2).attach(tiny("encoder")).save(tmp_path, format="peft")
    file = tmp_path / "adapter_model.safetensors"
    save_file({name: value for name, value in load_file(file).items() if "vera_A" not in name}, file)
    with pytest.raises(CheckpointError, match="without its random matrices"):
        load_delta(tmp_path)
    LoRA(rank=2).attach(tiny("encoder")).save(tmp_path, format="peft")
    save_file({name: value for name, value in load_file(file).items() if "0.attention.self.query.lora_B" not in name}, file)
    with pytest.raises(CheckpointError, match="lacks something that a LORA of PEFT has.*lora_B"):
        load_delta(tmp_path)
    (tmp_path / "adapter_config.json").write_text("{")
    with pytest.raises(CheckpointError, match="readable PEFT adapter"):
        load_delta(tmp_path)
