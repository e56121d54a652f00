"""LoRA by hand on 2x3 numbers, and against PEFT: the same outputs and the same gradients."""

import math

import pytest
import torch
from torch import nn

from minidelta.delta import LoRA, load_delta
from minidelta.delta.lora import LowRank
from minidelta.delta.targets import find_sites
from minidelta.errors import DeltaError
from minidelta.train import fit
from tests.delta.oracle import pair
from tests.delta.tiny import inputs, tiny


def test_equation_by_hand():
    linear = nn.Linear(3, 2, bias=False)
    part = LowRank(linear, rank=1, scaling=2.0, dropout=0.0)
    with torch.no_grad():
        part.lora_A.copy_(torch.tensor([[1.0, 2.0, -1.0]]))  # A [1,3]
        part.lora_B.copy_(torch.tensor([[3.0], [-1.0]]))  # B [2,1]
    x, out = torch.tensor([[1.0, 1.0, 1.0]]), torch.tensor([[10.0, 20.0]])
    # A x = 1 + 2 - 1 = 2; B A x = [6, -2]; h = out + 2 [6, -2]
    assert part(x, out).tolist() == [[22.0, 16.0]]
    assert LoRA().weight_update(part).tolist() == [[6.0, 12.0, -6.0], [-2.0, -4.0, 2.0]]


def test_scaling_is_alpha_over_rank_and_starts_at_zero():
    delta = LoRA(rank=4, alpha=6.0).attach(tiny("decoder"))
    for part in delta.parts.values():
        assert part.scaling == 1.5 and part.lora_A.shape == (4, 16) and part.lora_B.shape == (16, 4)
        assert not part.lora_B.any() and part.lora_A.std().item() == pytest.approx(16**-0.5, rel=0.4)
    assert delta.paths == [f"layers.{i}.attn.{p}_proj" for i in range(2) for p in "qv"]


def test_no_tensor_of_the_full_size_while_training():
    """d_in = d_out = 40 and 6 tokens: nothing that autograd keeps or makes may hold 1,600 numbers."""
    linear = nn.Linear(40, 40).requires_grad_(False)
    part, sizes = LowRank(linear, rank=2, scaling=1.0, dropout=0.0), []

    class Watch(torch.utils._python_dispatch.TorchDispatchMode):
        def __torch_dispatch__(self, function, types, args=(), kwargs=None):
            result = function(*args, **(kwargs or {}))
            if "aten.t." not in str(function):
                sizes.extend(t.numel() for t in ([result] if isinstance(result, torch.Tensor) else []))
            return result

    x = torch.randn(6, 40)
    out = linear(x)
    with Watch():
        part(x, out).sum().backward()
    assert sizes and max(sizes) == 6 * 40


def test_targets_by_suffix_pattern_preset_and_path():
    model = tiny("encoder-decoder")
    assert len(find_sites(model, "q_proj")) == 6  # encoder, decoder and cross attention of 2 layers each
    assert find_sites(model, "cross.v_proj") == [f"decoder.layers.{i}.cross.v_proj" for i in range(2)]
    assert find_sites(model, r"encoder\.layers\.1\..*_proj") == [f"encoder.layers.1.{p}" for p in ("attn.q_proj", "attn.k_proj", "attn.v_proj", "attn.o_proj", "ffn.up_proj", "ffn.down_proj")]
    assert len(find_sites(model, "linear")) == 2 * 6 + 2 * 10
    assert find_sites(model, ["encoder.layers.0.attn.q_proj", "encoder.layers.0.attn.q_proj"]) == ["encoder.layers.0.attn.q_proj"]
    with pytest.raises(DeltaError, match="'proj'.*Known: (.|\n)*cross: q_proj"):
        find_sites(model, "proj")  # suffixes are whole names
    with pytest.raises(DeltaError, match=r"No site .* '\(\('"):
        find_sites(model, "((")
    with pytest.raises(DeltaError, match="No targets"):
        find_sites(model, [])
    with pytest.raises(DeltaError, match="attn_out is not one"):
        LoRA(targets="attn_out").attach(model)
    assert not hasattr(model, "deltas") and all(p.requires_grad for p in model.parameters())  # a failed attach leaves nothing


@pytest.mark.parametrize(("settings", "message"), [({"rank": 0}, "rank is 0"), ({"rank": 2.0}, "rank is 2.0"), ({"dropout": 1.0}, "dropout is 1.0")])
def test_settings_that_cannot_work(settings, message):
    with pytest.raises(DeltaError, match=message):
        LoRA(**settings)


def test_dropout_only_while_training():
    model = tiny("encoder")
    LoRA(dropout=0.5).attach(model)
    with torch.no_grad():
        for p in model.deltas[0].parameters():
            p.add_(0.3)
    for module in model.modules():  # the delta's dropout alone
        module.training = isinstance(module, LowRank)
    batch = inputs("encoder")
    assert not torch.equal(model(**batch), model(**batch))
    model.eval()
    assert torch.equal(model(**batch), model(**batch))


def test_files_that_are_no_delta(tmp_path):
    with pytest.raises(DeltaError, match="does not hold a readable delta"):
        load_delta(tmp_path)
    with LoRA().attach(tiny("encoder")) as delta:
        delta.save(tmp_path)
    text = (tmp_path / "delta.json").read_text()
    (tmp_path / "delta.json").write_text(text.replace('"lora"', '"lora2"'))
    with pytest.raises(DeltaError, match="Did you mean lora"):
        load_delta(tmp_path)
    (tmp_path / "delta.json").write_text(text.replace('"rank"', '"rnak"'))
    with pytest.raises(DeltaError, match="rnak"):
        load_delta(tmp_path)
    (tmp_path / "delta.json").write_text(text.replace('"rank": 8', '"rank": 4'))
    with pytest.raises(DeltaError, match=r"8 tensors differ(.|\n)*\[8, 16\] in the file, \[4, 16\] here"):
        load_delta(tmp_path, check_backbone=False).attach(tiny("encoder"))


# -- the oracle ----------------------------------------------------------------------------------------------

THEIRS = {  # PEFT's target names, and theirs -> ours
    "bert": (["query", "value"], {"bert.encoder.layer.": "layers.", "attention.self.query": "attn.q_proj", "attention.self.value": "attn.v_proj"}),
    "t5": (
        ["q", "v"],
        {".block.": ".layers.", "decoder.layers": "decoder.layers", "layer.0.SelfAttention.q": "attn.q_proj", "layer.0.SelfAttention.v": "attn.v_proj", "layer.1.EncDecAttention.q": "cross.q_proj", "layer.1.EncDecAttention.v": "cross.v_proj"},
    ),
    "gpt2": (["mlp.c_fc"], {"transformer.h.": "layers.", "mlp.c_fc": "ffn.up_proj"}),  # its attention is fused, so the feed-forward is compared
}  # fmt: skip
OURS = {"bert": ("q_proj", "v_proj"), "t5": ("q_proj", "v_proj"), "gpt2": ("up_proj",)}


@pytest.mark.parametrize("family", THEIRS)
def test_equals_peft_in_outputs_and_gradients(family, tmp_path):
    peft = pytest.importorskip("peft")
    model, original = pair(family, tmp_path)
    delta = LoRA(rank=3, alpha=5.0, targets=OURS[family]).attach(model)
    twin = peft.get_peft_model(original, peft.LoraConfig(r=3, lora_alpha=5, target_modules=THEIRS[family][0], fan_in_fan_out=family == "gpt2")).eval()

    pairs = {}
    for name, p in twin.named_parameters():
        if "lora_" in name:
            ours, matrix = name.removeprefix("base_model.model.").split(".lora_")
            for old, new in THEIRS[family][1].items():
                ours = ours.replace(old, new)
            pairs[name] = (getattr(delta.parts_by_path()[ours], f"lora_{matrix[0]}"), p)
    assert len(pairs) == 2 * len(delta.paths)
    generator = torch.Generator().manual_seed(1)
    for ours, p in pairs.values():
        with torch.no_grad():
            p.copy_(torch.randn(p.shape, generator=generator) * 0.3)
            ours.copy_(p)

    batch = {"input_ids": torch.randint(2, 60, (3, 7), generator=generator), "attention_mask": torch.ones(3, 7, dtype=torch.long)}
    batch["attention_mask"][1, 4:] = 0
    if family == "t5":
        batch["decoder_input_ids"] = torch.randint(2, 60, (3, 5), generator=generator)
    logits, expected = model(**batch), twin(**batch).logits
    real = batch["attention_mask"].bool() if family != "t5" else torch.ones(3, 5, dtype=torch.bool)
    torch.testing.assert_close(logits[real], expected[real], atol=1e-5, rtol=1e-5)
    weights = torch.randn(logits[real].shape, generator=generator)
    (logits[real] * weights).sum().backward()
    (expected[real] * weights).sum().backward()
    for name, (ours, p) in pairs.items():
        torch.testing.assert_close(ours.grad, p.grad, atol=1e-4, rtol=1e-4, msg=lambda m, name=name: f"{name}: {m}")

    merged = model(**batch)
    delta.merge()
    twin.merge_adapter()
    torch.testing.assert_close(model(**batch)[real], merged[real], atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(model(**batch)[real], twin(**batch).logits[real], atol=1e-5, rtol=1e-5)


def test_a_half_precision_backbone_trains_at_the_default_rate():
    """Adam's second moment underflows in float16: the delta stays in float32."""
    model = tiny("decoder").to(torch.float16)
    delta = LoRA().attach(model)
    ids = torch.randint(1, 50, (4, 8), generator=torch.Generator().manual_seed(0))
    loss = lambda _: torch.nn.functional.cross_entropy(model(ids[:, :-1]).float().flatten(0, 1), ids[:, 1:].flatten())  # noqa: E731
    history = fit(loss, lambda n: None, delta.groups(), steps=60, lr=delta.learning_rate)
    assert history.losses[-1] < history.losses[0]


@pytest.mark.parametrize("alpha", ["16", math.nan, 0, -1.0])
def test_an_alpha_that_cannot_be(alpha):
    with pytest.raises(DeltaError, match="alpha is"):
        LoRA(alpha=alpha)
