"""Deltas as vectors that can be added, and GaLore, the optimizer that is no delta."""

import functools

import pytest
import torch

from minidelta.delta import BitFit, GaLore, HoulsbyAdapter, LoRA, TaskArithmetic, load_delta, task_vector
from minidelta.errors import DeltaError
from minidelta.train import fit
from tests.delta.oracle import noise
from tests.delta.tiny import inputs, tiny


def learnt(delta, seed=2):
    delta.attach(tiny("decoder"))
    noise(delta.parameters(), seed)
    return delta


def test_a_sum_is_taken_between_updates():
    """Two LoRAs of rank 1 with opposite factors: the mean of the updates is not the update of the mean factors."""
    one, other = learnt(LoRA(rank=1)), learnt(LoRA(rank=1), seed=3)
    mean = TaskArithmetic([one, other], weights=[0.5, 0.5]).attach(tiny("decoder"))
    for path, part in mean.parts_by_path().items():
        expected = 0.5 * (one.parts_by_path()[path].update() + other.parts_by_path()[path].update())
        torch.testing.assert_close(part.weight.double(), expected, atol=1e-6, rtol=1e-5)


def test_adding_is_hanging_both_and_negating_takes_away(tmp_path):
    lora, bias = learnt(LoRA()), learnt(BitFit())
    model = tiny("decoder")
    TaskArithmetic([lora, bias]).attach(model).save(tmp_path)
    together = tiny("decoder")
    for delta in (lora, bias):
        delta.detach().attach(together)
    expected = together(**inputs("decoder"))
    torch.testing.assert_close(model(**inputs("decoder")), expected, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(load_delta(tmp_path).attach(tiny("decoder")).model(**inputs("decoder")), expected, atol=1e-5, rtol=1e-5)
    undone = TaskArithmetic([lora], weights=[-1.0]).attach(together)
    bias.detach()
    torch.testing.assert_close(together(**inputs("decoder")), tiny("decoder")(**inputs("decoder")), atol=1e-5, rtol=1e-5)
    assert undone.audit().ok


def test_what_cannot_be_added():
    with pytest.raises(DeltaError, match="not attached"):
        task_vector(LoRA())
    with pytest.raises(DeltaError, match="is merged"):
        task_vector(learnt(LoRA()).merge())
    with pytest.raises(DeltaError, match="cannot be merged"):
        TaskArithmetic([learnt(HoulsbyAdapter())])
    with pytest.raises(DeltaError, match="1 deltas have 2 weights"):
        TaskArithmetic([learnt(LoRA())], weights=[1.0, 2.0])
    with pytest.raises(DeltaError, match="layers.0.attn_out is neither"):
        TaskArithmetic(targets=["attn_out"]).attach(tiny("decoder"))


def test_galore_with_all_directions_is_adamw_in_another_frame():
    """A gradient of rank one is seen whole through one direction: the update is a multiple of scale times that direction."""
    w = torch.nn.Parameter(torch.zeros(3, 4))
    left, right = torch.tensor([3.0, 0.0, 4.0]), torch.tensor([1.0, -1.0, 1.0, -1.0])
    optimizer = GaLore([w], lr=1.0, rank=1, scale=0.5)
    (w * torch.outer(left, right)).sum().backward()
    optimizer.step()
    # Adam's first step is the sign of P^T G = +-5 [1 -1 1 -1], and P = left / 5
    torch.testing.assert_close(w.detach(), -0.5 * torch.outer(left / 5, right), atol=1e-5, rtol=1e-5)


def test_galore_trains_every_weight_with_small_moments():
    model = tiny("decoder")
    ids = torch.randint(1, 50, (4, 8), generator=torch.Generator().manual_seed(0))
    loss = lambda _: torch.nn.functional.cross_entropy(model(ids[:, :-1]).flatten(0, 1), ids[:, 1:].flatten())  # noqa: E731
    before = model.layers[0].attn.q_proj.weight.clone()
    history = fit(loss, lambda n: None, model.parameters(), steps=30, lr=2e-2, optimizer=functools.partial(GaLore, rank=2, period=10))
    assert history.losses[-1] < history.losses[0] and not torch.equal(before, model.layers[0].attn.q_proj.weight)
    w = torch.nn.Parameter(torch.randn(8, 6))
    optimizer = GaLore([w], rank=2)
    w.square().sum().backward()
    optimizer.step()
    assert optimizer.state[w]["mean"].shape == (8, 2)  # the shorter side is projected
    with pytest.raises(DeltaError, match="rank is 0"):
        GaLore([w], rank=0)
