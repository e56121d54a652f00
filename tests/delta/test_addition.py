"""Addition methods: each equation by hand on small numbers, and PEFT beside those that it has."""

import pytest
import torch

from minidelta.delta import IA3, Compacter, HoulsbyAdapter, LoRA, LowRankAdapter, ParallelAdapter, PfeifferAdapter, PrefixTuning, PromptTuning, PTuning, PTuningV2, ScaledParallelAdapter, SPoT
from minidelta.delta.adapter import Bottleneck
from minidelta.delta.compacter import Hypercomplex, Rule
from minidelta.delta.ia3 import ScaledKeysValues
from minidelta.delta.prefix import Prefix
from minidelta.errors import ConfigError, DeltaError
from minidelta.model import attention_maps
from tests.delta.oracle import batch, equal, noise, pair
from tests.delta.tiny import SHAPES, inputs, tiny


# -- adapters ------------------------------------------------------------------------------------------------


def test_an_adapter_by_hand():
    x, out = torch.tensor([[1.0, 2.0]]), torch.tensor([[3.0, -1.0]])
    for parallel in (False, True):
        part = Bottleneck(2, 1, "relu", scaling=2.0, parallel=parallel)
        with torch.no_grad():
            part.down_proj.weight.copy_(torch.tensor([[2.0, 1.0]]))  # W_down [1,2]
            part.down_proj.bias.fill_(-1.0)
            part.up_proj.weight.copy_(torch.tensor([[1.0], [-1.0]]))  # W_up [2,1]
        # after the sublayer: relu(6 - 1 - 1) = 4, out + 2 [4, -4]; beside it: relu(2 + 2 - 1) = 3, out + 2 [3, -3]
        assert part(x, out).tolist() == ([[9.0, -7.0]] if parallel else [[11.0, -9.0]])


def test_where_adapters_hang_and_what_they_read():
    model = tiny("encoder-decoder")
    assert HoulsbyAdapter().attach(model).paths == [f"{stack}.layers.{i}.{site}" for stack in ("encoder", "decoder") for i in range(2) for site in ("attn_out", "ffn_out")]
    assert PfeifferAdapter(targets="cross_out").attach(model).paths == ["decoder.layers.0.cross_out", "decoder.layers.1.cross_out"]
    assert not any(part.parallel for part in PfeifferAdapter().attach(model).parts.values())
    assert all(part.parallel and part.scaling == 4.0 for part in ScaledParallelAdapter().attach(model).parts.values())
    assert all(part.parallel and part.scaling == 1.0 for part in ParallelAdapter().attach(model).parts.values())
    with pytest.raises(DeltaError, match="end of a sublayer, and layers.0.attn.q_proj is not"):
        HoulsbyAdapter(targets="q_proj").attach(tiny("decoder"))


@pytest.mark.parametrize(("make", "message"), [
    (lambda: HoulsbyAdapter(bottleneck_dim=0), "bottleneck_dim is 0"), (lambda: HoulsbyAdapter(activation="gelo"), "activation is 'gelo'.*Did you mean gelu"),
    (lambda: HoulsbyAdapter(scaling=0), "scaling is 0"), (lambda: LowRankAdapter(rank=0), "rank is 0"), (lambda: Compacter(products=5), "bottleneck_dim is 24, which 5"),
    (lambda: Compacter(products=3).attach(tiny("decoder")), "16 wide, which 3"),
    (lambda: PromptTuning(prompt_length=0), "prompt_length is 0"), (lambda: PromptTuning(init="wrods"), "init is 'wrods'"), (lambda: PromptTuning(init=[99]).attach(tiny("decoder")), "token id 99.*0 to 49"),
    (lambda: PromptTuning(targets="attn_out").attach(tiny("decoder")), "before the embeddings, and layers.0.attn_out"),
    (lambda: SPoT(), "none was given"), (lambda: SPoT(source="nowhere"), "nowhere holds no prompt"), (lambda: SPoT(source=torch.zeros(3, 8)).attach(tiny("decoder")), "vectors of 8 numbers.*16 wide"),
    (lambda: PTuning(encoder="gru"), "encoder is 'gru'"), (lambda: PTuningV2(prefix_length=-1), "prefix_length is -1"), (lambda: PrefixTuning(hidden_dim=0), "hidden_dim is 0"),
    (lambda: PrefixTuning(targets="q_proj").attach(tiny("decoder")), "lengthens keys and values, and layers.0.attn.q_proj"), (lambda: PrefixTuning().plain(), "no prefixes yet"),
    (lambda: IA3(targets="ffn_out").attach(tiny("decoder")), "IA3 scales keys.*layers.0.ffn_out"),
])  # fmt: skip
def test_settings_that_cannot_work(make, message):
    with pytest.raises(DeltaError, match=message):
        make()


def test_a_hypercomplex_layer_is_a_sum_of_kronecker_products():
    torch.manual_seed(0)
    rule = Rule(2)
    layer = Hypercomplex(6, 4, rule)
    weight = sum(torch.kron(rule.A[i], layer.s[i][:, None] @ layer.t[i][None, :]) for i in range(2))  # A_i (x) (s_i t_i^T): [6,4]
    x = torch.randn(3, 5, 6)
    assert weight.shape == (6, 4)
    torch.testing.assert_close(layer(x), x @ weight, atol=1e-6, rtol=1e-5)


def test_compacters_share_one_rule():
    delta = Compacter().attach(tiny("decoder"))
    rules = {id(layer.rule.A) for part in delta.parts.values() for layer in (part.down_proj, part.up_proj)}
    assert rules == {id(delta.rule.A)} and len(list(delta.parameters())) == 1 + 4 * 6


# -- IA3 -----------------------------------------------------------------------------------------------------


def test_ia3_by_hand():
    part = ScaledKeysValues(2)
    with torch.no_grad():
        part.scale_k.copy_(torch.tensor([2.0, 0.0]))
        part.scale_v.copy_(torch.tensor([1.0, -1.0]))
    k, v = part(None, (torch.tensor([[[3.0, 5.0]]]), torch.tensor([[[4.0, 6.0]]])))
    assert k.tolist() == [[[6.0, 0.0]]] and v.tolist() == [[[4.0, -6.0]]]


def test_ia3_does_not_fold_past_a_delta_that_it_scales():
    model = tiny("decoder")
    lora, delta = LoRA().attach(model), IA3().attach(model)
    noise([*lora.parameters(), *delta.parameters()])
    attached = model(**inputs("decoder"))
    with pytest.raises(DeltaError, match="'lora' hangs on layers.0.attn.v_proj"):
        delta.merge()
    lora.merge()
    delta.merge()
    torch.testing.assert_close(model(**inputs("decoder")), attached, atol=1e-5, rtol=0)


@pytest.mark.parametrize("family", ["bert", "t5"])  # GPT-2's keys and values are one layer there
def test_ia3_equals_peft(family, tmp_path):
    peft = pytest.importorskip("peft")
    ours, original = pair(family, tmp_path)
    down = {"bert": "output.dense", "t5": "wo"}[family]
    targets = {"bert": ["key", "value", r"layer.0.output.dense", r"layer.1.output.dense"], "t5": ["k", "v", "wo"]}[family]
    twin = peft.get_peft_model(original, peft.IA3Config(target_modules=targets, feedforward_modules=[t for t in targets if t.endswith(down)])).eval()
    delta = IA3().attach(ours)
    noise(delta.parameters())
    vectors = [p for part in delta.parts.values() for p in part.parameters()]
    their_vectors = {name: p for name, p in twin.named_parameters() if "ia3" in name}
    assert len(their_vectors) == len(vectors)
    names = {"bert": {".kv": ("attention.self.key", "attention.self.value"), ".act": ("output.dense",)}, "t5": {".kv": ("k", "v"), ".act": ("wo",)}}[family]
    with torch.no_grad():
        for path, part in delta.parts_by_path().items():
            stack, rest = path.split("layers.")
            number, kind = rest.split(".", 1)
            block = f"bert.encoder.layer.{number}." if family == "bert" else f"{stack}block.{number}."
            middle = {"attn.kv": "layer.0.SelfAttention.", "cross.kv": "layer.1.EncDecAttention.", "ffn.act": f"layer.{2 if stack == 'decoder.' else 1}.DenseReluDense."}[kind] if family == "t5" else ""
            for name, p in zip(names["." + kind.split(".")[1]], part.parameters()):
                (match,) = [q for key, q in their_vectors.items() if key.startswith(f"base_model.model.{block}{middle}{name}.ia3")]
                match.copy_(p.view_as(match))
    inputs_ = batch(family)
    equal(ours(**inputs_), twin(**inputs_).logits, inputs_["attention_mask"] if family == "bert" else None)


# -- prompts -------------------------------------------------------------------------------------------------


def test_a_prompt_is_what_it_says_to_put_words_in_front():
    """A prompt of the embeddings of words 3 and 4 gives what the text with these words gives."""
    for shape in ("encoder", "decoder"):
        model, ids = tiny(shape), torch.tensor([[7, 8, 9]])
        expected = model(torch.tensor([[3, 4, 7, 8, 9]]))[:, 2:]
        PromptTuning(prompt_length=2, init=[3, 4]).attach(model)
        torch.testing.assert_close(model(ids), expected, atol=1e-6, rtol=1e-5)
    model, ids, answer = tiny("encoder-decoder"), torch.tensor([[7, 8, 9]]), torch.tensor([[0, 5]])
    expected = model(torch.tensor([[3, 4, 7, 8, 9]]), decoder_input_ids=answer)
    delta = PromptTuning(prompt_length=2, init=[3, 4]).attach(model)
    assert delta.paths == ["encoder.embed_out"]
    torch.testing.assert_close(model(ids, decoder_input_ids=answer), expected, atol=1e-6, rtol=1e-5)


def test_how_a_prompt_starts():
    model = tiny("decoder")
    table = model.token_embedding.weight.tolist()
    assert all(row in table for row in PromptTuning().attach(model).parts["embed_out"].prompt.tolist())
    assert PromptTuning(prompt_length=5, init=[3, 4]).attach(model).parts["embed_out"].prompt.tolist() == [table[i] for i in (3, 4, 3, 4, 3)]
    random = PromptTuning(prompt_length=50, init="random").attach(model).parts["embed_out"].prompt
    assert random.std().item() == pytest.approx(model.token_embedding.weight.std().item(), rel=0.2)


def test_spot_takes_a_delta_a_folder_or_a_tensor(tmp_path):
    model = tiny("decoder")
    source = PromptTuning(prompt_length=4).attach(model)
    noise(source.parameters())
    source.save(tmp_path)
    source.detach()
    prompt = source.parts["embed_out"].prompt
    for given in (source, tmp_path, str(tmp_path), prompt):
        with SPoT(source=given).attach(model) as delta:
            assert torch.equal(delta.parts["embed_out"].prompt, prompt)


def test_p_tuning_equals_pefts_prompt_encoder():
    peft = pytest.importorskip("peft")
    config = peft.PromptEncoderConfig(task_type="CAUSAL_LM", num_virtual_tokens=5, token_dim=16, encoder_hidden_size=8, encoder_reparameterization_type="LSTM", encoder_num_layers=1, encoder_dropout=0.0, num_transformer_submodules=1)
    twin = peft.PromptEncoder(config)
    part = PTuning(prompt_length=5).attach(tiny("decoder")).parts["embed_out"]
    with torch.no_grad():
        twin.embedding.weight.copy_(part.seed)
        twin.lstm_head.load_state_dict(part.lstm.state_dict())
        twin.mlp_head.load_state_dict(part.mlp.state_dict())
    torch.testing.assert_close(part.vectors(), twin(torch.arange(5)[None])[0], atol=1e-6, rtol=1e-5)


# -- prefixes ------------------------------------------------------------------------------------------------


def test_a_prefix_by_hand():
    """One head of width 1, P = 1: softmax over [q p_k, q k] of [p_v, v]."""
    part = Prefix(1, 1)
    with torch.no_grad():
        part.prefix_k.fill_(2.0)
        part.prefix_v.fill_(10.0)
    q, k, v = torch.tensor([[[1.0]]]), torch.tensor([[[1.0]]]), torch.tensor([[[0.0]]])
    k, v = part(None, (k, v))
    assert k.tolist() == [[[2.0], [1.0]]] and v.tolist() == [[[10.0], [0.0]]]
    attended = (q @ k.transpose(1, 2)).softmax(-1) @ v
    assert attended.item() == pytest.approx(7.3106, abs=1e-4)  # 10 e^2 / (e^2 + e)


@pytest.mark.parametrize("shape", SHAPES)
def test_every_query_sees_the_whole_prefix(shape):
    model = tiny(shape)
    PTuningV2(prefix_length=3).attach(model)
    for path, weights in attention_maps(model, **inputs(shape)).items():
        assert (weights[..., :3] > 0).all(), path
        torch.testing.assert_close(weights.sum(-1), torch.ones(weights.shape[:-1]))


@pytest.mark.parametrize("shape", SHAPES)
def test_a_plain_prefix_does_the_same_as_the_network_that_made_it(shape):
    model = tiny(shape)
    delta = PrefixTuning().attach(model)
    noise(delta.parameters())
    expected = model(**inputs(shape))
    bare = delta.detach().plain().attach(model)
    assert torch.equal(model(**inputs(shape)), expected)
    assert bare.num_parameters() < delta.num_parameters()


def test_a_prefix_equals_peft(tmp_path):
    peft = pytest.importorskip("peft")
    ours, original = pair("gpt2", tmp_path)
    twin = peft.get_peft_model(original, peft.PrefixTuningConfig(task_type="CAUSAL_LM", num_virtual_tokens=3)).eval()
    delta = PTuningV2(prefix_length=3).attach(ours)
    noise(delta.parameters())
    with torch.no_grad():  # PEFT keeps [P, layers x 2 x D]: k and v of layer 0, of layer 1, ...
        twin.prompt_encoder["default"].embedding.weight.copy_(torch.cat([p for part in delta.parts.values() for p in part.prefix()], dim=1))
    inputs_ = batch("gpt2")
    # PEFT moves the positions behind the prefix; ours count the text alone, as the prefix has no place in it.
    places = torch.arange(7).expand(3, -1) + 3
    equal(ours(**inputs_, position_ids=places), twin(**inputs_).logits, inputs_["attention_mask"])


@pytest.mark.parametrize("shape", ["encoder", "decoder"])
def test_a_prefix_with_positions_moves_the_text_and_gives_them_back(shape):
    model, batch = tiny(shape), inputs(shape)
    before = model(**batch)
    plain = PTuningV2(prefix_length=3).attach(model)
    behind = model(**batch, position_ids=torch.arange(3, 10).expand(3, -1))
    kept = {name: value.clone() for name, value in plain.state_dict().items()}
    plain.detach()
    moved, second = PTuningV2(prefix_length=3, positions=True).attach(model), PTuningV2(prefix_length=4, positions=True)
    moved.load_state_dict(kept)
    torch.testing.assert_close(model(**batch), behind)
    assert model.ahead == moved.prompt_length == 3 and second.attach(model).model.ahead == 7
    with pytest.raises(ConfigError, match=r"67 tokens long \(7 of them are a prompt\).*cut the text to 57"):
        model(torch.ones(1, 60, dtype=torch.long))
    moved.detach()
    second.detach()
    assert model.ahead == 0 and torch.equal(model(**batch), before)
