"""The ledger of a training step: what `predict` says from the configuration is what `measure` finds in a real step.

Parameters, gradients, optimizer states and flops to the number, activations to half a percent, the peak to a tenth.
"""

from dataclasses import fields, replace

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from minidelta.costs import METHODS, MOMENTS, Ledger, bytes_per_task, measure, predict, rehearse, table
from minidelta.delta import LoRA, PTuning
from minidelta.delta.table import example, stored
from minidelta.errors import ConfigError
from minidelta.finetune import learner_for
from minidelta.finetune.learner import Head
from minidelta.finetune.training import parameter_groups
from minidelta.model import Transformer, bert_config, gpt2_config, t5_config
from minidelta.train import OPTIMIZERS
from tests.finetune import tiny

EXACT = [field.name for field in fields(Ledger) if field.compare and field.name != "activations"]
TOLERANCE = 0.005  # of the activations; 0.1 is what the kit promises, and would hide a forgotten term
V, R = 200, 3

SHAPES = {
    "bert": lambda **sizes: bert_config(**sizes, next_sentence=True),
    "gpt": gpt2_config,
    "t5": t5_config,
    "t5-1.1": lambda **sizes: t5_config("1.1", **sizes),
}
SIZES = {"32x2": dict(d_model=32, n_layers=2, d_ff=64), "64x2": dict(d_model=64, n_layers=2, d_ff=256), "96x6": dict(d_model=96, n_layers=6, d_ff=192), "256x2": dict(d_model=256, n_layers=2, d_ff=1024)}


def config(shape: str, size: str = "64x2", **changes):
    return SHAPES[shape](**dict(vocab_size=V, n_heads=4, max_positions=64) | SIZES[size] | changes)


def both(c, batch_size: int, length: int, method: str, optimizer: str = "adamw", classes: int = 0, padded: bool = False, target_length: int | None = None, **lora) -> tuple[Ledger, Ledger]:
    """(measured, predicted) for one step on random tokens."""
    torch.manual_seed(0)
    model, head = Transformer(c, seed=0).train(), Head(c.d_model, classes) if classes else None
    trained = list(model.parameters())
    if method == "head":
        model.requires_grad_(False).eval()
        if not classes and model.lm_head.weight is None:  # as `TextToText.open_head` does
            model.lm_head.weight = nn.Parameter(model.token_embedding.weight.detach().clone())
        trained = [] if classes else list(model.lm_head.requires_grad_(True).parameters())
    elif method == "lora":
        trained = list(LoRA(rank=R, **lora).attach(model).parameters())
    two_stacks = c.shape == "encoder-decoder"
    ids, mask = torch.randint(V, (batch_size, length)), torch.ones(batch_size, length, dtype=torch.long)
    mask[0, length // 2 :] = 0
    more = {"decoder_input_ids": torch.randint(V, (batch_size, target_length))} if two_stacks else {}

    def loss():
        hidden = model.hidden(ids, mask if padded else None, **more)
        if classes:
            return F.cross_entropy(head(model.pool(hidden) if c.pooler else hidden[range(batch_size), [length - 1] * batch_size]), ids[:, 0] % classes)
        return F.cross_entropy(model.lm_logits(hidden).flatten(0, 1), (more["decoder_input_ids"] if two_stacks else ids).flatten())

    measured = measure(loss, model, trained + (list(head.parameters()) if head else []), optimizer, count=True)
    return measured, predict(c, batch_size, length, method, optimizer, target_length=target_length, classes=classes, rank=R, padded=padded, **lora)


def assert_equal(measured: Ledger, predicted: Ledger, tolerance: float = TOLERANCE) -> None:
    assert {name: getattr(predicted, name) for name in EXACT} == {name: getattr(measured, name) for name in EXACT}
    assert predicted.activations == pytest.approx(measured.activations, rel=tolerance)
    if measured.flops:
        assert (predicted.flops, predicted.forward_flops) == (measured.flops, measured.forward_flops)
        assert predicted.peak == pytest.approx(measured.peak, rel=0.1)


# -- prediction against measurement --------------------------------------------------------------------------------


@pytest.mark.parametrize("dropout", [0.1, 0.0])
@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize(("size", "batch_size", "length"), [("64x2", 5, 48), ("96x6", 2, 17), ("256x2", 3, 24)])
def test_prediction_meets_measurement(size, batch_size, length, shape, method, dropout):
    """Scores of the vocabulary at all tokens; T5's decoder reads less than its encoder."""
    assert_equal(*both(config(shape, size, dropout=dropout), batch_size, length, method, target_length=length // 2))


@pytest.mark.parametrize("dropout", [0.1, 0.0])
@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("shape", ["bert", "gpt"])
def test_with_a_head_for_classes(shape, method, dropout):
    assert_equal(*both(config(shape, dropout=dropout), 4, 20, method, classes=3))


@pytest.mark.parametrize("dropout", [0.1, 0.0])
@pytest.mark.parametrize("method", ["full", "lora"])
@pytest.mark.parametrize("shape", SHAPES)
def test_with_padding(shape, method, dropout):
    assert_equal(*both(config(shape, dropout=dropout), 4, 40, method, padded=True, target_length=24))


@pytest.mark.parametrize("targets", [("o_proj",), ("up_proj",), ("k_proj", "down_proj"), ("q_proj", "k_proj", "v_proj", "o_proj", "up_proj", "down_proj")])
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("dropout", [0.1, 0.0])
def test_wherever_lora_hangs(shape, targets, dropout):
    assert_equal(*both(config(shape, dropout=dropout), 3, 20, "lora", targets=targets, target_length=12))


@pytest.mark.parametrize("optimizer", MOMENTS)
@pytest.mark.parametrize("method", METHODS)
def test_every_optimizer(method, optimizer):
    assert_equal(*both(config("bert"), 2, 8, method, optimizer, classes=2))


@pytest.mark.parametrize("changes", [dict(gated=True, activation="relu"), dict(tied=False), dict(bias=False), dict(d_head=24), dict(embedding_norm=True, final_norm=False, token_types=2)], ids=str)
@pytest.mark.parametrize("method", ["full", "lora"])
def test_any_other_shape_of_the_configuration(method, changes):
    assert_equal(*both(config("gpt", **changes), 3, 20, method))


@pytest.mark.parametrize(("family", "kind", "method"), [("bert", "classification", "full"), ("gpt", "classification", "full"), ("gpt", "classification", "lora"), ("bert", "pair", "head"), ("t5", "pair", "full"), ("t5", "pair", "lora"), ("t5", "pair", "head")])
def test_the_learners_of_the_kit(family, kind, method):
    """A batch of a real task, padded, with the loss that `train_task` trains on."""
    model, task = tiny.model(family, dropout=0.1), tiny.task(kind)
    learner = learner_for(model, tiny.tokenizer(family), task)
    delta = LoRA(rank=R).attach(model) if method == "lora" else None
    trained = [p for group in parameter_groups(learner, method, delta) for p in group["params"]]
    batch = learner.collate(task.train)
    learner.train()
    measured = measure(lambda: learner.loss(batch), model, trained)

    (b, t), classes = batch["inputs"]["input_ids"].shape, 0 if family == "t5" else len(task.labels)
    scored = {"bert": 0, "gpt": b * (t - 1), "t5": len(batch["targets"]) if family == "t5" else 0}[family]
    written = batch["inputs"]["decoder_input_ids"].size(1) if family == "t5" else None
    assert_equal(measured, predict(model.config, b, t, method, target_length=written, classes=classes, scored=scored, rank=R, padded="attention_mask" in batch["inputs"]))


# -- the rehearsal -------------------------------------------------------------------------------------------------

FAMILIES = {"bert": ("encoder", 0.1), "gpt": ("decoder", 0.0), "t5": ("encoder-decoder", 0.0)}


@pytest.mark.parametrize(("method", "shape"), [(row["method"], shape) for row in stored() for shape, (kind, _) in FAMILIES.items() if row[kind] == "yes"])
def test_a_rehearsal_meets_the_step_of_every_delta(method, shape):
    c = config(shape, "32x2", dropout=FAMILIES[shape][1])
    model = Transformer(c, seed=0).eval()
    delta = example(method, model, **({"encoder": "mlp"} if method == "p-tuning" else {}))  # its LSTM: next test
    told = rehearse(c, delta, 3, 20, target_length=12, padded=True)
    delta.attach(model)
    model.train()
    ids, mask = torch.randint(V, (3, 20)), torch.ones(3, 20, dtype=torch.long)
    words = torch.randint(V, (3, 12)) if c.shape == "encoder-decoder" else None

    def loss():
        hidden = model.hidden(ids, mask, decoder_input_ids=words)
        return F.cross_entropy(model.lm_logits(hidden).flatten(0, 1), (ids if words is None else words).flatten()) + delta.penalty()

    found = measure(loss, model, delta.parameters(), count=shape == "bert")
    assert_equal(found, told)
    assert told.trainable == delta.expected(model) and told.flops == (found.flops or told.flops) > 0


def test_what_the_kernel_of_an_lstm_keeps_is_not_told():
    """Copies of its weights, laid out as the CPU likes them; everything else agrees."""
    c, delta = config("gpt"), PTuning()
    told, model, ids = rehearse(c, delta, 3, 20), Transformer(c, seed=0).train(), torch.randint(V, (3, 20))
    delta.attach(model)
    found = measure(lambda: F.cross_entropy(model(ids).flatten(0, 1), ids.flatten()), model, delta.parameters())
    copies = sum(p.nbytes for p in delta.parts["embed_out"].lstm.parameters())
    assert told.activations + 0.9 * copies < found.activations < told.activations + 4 * copies
    assert_equal(replace(found, activations=told.activations), told)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("asked", [dict(), dict(padded=True, optimizer="sgd"), dict(scored=7)], ids=str)
def test_rehearsal_and_formulas_agree_on_lora(shape, asked):
    asked = asked if "scored" in asked or shape.startswith("t5") else asked | {"classes": 3}
    for dropout in (0.0, 0.1):
        c = config(shape, dropout=dropout)
        assert_equal(rehearse(c, LoRA(rank=R), 4, 20, **asked), predict(c, 4, 20, "lora", rank=R, **asked))


def test_a_rehearsal_leaves_the_delta_alone_and_refuses_what_cannot_be():
    delta, c = LoRA(), config("bert")
    rehearse(c, delta, 2, 8)
    assert delta.model is None and delta.attach(Transformer(c, seed=0)).audit().ok
    for asked, told in ((dict(length=65), "64 positions"), (dict(optimizer="adamx"), "Did you mean"), (dict(batch_size=0), "batch_size is 0"), (dict(classes=-1), "classes is -1")):
        with pytest.raises(ConfigError, match=told):
            rehearse(c, LoRA(), **dict(batch_size=2, length=8) | asked)


def test_flops_by_hand_and_what_a_frozen_backbone_saves_of_them():
    """W x: 2 B d_in d_out forward, as much for the gradient of W and for that of x.  A delta spares that of W alone, about a third, and in the lowest layer that of x."""
    layer, x = nn.Linear(3, 5, bias=False), torch.randn(2, 3)
    assert measure(lambda: layer(x).sum(), layer, layer.parameters(), count=True).flops == 2 * (2 * 2 * 3 * 5)
    model = Transformer(config("gpt", "256x2", dropout=0.0), seed=0)
    ids = torch.randint(V, (2, 32))
    full = measure(lambda: model(ids).logsumexp(-1).sum(), model, model.parameters(), count=True).flops
    delta = LoRA(rank=R).attach(model)
    lora = measure(lambda: model(ids).logsumexp(-1).sum(), model, delta.parameters(), count=True).flops
    assert 0.6 < lora / full < 0.7


# -- measurement against the things themselves ---------------------------------------------------------------------


def test_activations_by_hand():
    """relu(W x) keeps x [2,3] for W's gradient and its result [2,5]; a frozen W needs no x, and a view of W is no activation."""
    layer, x = nn.Linear(3, 5, bias=False), torch.randn(2, 3)
    assert measure(lambda: layer(x).relu().sum(), layer, layer.parameters(), "sgd").activations == 4 * (2 * 3 + 2 * 5)
    shift = nn.Parameter(torch.zeros(3))
    layer.requires_grad_(False)
    assert measure(lambda: layer(x + shift).relu().sum(), layer, [shift], "sgd").activations == 4 * 2 * 5


def test_the_peak_by_hand():
    """L = sum of (W x)^2.  At the end of the backward pass L, dL/dL, dL/dy [1,5] and dL/dW [5,3] are held at once; before it, only y, y^2 and L."""
    layer, x = nn.Linear(3, 5, bias=False), torch.randn(1, 3)
    found = measure(lambda: layer(x).square().sum(), layer, layer.parameters(), "sgd", count=True)
    assert found.peak == found.weights + 4 * (1 + 1 + 5 + 15)


def test_a_storage_is_counted_once():
    x, w = torch.randn(4, 6), nn.Parameter(torch.ones(6))
    assert measure(lambda: (x * w).sum() + (x[:, :3] * w[:3]).sum() + (x.T @ x @ w).sum(), nn.Module(), [w], "sgd").activations == 4 * (4 * 6 + 6 * 6)


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_gradients_and_optimizer_states_are_the_real_ones(optimizer):
    model = Transformer(config("gpt"), seed=0)
    ids = torch.randint(V, (2, 8))
    found = measure(lambda: model(ids).square().mean(), model, model.parameters(), optimizer)
    moves = OPTIMIZERS[optimizer]([{"params": list(model.parameters()), "lr": 0.1}], (0.9, 0.999), 0.0)
    model(ids).square().mean().backward()
    moves.step()
    assert found.total == found.trainable == sum(p.numel() for p in model.parameters())
    assert found.gradients == found.weights == sum(p.grad.nbytes for p in model.parameters())
    assert found.optimizer == sum(t.nbytes for state in moves.state_dict()["state"].values() for t in state.values() if torch.is_tensor(t))


def test_measuring_leaves_the_weights_alone():
    model = Transformer(config("bert"), seed=0).train()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    for optimizer in OPTIMIZERS:
        measure(lambda: model(torch.ones(2, 4, dtype=torch.long)).square().mean(), model, model.parameters(), optimizer)
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert all(p.grad is None for p in model.parameters())


def test_seconds_are_measured_on_request_and_not_compared():
    w = nn.Parameter(torch.ones(3))
    timed, untimed = (measure(lambda: w.square().sum(), nn.Module(), [w], repeats=repeats) for repeats in (3, 0))
    assert timed.seconds > 0 and untimed.seconds is None and timed == untimed


# -- what the ledger is for ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("shape", ["bert", "gpt"])
@pytest.mark.parametrize("dropout", [0.1, 0.0])
def test_a_frozen_backbone_saves(shape, dropout):
    """Claim C21: gradients and optimizer by far, activations in part, because norms and attention keep theirs."""
    full, lora, head = (both(config(shape, dropout=dropout), 4, 32, method, classes=2)[0] for method in ("full", "lora", "head"))
    assert lora.gradients < full.gradients / 20 and lora.optimizer < full.optimizer / 20 and lora.stored < full.stored / 20
    assert 0.4 * full.activations < lora.activations < 0.9 * full.activations
    assert head.activations < full.activations / 100


def test_nothing_is_kept_below_the_first_part_that_trains():
    """LoRA on the last of six blocks keeps about what a model of that one block would."""
    kept = []
    for layers, targets in ((6, r"layers\.5\..*[qv]_proj"), (1, None)):
        model = Transformer(config("gpt", "96x6", n_layers=layers), seed=0).train()
        delta, ids = LoRA(rank=R, targets=targets).attach(model), torch.randint(V, (4, 16))
        kept.append(measure(lambda: model.hidden(ids).sum(), model, delta.parameters()).activations)
    assert kept[0] == kept[1]


def test_bytes_per_task():
    c = config("bert", "256x2")
    full, lora = predict(c, 8, 32, "full", classes=2), predict(c, 8, 32, "lora", classes=2)
    assert bytes_per_task(full, 1) == bytes_per_task(full, 100) == full.weights
    assert 100 * bytes_per_task(lora, 100) == pytest.approx((lora.weights - lora.stored) + 100 * lora.stored)
    assert bytes_per_task(lora, 1) > full.stored > 50 * bytes_per_task(lora, 1000)


def test_table():
    lines = table({"full": Ledger(1_234, 1_234, 4_936_000, 0, 0, 0, 0, seconds=0.0123), "a delta": Ledger(5, 5, 20, 20, 40, 1_500_000, 20)}).split("\n")
    assert lines[0].split("  ")[0] == "" and lines[0].endswith("step ms")
    assert lines[1].split() == ["full", "1,234", "1,234", "4.936", "0.000", "0.000", "0.000", "0.000", "12.3"]
    assert lines[2].startswith("a delta") and "1.500" in lines[2]
    assert [line.find("MB") for line in lines] == [lines[0].find("MB"), -1, -1] and len({len(line) for line in lines[:2]}) == 1


def test_known_sizes():
    """BERT-base has 110 M parameters (Devlin et al. 2019, section 3); T5-11B holds 11 billion (Raffel et al. 2020, section 3.7)."""
    bert = bert_config(vocab_size=30_522, d_model=768, n_layers=12, n_heads=12, d_ff=3072)
    eleven = t5_config(vocab_size=32_128, d_model=1024, n_layers=24, n_heads=128, d_head=128, d_ff=65_536)
    assert predict(replace(bert, lm_head=None), 1, 8, classes=2).total == 109_482_240 + 2 * 768 + 2
    assert predict(eleven, 1, 8).total == 11_307_321_344


# -- what cannot work ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("shape", "asked", "told"),
    [
        ("gpt", dict(method="lore"), "Did you mean lora"),
        ("gpt", dict(optimizer="adamx"), "Did you mean"),
        ("gpt", dict(method="lora", targets="q_prj"), "Did you mean q_proj"),
        ("gpt", dict(method="lora", targets="gate_proj"), "Unknown target"),
        ("gpt", dict(method="lora", rank=0), "rank is 0"),
        ("gpt", dict(batch_size=0), "batch_size is 0"),
        ("gpt", dict(length=65), "64 positions"),
        ("gpt", dict(classes=-1), "classes is -1"),
        ("t5", dict(classes=2), "answers in words"),
    ],
)
def test_predict_refuses(shape, asked, told):
    with pytest.raises(ConfigError, match=told):
        predict(config(shape), **dict(batch_size=2, length=8) | asked)


def test_predict_refuses_to_score_without_a_head():
    with pytest.raises(ConfigError, match="no language-model head"):
        predict(config("bert", lm_head=None), 2, 8)


def test_measure_refuses():
    w, frozen = nn.Parameter(torch.ones(2)), torch.ones(2)
    with pytest.raises(ConfigError, match="Did you mean adam"):
        measure(lambda: w.sum(), nn.Module(), [w], "adm")
    with pytest.raises(ConfigError, match="Nothing to measure"):
        measure(lambda: w.sum(), nn.Module(), [frozen])
    with pytest.raises(ConfigError, match="does not depend"):
        measure(lambda: frozen.sum(), nn.Module(), [w])
