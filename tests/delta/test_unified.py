"""The unified view: its presets are the methods they name, its impossible points explain themselves, and prefixes are gated adapters."""

import pytest
import torch

from minidelta.delta import MAM, HoulsbyAdapter, LoRA, ParallelAdapter, PTuningV2, ScaledParallelAdapter
from minidelta.delta.unified import PRESETS, Change, Design, gated_heads
from minidelta.errors import DeltaError
from tests.delta.oracle import noise
from tests.delta.tiny import SHAPES, inputs, tiny

TWINS = {"prefix": PTuningV2, "adapter": HoulsbyAdapter, "lora": LoRA, "parallel-adapter": ParallelAdapter, "scaled-parallel-adapter": ScaledParallelAdapter, "mam": MAM}
NAMES = {"lora_A": "down_proj.weight", "lora_B": "up_proj.weight"}


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("preset", PRESETS)
def test_a_preset_is_the_method_it_names(preset, shape):
    model = tiny(shape)
    method = TWINS[preset]().attach(model)
    noise(method.parameters())
    expected = model(**inputs(shape))
    values = {f"{path}.{NAMES.get(name, name)}": value for path, part in method.parts_by_path().items() for name, value in part.state_dict().items()}
    method.detach()
    design = Design(preset).attach(model)
    assert design.paths == method.paths and design.num_parameters() == method.num_parameters()
    with torch.no_grad():
        for path, part in design.parts_by_path().items():
            for name, p in part.named_parameters():
                p.copy_(values[f"{path}.{name}"])
    torch.testing.assert_close(model(**inputs(shape)), expected, atol=1e-6, rtol=1e-5)


@pytest.mark.parametrize("shape", SHAPES)
def test_prefix_attention_is_a_gated_adapter(shape):
    """In every attention of a model, with its masks left out: concatenation and gate give the same."""
    model = tiny(shape)
    delta = PTuningV2(prefix_length=4).attach(model)
    noise(delta.parameters())
    for path, part in delta.parts_by_path().items():
        attention = model.get_submodule(path.removesuffix(".kv"))
        x = torch.randn(2, 5, 16, generator=torch.Generator().manual_seed(1))
        q, k, v, _, _ = attention.prepare(x, None, False, None, None)  # k and v with the prefix in front
        whole = (q @ k.transpose(2, 3) * attention.scale).softmax(-1) @ v
        gated = gated_heads(q, k[:, :, 4:], v[:, :, 4:], k[:, :, :4], v[:, :, :4], attention.scale)
        torch.testing.assert_close(gated, whole, atol=1e-6, rtol=1e-5)
        torch.testing.assert_close(attention.heads(part.prefix()[0][None]), k[:1, :, :4])


def test_the_gate_by_hand():
    """One key and one learned key with equal scores: lambda is one half."""
    one, two = torch.ones(1, 1), torch.full((1, 1), 2.0)
    assert gated_heads(one, one, two, one, 4 * two, scale=1.0).item() == pytest.approx(5.0)  # (2 + 8) / 2


@pytest.mark.parametrize(("change", "message"), [
    (("mpl", "parallel", "ffn_out", "add"), "form is 'mpl'.*Did you mean mlp"), (("mlp", "parallel", "ffn", "add"), "modifies is 'ffn'"),
    (("softmax", "parallel", "ffn_out", "gated"), "ffn_out has no queries"), (("mlp", "parallel", "heads", "add"), "Choose the form 'softmax'"),
    (("softmax", "sequential", "heads", "gated"), "parallel by nature"), (("softmax", "parallel", "heads", "add"), "belong together"), (("mlp", "parallel", "ffn_out", "gated"), "belong together"),
    (("linear", "sequential", "q_proj", "add"), "Choose insertion 'parallel'"), (("mlp", "parallel", "ffn_out", "add", 8, 2.0), "has no s"), (("mlp", "parallel", "ffn_out", "add", 0), "size is 0"),
])  # fmt: skip
def test_impossible_points_explain_themselves(change, message):
    with pytest.raises(DeltaError, match=message):
        Change(*change)


def test_designs_that_cannot_be():
    with pytest.raises(DeltaError, match="no preset 'lorra'.*Did you mean lora"):
        Design("lorra")
    with pytest.raises(DeltaError, match="no two at the same place"):
        Design([PRESETS["lora"][0]] * 2)
    with pytest.raises(DeltaError, match="modify nothing"):
        Design([])
    with pytest.raises(DeltaError, match="No change of this design modifies k_proj"):
        Design("lora", targets="k_proj").attach(tiny("decoder"))
    with pytest.raises(DeltaError, match="'mlp' form at ffn_out is no change of one weight"):
        Design().attach(tiny("decoder")).merge()


@pytest.mark.parametrize("shape", SHAPES)
def test_a_linear_design_merges_like_lora(shape):
    model = tiny(shape)
    design = Design("lora").attach(model)
    noise(design.parameters())
    attached = model(**inputs(shape))
    design.merge()
    torch.testing.assert_close(model(**inputs(shape)), attached, atol=1e-5, rtol=0)


def test_a_new_point_of_the_space_trains_and_saves(tmp_path):
    from minidelta.delta import load_delta

    model = tiny("decoder")
    design = Design([Change("linear", "sequential", "attn_out", "scaled", size=3, scaling=2.0), Change("mlp", "parallel", "up_proj", "add", size=4)]).attach(model)
    noise(design.parameters())
    expected = model(**inputs("decoder"))
    design.save(tmp_path)
    assert torch.equal(load_delta(tmp_path).attach(tiny("decoder")).model(**inputs("decoder")), expected)
