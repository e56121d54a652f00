"""Mixtures of adapters, networks beside the backbone, and combinations: by hand, and what they promise of the backbone's graph."""

import pytest
import torch
from torch import nn

from minidelta.delta import LST, MAM, AdapterDrop, AdapterFusion, HoulsbyAdapter, LoRA, ParallelAdapter, PfeifferAdapter, PrefixTuning, PTuningV2, ScaledParallelAdapter, SideTuning, UniPELT
from minidelta.delta.adapter import Bottleneck
from minidelta.delta.adapter_fusion import Fusion
from minidelta.delta.ladder import Climb, Exit, Rung
from minidelta.delta.unipelt import Gated
from minidelta.errors import DeltaError
from tests.delta.oracle import noise
from tests.delta.tiny import SHAPES, inputs, tiny


class Look(nn.Module):
    """A part that notes whether what passes carries a graph."""

    def __init__(self, path, seen):
        super().__init__()
        self.path, self.seen = path, seen

    def forward(self, x, out):
        self.seen[self.path] = any(t.requires_grad for t in (out if isinstance(out, tuple) else (out,)))
        return out


def graph(model: nn.Module, batch: dict) -> dict[str, bool]:
    """Path of a site -> whether a gradient would travel through it."""
    seen: dict[str, bool] = {}
    for path, site in model.sites().items():
        site.parts["look"] = Look(path, seen)
    model(**batch)
    for site in model.sites().values():
        del site.parts["look"]
    return seen


# -- AdapterDrop, AdapterFusion ------------------------------------------------------------------------------


def test_below_the_lowest_adapter_there_is_no_graph():
    model = tiny("decoder")
    AdapterDrop(dropped=1).attach(model)
    seen = graph(model, inputs("decoder"))
    assert not any(carries for path, carries in seen.items() if path.startswith("layers.0.")) and seen["layers.1.block_out"]
    with pytest.raises(DeltaError, match="2 layers dropped no adapter is left in a model of 2"):
        AdapterDrop(dropped=2).attach(tiny("decoder"))
    with pytest.raises(DeltaError, match="dropped is -1"):
        AdapterDrop(dropped=-1)
    assert AdapterDrop().attach(tiny("encoder-decoder")).paths == [f"{stack}.layers.1.{site}" for stack in ("encoder", "decoder") for site in ("attn_out", "ffn_out")]


def test_a_fusion_by_hand():
    """Two adapters of bottleneck 1 on D = 1 that add 1 and 3; Q h K z decides between them."""
    part = Fusion(1, 2, 1, "relu", 1.0)
    part.up_b.copy_(torch.tensor([[1.0], [3.0]]))  # z = [1, 3] whatever comes
    with torch.no_grad():
        part.query.fill_(1.0)
        part.key.fill_(1.0)
        part.value.fill_(2.0)
    h = torch.tensor([[[0.0], [1.0]]])
    shares = torch.tensor([1.0, 3.0]).softmax(-1)
    expected = [[0.0 + 2 * 2.0], [1.0 + 2 * (shares @ torch.tensor([1.0, 3.0])).item()]]  # at h = 0 both count alike
    torch.testing.assert_close(part(None, h)[0], torch.tensor(expected))


def test_a_fusion_of_one_adapter_twice_is_that_adapter(tmp_path):
    model = tiny("decoder")
    adapter = PfeifferAdapter(4).attach(model)
    noise(adapter.parameters())
    expected = model(**inputs("decoder"))
    adapter.save(tmp_path)
    adapter.detach()
    AdapterFusion([adapter, tmp_path]).attach(model)
    torch.testing.assert_close(model(**inputs("decoder")), expected, atol=1e-6, rtol=1e-5)


@pytest.mark.parametrize(("adapters", "message"), [
    (lambda: [PfeifferAdapter()], "never attached"), (lambda: [LoRA(), LoRA()], "met a LoRA"), (lambda: [ParallelAdapter().attach(tiny("decoder")).detach()], "not beside it"),
    (lambda: [PfeifferAdapter(4).attach(tiny("decoder")).detach(), PfeifferAdapter(8).attach(tiny("decoder")).detach()], "2 adapters of 2 kinds"),
    (lambda: [HoulsbyAdapter().attach(tiny("decoder")).detach()], "1 adapters of 1 kinds"), (lambda: ["nowhere", "nowhere"], "does not hold a readable delta"),
])  # fmt: skip
def test_adapters_that_cannot_be_mixed(adapters, message):
    with pytest.raises(DeltaError, match=message):
        AdapterFusion(adapters())


def test_a_fusion_for_another_model():
    adapters = [PfeifferAdapter(4).attach(tiny("decoder")).detach() for _ in range(2)]
    with pytest.raises(DeltaError, match="does not fit this model at encoder.layers.0.ffn_out"):
        AdapterFusion(adapters).attach(tiny("encoder-decoder"))


# -- beside the backbone -------------------------------------------------------------------------------------


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("method", [LST, SideTuning])
def test_the_backbone_runs_without_a_graph(method, shape):
    """No activation of the backbone carries a gradient; for comparison an adapter, where most of them do."""
    model = tiny(shape).train()
    delta = method().attach(model)
    noise(delta.parameters())
    seen = graph(model, inputs(shape))
    assert seen and not any(carries for path, carries in seen.items() if not path.endswith("final")) and seen[list(seen)[-1]]
    model(**inputs(shape)).square().sum().backward()
    assert all(p.grad is not None and p.grad.any() for p in delta.parameters())
    delta.detach()
    HoulsbyAdapter().attach(model)
    assert sum(graph(model, inputs(shape)).values()) > 10


def test_nothing_of_the_backbone_is_kept_for_the_backward_pass():
    """What autograd saves at a ladder of width 2 in layers of F = 32: nothing that wide."""
    for method, least in ((LST, 0), (HoulsbyAdapter, 1)):
        model, widths = tiny("decoder"), []
        method().attach(model)
        hidden = lambda: model.hidden(**inputs("decoder"))  # noqa: E731
        with torch.autograd.graph.saved_tensors_hooks(lambda t: widths.append(t.shape[-1] if t.dim() > 2 else 0) or t, lambda t: t):
            hidden()
        assert (max(widths) == 32) == bool(least)


def test_a_ladder_by_hand():
    """Two rungs of width 1 on D = 1 with g = identity: s = mu D h + (1 - mu) s."""
    climb = Climb()
    rungs, exit = [Rung(1, 1, climb, first) for first in (True, False)], Exit(1, 1, climb)
    with torch.no_grad():
        for rung in rungs:
            nn.init.zeros_(rung.outer.weight)
            nn.init.zeros_(rung.outer.bias)
            rung.down_proj.weight.fill_(2.0)
            rung.down_proj.bias.fill_(0.0)
            rung.gate.fill_(0.1 * torch.tensor(3.0).log())  # mu = sigmoid(log 3) = 3/4
        rungs[0].entry.weight.fill_(1.0)
        rungs[0].entry.bias.fill_(0.0)
        exit.up_proj.weight.fill_(10.0)
    x, h_1, h_2 = (torch.full((1, 1, 1), value) for value in (4.0, 1.0, 2.0))
    assert torch.equal(rungs[0](x, h_1), h_1) and climb.s.item() == pytest.approx(0.75 * 2 + 0.25 * 4)  # 2.5
    rungs[1](h_1, h_2)
    assert climb.s.item() == pytest.approx(0.75 * 4 + 0.25 * 2.5)  # 3.625
    assert exit(None, h_2).item() == pytest.approx(2 + 36.25) and climb.s is None


def test_a_rung_reads_detached_whatever_trains_below():
    h = torch.ones(1, 1, 4, requires_grad=True)
    rung = Rung(4, 2, climb := Climb(), first=True)
    assert rung(h, h) is h
    climb.s.sum().backward()
    assert h.grad is None and rung.down_proj.weight.grad is not None


def test_side_tuning_blends():
    model = tiny("decoder")
    before = model.hidden(**inputs("decoder"))
    delta = SideTuning().attach(model)
    blend = delta.parts["final"]
    torch.testing.assert_close(model.hidden(**inputs("decoder")), torch.tensor(3.0).sigmoid() * before)
    with torch.no_grad():
        blend.outer.bias.fill_(2.0)
        blend.a.fill_(0.0)  # alpha = 1/2
    torch.testing.assert_close(model.hidden(**inputs("decoder")), 0.5 * before + 1.0)


@pytest.mark.parametrize(("make", "message"), [
    (lambda: LST(reduction=0), "reduction is 0"), (lambda: LST(targets="block_out").attach(tiny("decoder")), "do not reach it"), (lambda: LST(targets=["attn_out", "final"]).attach(tiny("decoder")), "layers.0.attn_out is inside of one"),
    (lambda: SideTuning(hidden_dim=0), "hidden_dim is 0"), (lambda: SideTuning(targets="final").attach(tiny("decoder")), "the targets are final"),
    (lambda: MAM(scaling=0), "scaling is 0"), (lambda: MAM(targets="q_proj").attach(tiny("decoder")), "q_proj is neither"), (lambda: UniPELT(rank=0), "rank is 0"), (lambda: UniPELT(targets="act").attach(tiny("decoder")), "ffn.act is none of these"),
])  # fmt: skip
def test_settings_that_cannot_work(make, message):
    with pytest.raises(DeltaError, match=message):
        make()


# -- combinations --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("shape", SHAPES)
def test_mam_is_a_prefix_and_a_scaled_parallel_adapter(shape):
    model = tiny(shape)
    mam = MAM().attach(model)
    noise(mam.parameters())
    expected = model(**inputs(shape))
    values = {name: value for name, value in mam.state_dict().items()}
    mam.detach()
    for delta in (PTuningV2(prefix_length=5), ScaledParallelAdapter(16)):
        delta.attach(model)
        delta.load_state_dict({name: values[name] for name in delta.state_dict()})
    assert torch.equal(model(**inputs(shape)), expected)


def test_a_gate_by_hand():
    part = Gated(Bottleneck(2, 1, "relu", 1.0, parallel=False), 2)
    with torch.no_grad():
        for p in part.parameters():
            p.zero_()
        part.part.up_proj.bias.copy_(torch.tensor([4.0, 8.0]))  # the part's change
        part.gate.bias.fill_(torch.tensor(3.0).log())  # open to 3/4
    torch.testing.assert_close(part(torch.zeros(1, 2), torch.ones(1, 2)), torch.tensor([[4.0, 7.0]]))


def test_unipelt_with_closed_gates_is_the_backbone_with_a_prefix_of_zeros():
    model = tiny("encoder")
    delta = UniPELT().attach(model)
    noise(delta.parameters())
    with torch.no_grad():
        for part in delta.parts.values():
            (part.gate if isinstance(part.gate, nn.Parameter) else part.gate.bias).fill_(-1e4)
    closed = model(**inputs("encoder"))
    delta.detach()
    PrefixTuning(prefix_length=5).attach(model)
    with torch.no_grad():
        for p in model.deltas[0].parameters():
            p.zero_()
    torch.testing.assert_close(model(**inputs("encoder")), closed, atol=1e-6, rtol=1e-5)
