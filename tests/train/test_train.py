"""The one loop: exact resume, accumulation, early stopping, schedules, and errors that say what to do."""

import math

import pytest
import torch
from torch import nn

from minidelta.errors import CheckpointError, ConfigError
from minidelta.train import OPTIMIZERS, History, fit, learning_rate_factor


def regression(seed: int = 0):
    """A tiny network with dropout on a fixed line, its loss and its batches."""
    torch.manual_seed(seed)
    net = nn.Sequential(nn.Linear(3, 8), nn.Dropout(0.3), nn.Tanh(), nn.Linear(8, 1))
    data = torch.randn(64, 3, generator=torch.Generator().manual_seed(1))
    target = data @ torch.tensor([1.0, -2.0, 0.5]) + 0.3

    def batch_at(number):
        chosen = torch.randint(64, (8,), generator=torch.Generator().manual_seed(number))
        return data[chosen], target[chosen]

    return net, (lambda batch: (net(batch[0]).squeeze(-1) - batch[1]).square().mean()), batch_at


class Stop(Exception):
    pass


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_resume_ends_bit_equal_to_the_run_that_never_stopped(tmp_path, optimizer):
    settings = dict(steps=20, lr=0.01, optimizer=optimizer, momentum=0.9 * (optimizer == "sgd"), weight_decay=0.1, every=5, log_every=3, accumulate=2, schedule="cosine")
    net, loss, batch_at = regression()
    whole = fit(loss, batch_at, net.parameters(), **settings, checkpoint=tmp_path / "whole")

    stopped, loss, batch_at = regression()

    def stop(step):
        if step == 13:
            raise Stop

    with pytest.raises(Stop):
        fit(loss, batch_at, stopped.parameters(), **settings, checkpoint=tmp_path / "part", on_step=stop)
    resumed, loss, batch_at = regression(seed=7)  # other start values: they must not matter
    torch.rand(5)  # neither may the state of the generator
    again = fit(loss, batch_at, resumed.parameters(), **settings, checkpoint=tmp_path / "part")
    for a, b in zip(net.parameters(), resumed.parameters()):
        assert torch.equal(a, b)
    assert again.records == whole.records
    # a finished run returns at once with the same values and history
    finished, loss, _ = regression(seed=8)
    assert fit(loss, None, finished.parameters(), **settings, checkpoint=tmp_path / "part").records == whole.records
    assert all(torch.equal(a, b) for a, b in zip(net.parameters(), finished.parameters()))


def test_resume_refuses_another_run(tmp_path):
    net, loss, batch_at = regression()
    fit(loss, batch_at, net.parameters(), steps=2, lr=0.01, checkpoint=tmp_path)
    with pytest.raises(CheckpointError, match="other settings(.|\n)*seed: 0 there, 1 now"):
        fit(loss, batch_at, net.parameters(), steps=2, lr=0.01, checkpoint=tmp_path, seed=1)
    (tmp_path / "training.safetensors").write_bytes(b"junk")
    with pytest.raises(CheckpointError, match="Delete it"):
        fit(loss, batch_at, net.parameters(), steps=2, lr=0.01, checkpoint=tmp_path)


@pytest.mark.parametrize(("before", "after"), [(False, True), (True, False)])
def test_resume_refuses_to_compile_halfway(before, after, tmp_path, monkeypatch):
    monkeypatch.setattr(torch, "compile", lambda loss: loss)
    net, loss, batch_at = regression()
    fit(loss, batch_at, net.parameters(), steps=2, lr=0.01, checkpoint=tmp_path, compile=before)
    with pytest.raises(CheckpointError, match="other settings(.|\n)*compile: "):
        fit(loss, batch_at, net.parameters(), steps=2, lr=0.01, checkpoint=tmp_path, compile=after)


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_loss_falls(optimizer):
    net, loss, batch_at = regression()
    rates = {"adamw": 0.02, "adam": 0.02, "sgd": 0.1, "adagrad": 0.1, "adadelta": 3.0}
    losses = fit(loss, batch_at, net.parameters(), steps=300, lr=rates[optimizer], optimizer=optimizer).losses
    assert sum(losses[-10:]) < 0.5 * sum(losses[:10])


def test_accumulation_equals_one_large_batch():
    data = torch.randn(16, 3)
    results = []
    for accumulate in (1, 4):
        w = torch.ones(3, requires_grad=True)
        size = 16 // accumulate

        def batch_at(number, size=size, parts=accumulate):
            part = number % parts
            return data[part * size : (part + 1) * size]

        fit(lambda x, w=w: (x @ w).square().mean(), batch_at, [w], steps=5, lr=0.1, optimizer="sgd", accumulate=accumulate)
        results.append(w.detach())
    torch.testing.assert_close(*results, atol=1e-6, rtol=1e-6)


def test_a_step_of_sgd_by_hand_with_clipping():
    w = torch.tensor([0.0, 0.0], requires_grad=True)
    fit(lambda g: (w * g).sum(), lambda step: torch.tensor([3.0, 4.0]), [w], steps=1, lr=0.5, optimizer="sgd", clip=1.0, warmup=0, schedule="constant")
    torch.testing.assert_close(w.detach(), torch.tensor([-0.3, -0.4]), atol=1e-6, rtol=0)


def test_groups_keep_their_rates_and_frozen_tensors_stay():
    fast, slow, frozen = (torch.zeros(1, requires_grad=r) for r in (True, True, False))
    fit(lambda x: fast.sum() + slow.sum() + frozen.sum(), lambda step: None, [{"params": [fast], "lr": 1.0}, {"params": [slow, frozen]}], steps=1, lr=0.1, optimizer="sgd", clip=None, warmup=0, schedule="constant")
    assert fast.item() == pytest.approx(-1.0) and slow.item() == pytest.approx(-0.1)
    assert frozen.item() == 0.0 and frozen.grad is None


def test_decay_spares_vectors():
    matrix, vector = torch.ones(2, 2, requires_grad=True), torch.ones(2, requires_grad=True)
    fit(lambda x: 0 * (matrix.sum() + vector.sum()), lambda step: None, [matrix, vector], steps=1, lr=0.1, weight_decay=0.5, warmup=0, schedule="constant")
    assert matrix[0, 0].item() == pytest.approx(0.95) and vector[0].item() == 1.0


@pytest.mark.parametrize("resume", [False, True])
def test_early_stopping_restores_the_best_values(tmp_path, resume):
    def run(interrupt):
        w = torch.zeros(1, requires_grad=True)
        seen = []

        def validate():
            seen.append(w.item())
            return {"error": abs(w.item() + 3.0)}  # w walks -1, -2, -3, ...

        def stop(step):
            if interrupt and step == 4:
                raise Stop

        return w, fit(lambda x: w.sum(), lambda step: None, [w], steps=50, lr=1.0, optimizer="sgd", clip=None, warmup=0, schedule="constant", validate=validate, every=1, patience=2, maximize=False, checkpoint=tmp_path, on_step=stop)

    if resume:
        with pytest.raises(Stop):
            run(interrupt=True)
    w, history = run(interrupt=False)
    assert w.item() == -3.0 and history.best_step == 3 and history.stopped_early
    assert history.validations[-1] == (5, {"error": 2.0})
    w, history = run(interrupt=False)  # the stopped run is finished: nothing moves any more
    assert w.item() == -3.0 and history.steps[-1] == 5


def test_schedules():
    for schedule, last in (("linear", 0.01), ("cosine", 0.0), ("constant", 1.0)):
        rates = [learning_rate_factor(s, 110, 10 / 110, schedule) for s in range(110)]
        assert rates[0] == pytest.approx(0.1) and rates[9] == 1.0 and rates[10] == 1.0
        assert rates[-1] == pytest.approx(last, abs=1e-3) and all(a >= b for a, b in zip(rates[10:], rates[11:]))


def test_history_round_trip_and_caller_generator():
    net, loss, batch_at = regression()
    before = torch.get_rng_state()
    history = fit(loss, batch_at, net.parameters(), steps=7, lr=0.01, validate=lambda: 0.5, every=3)
    assert torch.equal(before, torch.get_rng_state())
    assert History.from_json(history.to_json()) == history
    assert [step for step, _ in history.validations] == [3, 6, 7]
    assert all(p.grad is None for p in net.parameters())


def test_the_mean_of_the_records_is_the_mean_of_the_losses():
    w = torch.zeros(1, requires_grad=True)
    history = fit(lambda x: x + 0 * w.sum(), float, [w], steps=6, lr=0.1, log_every=4, accumulate=2)
    assert history.steps == [4, 6] and history.losses == [3.5, 9.5]


@pytest.mark.parametrize(
    "change, message",
    [
        ({"optimizer": "adanw"}, "Did you mean adamw"),
        ({"schedule": "cosin"}, "Did you mean cosine"),
        ({"steps": 0}, "steps is 0"),
        ({"steps": 2.5}, "steps is 2.5"),
        ({"lr": -1.0}, "positive learning rate"),
        ({"lr": math.nan}, "positive learning rate"),
        ({"warmup": 10}, "share of the steps"),
        ({"clip": 0}, "None for no clipping"),
        ({"patience": 2}, "no validate function"),
        ({"accumulate": 0}, "accumulate is 0"),
        ({"lr": 1e30, "optimizer": "sgd", "clip": None, "steps": 20}, "Lower the learning rate"),
    ],
)
def test_errors_say_what_to_do(change, message):
    net, loss, batch_at = regression()
    with pytest.raises(ConfigError, match=message):
        fit(loss, batch_at, net.parameters(), **{"steps": 3, "lr": 0.1, **change})


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_weights_that_were_not_finite_are_told_from_a_rate_too_high(bad):
    net, loss, batch_at = regression()
    net[3].requires_grad_(False).weight[0, 0] = bad
    net.eval()
    with pytest.raises(ConfigError, match="very first batch, before any weight moved.* in the weights that were loaded"):
        fit(loss, batch_at, net.parameters(), steps=300, lr=0.1)


def test_nothing_to_train():
    net, loss, batch_at = regression()
    with pytest.raises(ConfigError, match="Nothing to train: 4 tensors"):
        fit(loss, batch_at, net.requires_grad_(False).parameters(), steps=1, lr=0.1)
    other = torch.zeros(1, requires_grad=True)
    with pytest.raises(ConfigError, match="does not depend"):
        fit(loss, batch_at, [other], steps=1, lr=0.1)


def test_a_rate_of_zero_is_zero():
    still, moving = (torch.ones(2, requires_grad=True) for _ in range(2))
    fit(lambda _: still.sum() + moving.sum(), lambda n: None, [{"params": [still], "lr": 0.0}, {"params": [moving]}], steps=2, lr=0.1, optimizer="sgd")
    assert torch.equal(still, torch.ones(2)) and not torch.equal(moving, torch.ones(2))


def test_a_validation_that_failed_is_never_the_best():
    figures = iter([math.nan, 0.5, 0.9, 0.8])
    net, loss, batch_at = regression()
    history = fit(loss, batch_at, net.parameters(), steps=4, lr=0.01, every=1, patience=3, validate=lambda: next(figures))
    assert history.best_step == 3


def test_figures_may_be_tensors_but_not_nothing(tmp_path):
    net, loss, batch_at = regression()
    history = fit(loss, batch_at, net.parameters(), steps=2, lr=0.01, every=1, validate=lambda: {"loss": torch.tensor(1.5)}, checkpoint=tmp_path)
    assert History.from_json(history.to_json()).validations == [(1, {"loss": 1.5}), (2, {"loss": 1.5})]
    with pytest.raises(ConfigError, match="empty dictionary"):
        fit(loss, batch_at, net.parameters(), steps=2, lr=0.01, validate=dict)


def test_a_checkpoint_that_cannot_be_written_is_told_before_the_first_step(tmp_path):
    (tmp_path / "file").write_text("")
    net, loss, batch_at = regression()
    with pytest.raises(CheckpointError, match="cannot hold the training state"):
        fit(lambda batch: pytest.fail("a step was made"), batch_at, net.parameters(), steps=2, lr=0.01, checkpoint=tmp_path / "file" / "deeper")


@pytest.mark.parametrize("wrong", [{"steps": "10"}, {"lr": None}, {"lr": "0.1"}])
def test_settings_of_another_kind(wrong):
    net, loss, batch_at = regression()
    with pytest.raises(ConfigError):
        fit(loss, batch_at, net.parameters(), **{"steps": 2, "lr": 0.1} | wrong)
