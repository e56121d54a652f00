"""The transformer computes what transformers' BERT, GPT-2 and T5 compute, and nothing leaks where it should not."""

import math

import pytest
import torch
from transformers.models.t5.modeling_t5 import T5Attention

from minidelta.errors import ConfigError
from minidelta.model import Cache, Transformer, TransformerConfig, attention_maps, bert_config, gpt2_config, t5_config
from minidelta.model.attention import visible_keys
from minidelta.model.layers import relative_buckets

SIZES = dict(vocab_size=61, d_model=32, n_layers=2, n_heads=4, d_ff=48)
CONFIGS = {"bert": bert_config(**SIZES), "gpt2": gpt2_config(**SIZES), "t5": t5_config(**SIZES), "t5-1.1": t5_config("1.1", **SIZES, d_head=6)}


def same(ours, theirs, mask=None):
    """Equal to 1e-5 wherever the mask has a real token."""
    difference = (ours - theirs).abs()
    if mask is not None:
        difference = difference * mask[..., None]
    assert difference.max() < 1e-5, f"largest difference {difference.max():.2e}"


def inputs(family: str, ids: torch.Tensor, mask: torch.Tensor | None = None) -> dict:
    """What `hidden` needs: T5 reads the same ids on both sides."""
    if family.startswith("t5"):
        return dict(input_ids=ids, attention_mask=mask, decoder_input_ids=ids, decoder_attention_mask=mask)
    return dict(input_ids=ids, attention_mask=mask)


# The same numbers as transformers


@pytest.mark.parametrize("settings", [{}, dict(num_attention_heads=1, num_hidden_layers=3), dict(hidden_act="gelu_new", type_vocab_size=3)], ids=str)
def test_bert_is_bert(twins, ragged, settings):
    ours, theirs = twins("bert", **settings)
    ids, mask = ragged()
    types = torch.arange(11).expand_as(ids) // 5 % 2
    with torch.no_grad():
        for given in [dict(attention_mask=mask, token_type_ids=types), dict(attention_mask=mask), dict()]:
            expected = theirs(ids, **given, output_hidden_states=True)
            hidden = ours.hidden(ids, **given)
            seen = given.get("attention_mask")
            same(hidden, expected.hidden_states[-1], seen)
            same(ours(ids, **given), expected.prediction_logits, seen)
            same(ours.next_sentence(ours.pool(hidden)), expected.seq_relationship_logits)


@pytest.mark.parametrize("settings", [{}, dict(n_head=1, n_layer=3), dict(n_embd=24, n_head=2, n_inner=None)], ids=str)
def test_gpt2_is_gpt2(twins, ragged, settings):
    ours, theirs = twins("gpt2", **settings)
    with torch.no_grad():
        for side in ("right", "left"):
            ids, mask = ragged(side=side)
            expected = theirs(ids, attention_mask=mask, output_hidden_states=True)
            same(ours.hidden(ids, mask), expected.hidden_states[-1], mask)
            same(ours(ids, mask), expected.logits, mask)
            positions = (mask.cumsum(1) - 1).clamp(min=0)
            same(ours(ids, mask, position_ids=positions), theirs(ids, attention_mask=mask, position_ids=positions).logits, mask)
        same(ours(ids), theirs(ids, attention_mask=torch.ones_like(ids)).logits)


@pytest.mark.parametrize("family", ["t5", "t5-1.1"])
@pytest.mark.parametrize("settings", [{}, dict(num_heads=1, num_decoder_layers=3), dict(relative_attention_num_buckets=32, relative_attention_max_distance=128, d_kv=16)], ids=str)
def test_t5_is_t5(twins, ragged, family, settings):
    ours, theirs = twins(family, **settings)
    answer, answer_mask = ragged(length=9, seed=1)
    with torch.no_grad():
        for side in ("right", "left"):
            ids, mask = ragged(side=side)
            expected = theirs(ids, attention_mask=mask, decoder_input_ids=answer, decoder_attention_mask=answer_mask)
            same(ours.hidden(ids, mask), expected.encoder_last_hidden_state, mask)
            same(ours(ids, mask, None, answer, answer_mask), expected.logits, answer_mask)
            same(ours(ids, mask, decoder_input_ids=answer[:1, :1].expand(3, 1)), theirs(ids, attention_mask=mask, decoder_input_ids=answer[:1, :1].expand(3, 1)).logits)
        same(ours(ids, decoder_input_ids=answer), theirs(ids, attention_mask=torch.ones_like(ids), decoder_input_ids=answer).logits)


@pytest.mark.parametrize("bidirectional", [True, False])
@pytest.mark.parametrize(("buckets", "far"), [(32, 128), (8, 12), (10, 40)])
def test_buckets_are_t5s(bidirectional, buckets, far):
    distance = torch.arange(-300, 301)
    assert torch.equal(relative_buckets(distance, bidirectional, buckets, far), T5Attention._relative_position_bucket(distance, bidirectional, buckets, far))


# Padding, order, memory


@pytest.mark.parametrize("q_len", [4, 2, 1])
def test_visible_keys(q_len):
    padding = torch.tensor([[0, 0, 1, 1], [1, 1, 1, 1]])
    seen = visible_keys(padding, True, q_len, 4, torch.device("cpu")).expand(2, 1, q_len, 4)[:, 0]
    assert seen.any(-1).all(), "a query sees nothing: its softmax would be NaN on some devices"
    for row in range(2):
        for query in range(4 - q_len, 4):
            for key in range(4):
                expected = key <= query and (bool(padding[row, key]) or key == query)
                assert seen[row, query - 4 + q_len, key] == expected or q_len == 1



def test_padding_changes_nothing(family, ragged):
    model = Transformer(CONFIGS[family], seed=0).eval()
    ids, mask = ragged()
    with torch.no_grad():
        batch = model(**inputs(family, ids, mask))
        for row, length in enumerate(mask.sum(1).tolist()):
            same(batch[row : row + 1, :length], model(**inputs(family, ids[row : row + 1, :length])))


def test_no_mask_is_a_mask_of_ones(family, ragged):
    model = Transformer(CONFIGS[family], seed=0).eval()
    ids, mask = ragged()
    with torch.no_grad():
        same(model(**inputs(family, ids)), model(**inputs(family, ids, torch.ones_like(mask))))


@pytest.mark.parametrize("padded", [False, True])
def test_the_future_does_not_leak(family, padded, ragged):
    model = Transformer(CONFIGS[family], seed=0).eval()
    ids, mask = ragged(side="left") if padded else (ragged()[0], None)
    changed = ids.clone()
    changed[:, 7] = ids[:, 7] % 59 + 2
    given, other = inputs(family, ids, mask), inputs(family, changed, mask)
    other["input_ids"] = ids if family.startswith("t5") else changed
    with torch.no_grad():
        moved = (model(**given)[0] - model(**other)[0]).abs().amax(-1) > 1e-6
    assert moved[7:].all()
    assert moved[:7].all() == (family == "bert")  # an encoder looks ahead
    assert moved[:7].any() == (family == "bert")


@pytest.mark.parametrize("family", ["gpt2", "t5", "t5-1.1"])
@pytest.mark.parametrize("pieces", [[11], [1] * 11, [4, 1, 6]])
def test_reading_in_pieces_is_reading_at_once(family, ragged, pieces):
    model = Transformer(CONFIGS[family], seed=0).eval()
    ids, mask = ragged(side="left")
    positions = (mask.cumsum(1) - 1).clamp(min=0)
    answer, _ = ragged(seed=1)
    cache, read, start = Cache(model.config), [], 0
    with torch.no_grad():
        source = model.encode(ids, mask) if family != "gpt2" else None
        for end in torch.tensor(pieces).cumsum(0).tolist():
            if family == "gpt2":
                read.append(model.hidden(ids[:, start:end], mask[:, :end], position_ids=positions[:, start:end], cache=cache))
            else:
                read.append(model.decode(answer[:, start:end], source, mask, cache=cache))
            start = end
        whole = model.hidden(ids, mask, position_ids=positions) if family == "gpt2" else model.decode(answer, source, mask)
    assert cache.length == 11
    same(torch.cat(read, 1), whole, mask if family == "gpt2" else None)


def test_logits_of_chosen_positions(family, ragged):
    model = Transformer(CONFIGS[family], seed=0).eval()
    ids, mask = ragged()
    with torch.no_grad():
        chosen = model.hidden(**inputs(family, ids, mask))[mask.bool()]  # [N,D]
        same(model.lm_logits(chosen), model(**inputs(family, ids, mask))[mask.bool()])


# Pictures of attention


def test_attention_maps(family, ragged):
    model = Transformer(CONFIGS[family], seed=0).eval()
    ids, mask = ragged()
    maps = attention_maps(model, **inputs(family, ids, mask))
    assert len(maps) == (6 if family.startswith("t5") else 2)
    for path, weights in maps.items():
        assert weights.shape == (3, 4, 11, 11)
        torch.testing.assert_close(weights.sum(-1), torch.ones(3, 4, 11))
        hidden = weights * (1 - mask[:, None, None, :]) * mask[:, None, :, None]
        assert not hidden.any(), f"{path} looks at padding"
        if family == "gpt2" or (path.startswith("decoder") and path.endswith("attn")):
            assert not weights.triu(1).any(), f"{path} looks ahead"


def test_attention_weights_are_those_that_forward_uses(family):
    model = Transformer(CONFIGS[family], seed=0).eval()
    attention = model.get_submodule("decoder.layers.1.attn" if family.startswith("t5") else "layers.1.attn")
    x = torch.randn(2, 5, 32)
    bias = torch.randn(2, 4, 5, 5)
    visible = (bias > 0) | torch.eye(5, dtype=torch.bool)
    with torch.no_grad():
        for given in [dict(), dict(causal=True), dict(mask=bias), dict(mask=visible), dict(source=torch.randn(2, 5, 32))]:
            value = attention.v_proj(given.get("source", x))
            mixed = attention.weights(x, **given) @ attention.heads(value)
            same(attention.o_proj(mixed.transpose(1, 2).flatten(2)), attention(x, **given))


# Training


def test_every_parameter_learns(family, ragged):
    model = Transformer(CONFIGS[family], seed=0)
    ids, mask = ragged()
    model(**inputs(family, ids, mask)).logsumexp(-1)[mask.bool()].sum().backward()
    still = [name for name, parameter in model.named_parameters() if parameter.grad is None or not parameter.grad.isfinite().all()]
    assert still == (["pooler.weight", "pooler.bias"] if family == "bert" else [])


def test_a_seed_reaches_the_weights(family):
    first, again, other = (Transformer(CONFIGS[family], seed=seed).state_dict() for seed in (0, 0, 1))
    assert all(torch.equal(first[key], again[key]) for key in first)
    drawn = [key for key in first if first[key].std() > 0]
    assert not any(torch.equal(first[key], other[key]) for key in drawn)
    torch.manual_seed(5)
    third = Transformer(CONFIGS[family]).state_dict()
    torch.manual_seed(5)
    assert all(torch.equal(third[key], value) for key, value in Transformer(CONFIGS[family]).state_dict().items())


def test_a_new_model_knows_nothing(family):
    """Its loss on random tokens is near log V, the loss of a uniform guess; a wrong scale of the weights would show."""
    sizes = dict(vocab_size=500, d_model=64, n_layers=4, n_heads=4, d_ff=128)
    config = {"bert": bert_config(**sizes), "gpt2": gpt2_config(**sizes), "t5": t5_config(**sizes), "t5-1.1": t5_config("1.1", **sizes)}[family]
    model = Transformer(config, seed=0).eval()
    ids = torch.randint(500, (8, 20), generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        logits = model(**inputs(family, ids))
    loss = torch.nn.functional.cross_entropy(logits.flatten(0, 1), ids.roll(1, dims=1).flatten())
    assert abs(loss - math.log(500)) < 0.7


def test_residual_writers_start_smaller_in_gpt2():
    state = Transformer(gpt2_config(vocab_size=100, d_model=64, n_layers=8, n_heads=4, d_ff=256), seed=0).state_dict()
    for name, std in [("attn.q_proj", 0.02), ("ffn.up_proj", 0.02), ("attn.o_proj", 0.02 / 4), ("ffn.down_proj", 0.02 / 4)]:
        assert state[f"layers.3.{name}.weight"].std() == pytest.approx(std, rel=0.05)


def test_dropout_follows_the_mode(family, ragged):
    model = Transformer(CONFIGS[family], seed=0)
    given = inputs(family, *ragged())
    assert not torch.equal(model(**given), model(**given))
    model.eval()
    assert torch.equal(model(**given), model(**given))


@pytest.mark.parametrize("how", ["bfloat16", "float16", "autocast"])
def test_short_numbers(family, ragged, how):
    model = Transformer(CONFIGS[family], seed=0).eval()
    ids, mask = ragged(side="left")
    with torch.no_grad():
        exact = model(**inputs(family, ids, mask))
        if how == "autocast":
            with torch.autocast("cpu", torch.bfloat16):
                rough = model(**inputs(family, ids, mask))
        else:
            rough = model.to(getattr(torch, how))(**inputs(family, ids, mask))
    real = mask.bool()
    assert rough.isfinite().all()
    torch.testing.assert_close(rough[real].float(), exact[real], atol=0.05 * float(exact.std()) + 0.02, rtol=0.05)


# Errors that say what to do


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (dict(shape="encodre"), "Did you mean encoder"),
        (dict(n_heads=5), "d_model 32 cannot be split over n_heads 5"),
        (dict(d_model=0), "d_model is 0"),
        (dict(vocab_size=61.0), "vocab_size is 61.0"),
        (dict(dropout=1.0), "dropout is 1.0"),
        (dict(activation="swish"), "activation is 'swish'"),
        (dict(next_sentence=True), "without a pooler"),
        (dict(positions="relative", relative_max_distance=3), "relative_max_distance 3"),
        (dict(shape="encoder-decoder", pooler=True), "pooler"),
    ],
)
def test_bad_configs(change, words):
    with pytest.raises(ConfigError, match=words):
        TransformerConfig(**dict(shape="decoder", **SIZES) | change)


def test_bad_inputs():
    ids = torch.ones(1, 9, dtype=torch.long)
    gpt = Transformer(gpt2_config(**SIZES | dict(max_positions=8)))
    t5 = Transformer(t5_config(**SIZES))
    bare = Transformer(gpt2_config(**SIZES, lm_head=None))
    with pytest.raises(ConfigError, match="9 tokens long, and the model has 8"):
        gpt(ids)
    with pytest.raises(ConfigError, match="token id 61 met, and the model knows 0 to 60"):
        gpt(ids[:, :3] + 60)
    with pytest.raises(ConfigError, match="token id -100 met"):
        gpt(ids[:, :3] - 101)
    with pytest.raises(ConfigError, match=r"token ids on meta met, and the model is on cpu; give ids.to\(model.device\)"):
        gpt(ids[:, :3].to("meta"))
    with pytest.raises(ConfigError, match=r"shape \(3,\) met"):
        gpt(ids[0, :3])
    for wrong in (ids[0, :3], ids[:, :0]):
        with pytest.raises(ConfigError, match="at least one"):
            gpt.generate(wrong)
    with pytest.raises(ConfigError, match="without a single token"):
        gpt(ids[:, :0])
    with pytest.raises(ConfigError, match="whole numbers"):
        gpt(ids[:, :3].float())
    with pytest.raises(ConfigError, match="one number per token"):
        gpt.generate(ids[:, :3], ids[:, :2])
    with pytest.raises(ConfigError, match="attention_mask covers 9 tokens, and there are 8"):
        t5.decode(ids, t5.encode(ids[:, :8]), ids)
    with pytest.raises(ConfigError, match="attention_mask covers 4 tokens, and there are 3"):
        gpt(ids[:, :3], ids[:, :4])
    with pytest.raises(ConfigError, match="pooler"):
        gpt.pool(gpt.hidden(ids[:, :3]))
    with pytest.raises(ConfigError, match="next-sentence"):
        gpt.next_sentence(torch.zeros(1, 32))
    with pytest.raises(ConfigError, match="decoder_input_ids"):
        t5(ids)
    with pytest.raises(ConfigError, match="no decoder"):
        gpt(ids[:, :3], decoder_input_ids=ids[:, :3])
    with pytest.raises(ConfigError, match="no encoder"):
        gpt.encode(ids[:, :3])
    with pytest.raises(ConfigError, match="language-model head"):
        bare(ids)
    assert bare.hidden(ids).shape == (1, 9, 32)
