"""The planner: known models have the sizes that are known of them, and every method can be planned without a number."""

import json
from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F
import transformers

from minidelta.costs import Ledger, measure, predict, rehearse
from minidelta.delta import METHODS, LoRA
from minidelta.delta.table import SMALL, stored
from minidelta.errors import ConfigError
from minidelta.hub import ALIASES, PUBLISHED, bert, gpt2, t5
from minidelta.model import Transformer, bert_config, gpt2_config, t5_config
from minidelta.plan import builder, in_bfloat16, plan, report

FAMILIES = {"encoder": bert, "decoder": gpt2, "encoder-decoder": t5}
PARAMETERS = {  # with all heads of the checkpoint; of RoBERTa also the pooler, which its class for masked words leaves out
    "bert-base-uncased": 110_106_428, "bert-large-uncased": 336_226_108, "roberta-base": 124_697_433 + 590_592, "roberta-large": 355_412_057 + 1_049_600,
    "gpt2": 124_439_808, "gpt2-medium": 354_823_168, "gpt2-large": 774_030_080, "gpt2-xl": 1_557_611_200, "175B": 174_604_259_328,
    "t5-small": 60_506_624, "t5-base": 222_903_552, "t5-large": 737_668_096, "t5-3b": 2_851_598_336, "t5-11b": 11_307_321_344,
    "flan-t5-small": 76_961_152, "flan-t5-base": 247_577_856,
}  # fmt: skip
SIZES = dict(vocab_size=200, n_heads=4, max_positions=64, dropout=0.0)


def test_every_published_shape_is_here():
    assert set(PUBLISHED) == set(PARAMETERS)


@pytest.mark.parametrize("name", PUBLISHED)
def test_published_models_have_as_many_parameters_as_in_transformers(name):
    c = PUBLISHED[name]
    with torch.device("meta"):
        if name.startswith("roberta"):
            theirs = transformers.RobertaForMaskedLM(transformers.RobertaConfig(
                vocab_size=c.vocab_size, hidden_size=c.d_model, num_hidden_layers=c.n_layers, num_attention_heads=c.n_heads,
                intermediate_size=c.d_ff, max_position_embeddings=c.max_positions, type_vocab_size=1,
            ))  # fmt: skip
        else:
            given = FAMILIES[c.shape].write_config(c)
            kind = getattr(transformers, given["architectures"][0])
            theirs = kind(kind.config_class.from_dict(given))
    pooler = (c.d_model + 1) * c.d_model * name.startswith("roberta")
    head = 0 if c.tied else theirs.lm_head.weight.numel()  # transformers ties that of every T5 it makes anew
    assert predict(c, 1, 8).total == PARAMETERS[name] == sum(p.numel() for p in theirs.parameters()) + pooler + head


def test_names_with_their_owner_on_the_hub():
    for name, short in {"google/flan-t5-small": "flan-t5-small", "google-bert/bert-base-uncased": "bert-base-uncased", "openai-community/gpt2": "gpt2", "google-t5/t5-small": "t5-small"}.items():
        assert plan(name, length=64)["config"] == plan(short, length=64)["config"]
    assert set(ALIASES.values()) == set(PUBLISHED) - {"175B"}
    with pytest.raises(ConfigError, match="the model has 512 positions"):
        plan("FacebookAI/roberta-base", length=514)


@pytest.mark.parametrize(("model", "rank", "trained"), [("roberta-base", 8, 0.3e6), ("175B", 1, 4.7e6), ("175B", 8, 37.7e6)])
def test_lora_trains_as_many_as_its_paper_says(model, rank, trained):
    """Hu et al. 2021, tables 2 and 4, without heads: q and v of every layer."""
    assert plan(model, ["lora"], rank=rank, classes=0)["methods"][1]["trainable"] == pytest.approx(trained, rel=0.02)


@pytest.mark.parametrize("method", METHODS)
def test_every_delta_can_be_rehearsed_without_numbers(method):
    """On the first shape that it works on; FISH's places are an even share here."""
    row = next(row for row in stored() if row["method"] == method)
    c = next(config for shape, config in SMALL.items() if row[shape] == "yes")
    models = []

    def build(model):
        models.append(model)
        assert model.token_embedding.weight.is_meta
        return builder(method)(model)

    found = rehearse(c, build, 2, 8)
    assert len(models) == 1 and 0 < found.trainable < found.total and found.flops > found.forward_flops > 0
    assert found.peak >= 0.9 * (found.weights + found.optimizer + max(found.activations, found.gradients))  # DID's transform was there before the step


@pytest.mark.parametrize("shape", [bert_config, gpt2_config, t5_config])
def test_the_formula_for_lora_and_its_rehearsal_give_one_plan(shape):
    c = shape(**SIZES, d_model=32, n_layers=3, d_ff=64)
    told, found = predict(c, 4, 20, "lora", rank=4), rehearse(c, LoRA(rank=4), 4, 20)
    assert replace(told, activations=0) == replace(found, activations=0) and (told.flops, told.forward_flops) == (found.flops, found.forward_flops)
    assert told.activations == pytest.approx(found.activations, rel=0.005) and told.peak == pytest.approx(found.peak, rel=0.1)


@pytest.mark.parametrize("shape", [bert_config, gpt2_config])
def test_bfloat16_halves_what_a_step_in_it_holds(shape):
    """Moments aside: torch keeps them in bfloat16 along with the weights, and the plan says that they stay float32."""
    c = shape(**SIZES, d_model=64, n_layers=3, d_ff=256)
    model, ids = Transformer(c, seed=0).bfloat16(), torch.randint(200, (4, 32))
    found = measure(lambda: F.cross_entropy(model(ids).flatten(0, 1), ids.flatten()), model, model.parameters(), count=True)
    told = in_bfloat16(predict(c, 4, 32))
    assert (told.weights, told.gradients, told.stored) == (found.weights, found.gradients, found.stored)
    assert told.activations == pytest.approx(found.activations, rel=0.1)
    assert told.peak - told.optimizer == pytest.approx(found.peak - found.optimizer, rel=0.1)


def test_a_plan_sets_full_tuning_beside_each_method_once():
    found = plan("bert-nano", ["bitfit", "full", "lora", "bitfit"], batch_size=4, length=32, tasks=50)
    full, bitfit, lora = found["methods"]
    assert [row["name"] for row in found["methods"]] == ["full", "bitfit", "lora"] and found["classes"] == 2
    assert full["step"] == full["memory"] == 1 and full["stored_all"] == 50 * full["stored"] == 50 * full["weights"]
    assert lora["stored_all"] == lora["weights"] - lora["stored"] + 50 * lora["stored"]
    for row in (bitfit, lora):
        assert row["step"] == row["flops"] / full["flops"] < 0.75 and row["memory"] == row["peak"] / full["peak"] < 0.9
        assert row["flops"] == row["forward_flops"] + row["backward_flops"]
    assert json.loads(json.dumps(found)) == found
    words = report(found)
    assert "bert-nano: encoder, 2 layers, 64 wide" in words and f"{lora['trainable']:,}" in words and "bitfit: a step taken on shapes alone" in words


def test_settings_reach_the_ledger():
    usual, asked = (plan("t5-nano", ["head"], batch_size=2, length=40, **more)["methods"][0] for more in ({}, dict(target_length=8, optimizer="sgd", dropout=0.0)))
    assert asked["optimizer"] == 0 < usual["optimizer"] and asked["activations"] < usual["activations"] / 2 and asked["flops"] < usual["flops"]
    four, eight = (plan("gpt-nano", ["lora", "dora"], length=16, rank=rank)["methods"][1:] for rank in (4, 8))
    assert all(2 * small["trainable"] >= large["trainable"] > small["trainable"] for small, large in zip(four, eight))


@pytest.mark.parametrize(
    ("asked", "told"),
    [
        (dict(methods=["lorra"]), "no method 'lorra' to plan with. Did you mean lora"),
        (dict(optimizer="adm"), "no optimizer 'adm' to plan with. Did you mean adam"),
        (dict(dtype="int8"), "Known: float32, bfloat16"),
        (dict(length=2000), "length is 2000, and the model has 1024 positions"),
        (dict(model="roberta-base", length=513), "the model has 512 positions"),
        (dict(methods=["bitfit"], rank=3), "none has a rank"),
        (dict(target_length=3), "belongs to an encoder-decoder"),
        (dict(model="t5-small", classes=3), "answers in words"),
    ],
    ids=str,
)
def test_a_plan_refuses(asked, told):
    with pytest.raises(ConfigError, match=told):
        plan(**dict(model="gpt2", methods=["lora"]) | asked)


def test_in_bfloat16_leaves_the_moments():
    assert in_bfloat16(Ledger(10, 10, 40, 40, 80, 20, 40, peak=160)) == Ledger(10, 10, 20, 20, 80, 10, 20)
