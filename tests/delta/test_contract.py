"""What every delta promises, asked of every method on every shape.

A new family joins by standing in METHODS; what it cannot promise by its nature is listed at the top.  What it refuses, to merge or
to hang on a shape, is taken from the methods' page (delta/README.md): nothing else is left out.
"""

import copy
import json

import pytest
import torch
from torch import nn

from minidelta.delta import METHODS, Delta, fingerprint, load_delta, load_head
from minidelta.delta.table import example, stored
from minidelta.errors import DeltaError
from minidelta.model import Cache
from minidelta.train import fit

from tests.delta.tiny import SHAPES, inputs, tiny

NEW_VECTORS = {"prompt-tuning", "spot", "p-tuning", "p-tuning-v2", "prefix", "mam", "unipelt", "ipt"}
NOT_ZERO_AT_START = NEW_VECTORS | {"adapter-fusion", "side-tuning", "task-arithmetic"}  # families that change the outputs as soon as they are attached
TABLE = {row["method"]: row for row in stored()}
MERGES = {method for method, row in TABLE.items() if row["merges"] == "yes"}
MERGES_FIRST = {"dora", "oft", "masking"}  # reads the weight that it changes: a second one reads what the first has merged
STEPS = {"masking": 40}  # updates until something is seen; 3 for all others
CANNOT = [(method, shape) for method in METHODS for shape in SHAPES if TABLE[method][shape] != "yes"]

PAIRS = [(method, shape) for method in METHODS for shape in SHAPES if (method, shape) not in CANNOT]
WRITERS = [pair for pair in PAIRS if pair[1] != "encoder"]
everywhere = pytest.mark.parametrize(("method", "shape"), PAIRS)
once = pytest.mark.parametrize(("method", "shape"), [[pair for pair in PAIRS if pair[0] == method][i % 2] for i, method in enumerate(METHODS)])  # where the shape plays no part
mergeable_once = pytest.mark.parametrize(("method", "shape"), [[pair for pair in PAIRS if pair[0] == method][i % 2] for i, method in enumerate(METHODS) if method in MERGES])


def build(method: str, shape: str, **settings) -> Delta:
    """With its defaults; what it begins with belongs to another model of this shape."""
    torch.manual_seed(7)
    return example(method, tiny(shape), **settings)


def snapshot(model: nn.Module) -> tuple[dict, dict]:
    return {n: v.clone() for n, v in model.state_dict().items()}, {n: p.requires_grad for n, p in model.named_parameters()}


def same(a: dict[str, torch.Tensor], b: dict[str, torch.Tensor]) -> bool:
    return a.keys() == b.keys() and all(torch.equal(a[n], b[n]) for n in a)


def disturb(delta: Delta, seed: int = 5) -> None:
    """Stand in for training: move every parameter a little."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for p in delta.parameters():
            p += 0.2 * torch.randn(p.shape, generator=generator)


def train(delta: Delta, model: nn.Module, shape: str) -> None:
    batch, steps = inputs(shape), STEPS.get(delta.name, 3)

    def loss(_):
        logits = model(**batch)
        return nn.functional.cross_entropy(logits.flatten(0, 1), torch.arange(logits.shape[0] * logits.shape[1]) % 50) + delta.penalty()

    model.train()
    fit(loss, lambda step: None, delta.groups(), steps=steps, lr=delta.learning_rate, warmup=0, on_step=lambda done: delta.after_step(done, steps))
    model.eval()


@everywhere
def test_attach_changes_nothing_at_the_start(method, shape):
    model = tiny(shape)
    before = model(**inputs(shape))
    build(method, shape).attach(model)
    after = model(**inputs(shape))
    if method in NOT_ZERO_AT_START:
        assert not torch.equal(before, after)
    else:
        torch.testing.assert_close(before, after, atol=1e-6, rtol=0)


@everywhere
def test_training_moves_the_delta_and_not_one_bit_of_the_backbone(method, shape):
    model = tiny(shape)
    before, _ = snapshot(model)
    delta = build(method, shape).attach(model)
    start = [p.clone() for p in delta.parameters()]
    outputs = model(**inputs(shape))
    train(delta, model, shape)
    assert same(before, {n: v for n, v in model.backbone_state().items()})
    assert all(not torch.equal(a, b) for a, b in zip(start, delta.parameters())), "a parameter of the delta never moved"
    assert not torch.allclose(outputs, model(**inputs(shape)))


@everywhere
def test_gradients_only_where_promised(method, shape):
    model = tiny(shape)
    delta = build(method, shape).attach(model)
    disturb(delta)
    model(**inputs(shape)).square().mean().backward()
    own = {id(p) for p in delta.parameters()}
    assert own
    for name, p in model.named_parameters():
        assert (p.grad is not None) == (id(p) in own), name


@everywhere
def test_count_equals_the_formula_and_the_audit_names_surprises(method, shape):
    model = tiny(shape)
    delta = build(method, shape).attach(model)
    audit = delta.audit()
    assert audit.ok and audit.trainable == audit.expected == delta.num_parameters() == sum(p.numel() for p in model.parameters() if p.requires_grad)
    assert audit.total == sum(p.numel() for p in tiny(shape).parameters())
    model.token_embedding.weight.requires_grad_(True)  # an embedding trained unnoticed
    assert delta.audit().surprises == ["token_embedding.weight trains, but belongs to the backbone"]
    assert "token_embedding.weight" in str(delta.audit())


@everywhere
def test_detach_restores_everything(method, shape):
    model = tiny(shape)
    next(model.parameters()).requires_grad_(False)  # a flag that must come back as it was
    before, flags = snapshot(model)
    outputs, attributes = model(**inputs(shape)), set(model.__dict__)
    delta = build(method, shape).attach(model)
    train(delta, model, shape)
    trained = model(**inputs(shape))
    delta.detach()
    after, flags_after = snapshot(model)
    assert same(before, after) and flags == flags_after and attributes == set(model.__dict__)
    assert torch.equal(outputs, model(**inputs(shape)))
    delta.attach(model)  # and on again, with what it learnt
    assert torch.equal(trained, model(**inputs(shape)))


@once
def test_context_manager_detaches_even_after_an_error(method, shape):
    model = tiny(shape)
    keys = list(model.state_dict())
    with pytest.raises(ZeroDivisionError), build(method, shape).attach(model):
        assert list(model.state_dict()) != keys
        1 / 0
    assert list(model.state_dict()) == keys and all(p.requires_grad for p in model.parameters())


@everywhere
def test_merge_equals_attached_and_unmerge_is_exact(method, shape):
    model = tiny(shape)
    delta = build(method, shape, **({"dropout": 0.5} if method == "lora" else {})).attach(model)
    disturb(delta)
    before, _ = snapshot(model)
    attached = model(**inputs(shape))
    if method not in MERGES:
        with pytest.raises(DeltaError, match="cannot be merged"):
            delta.merge()
        return
    model.train()  # dropout of the delta must play no part in merging
    delta.merge()
    model.eval()
    torch.testing.assert_close(model(**inputs(shape)), attached, atol=1e-5, rtol=0)
    assert not same(before, snapshot(model)[0])
    with pytest.raises(DeltaError, match="merged already"):
        delta.merge()
    assert not delta.audit().ok
    delta.unmerge()
    assert same(before, snapshot(model)[0]) and torch.equal(model(**inputs(shape)), attached)
    with pytest.raises(DeltaError, match="not merged"):
        delta.unmerge()
    delta.merge().detach()  # detaching a merged delta gives the backbone back too
    assert same({n: v for n, v in snapshot(tiny(shape))[0].items()}, snapshot(model)[0])


@everywhere
def test_save_and_load_are_equal(method, shape, tmp_path):
    model, head = tiny(shape), nn.Linear(16, 3)
    with build(method, shape).attach(model) as delta:
        disturb(delta)
        expected = model(**inputs(shape))
        delta.save(tmp_path, head=head)
    assert {f.name for f in tmp_path.iterdir()} == {"delta.safetensors", "delta.json", "head.safetensors"}
    assert json.loads((tmp_path / "delta.json").read_text())["method"] == method
    again = load_delta(tmp_path).attach(tiny(shape))
    assert torch.equal(again.model(**inputs(shape)), expected) and again.audit().ok
    assert torch.equal(load_head(tmp_path, nn.Linear(16, 3)).weight, head.weight)
    with pytest.raises(DeltaError, match="another task"):
        load_head(tmp_path, nn.Linear(16, 4))
    with pytest.raises(DeltaError, match="another backbone"):
        load_delta(tmp_path).attach(tiny(shape, seed=1))
    unchecked = load_delta(tmp_path, check_backbone=False).attach(tiny(shape, seed=1))
    assert not torch.equal(unchecked.model(**inputs(shape)), expected)
    again.save(tmp_path)  # without a head: the old one must not stay beside it
    with pytest.raises(DeltaError, match="No head was saved"):
        load_head(tmp_path, nn.Linear(16, 3))


@mergeable_once
def test_saved_while_merged_is_the_same_delta(method, shape, tmp_path):
    model = tiny(shape)
    delta = build(method, shape).attach(model)
    disturb(delta)
    expected, print_before = model(**inputs(shape)), fingerprint(model)
    delta.merge().save(tmp_path)
    assert fingerprint(model) == print_before
    assert torch.equal(load_delta(tmp_path).attach(tiny(shape)).model(**inputs(shape)), expected)


@everywhere
def test_two_at_once(method, shape):
    model = tiny(shape)
    before, flags = snapshot(model)
    outputs = model(**inputs(shape))
    first, second = build(method, shape).attach(model), build(method, shape).attach(model)
    disturb(first)
    only_first = model(**inputs(shape))
    disturb(second, seed=6)
    both = model(**inputs(shape))
    assert not torch.allclose(only_first, both) and first.audit().ok and second.audit().ok
    first.detach()  # in the order of attaching: the backbone must stay frozen for the second
    assert second.audit().ok
    second.detach()
    assert same(before, snapshot(model)[0]) and flags == snapshot(model)[1]
    assert torch.equal(outputs, model(**inputs(shape)))
    if method in MERGES - MERGES_FIRST:
        first.attach(model).merge()
        second.attach(model).merge()
        torch.testing.assert_close(model(**inputs(shape)), both, atol=1e-5, rtol=0)
        with pytest.raises(DeltaError, match="Unmerge .* first"):
            first.unmerge()
        second.detach()
        first.detach()
        assert same(before, snapshot(model)[0])


@once
def test_a_copy_of_the_model_is_independent(method, shape):
    model = tiny(shape)
    delta = build(method, shape).attach(model)
    twin = copy.deepcopy(model)
    disturb(delta)
    assert not torch.equal(model(**inputs(shape)), twin(**inputs(shape)))
    twin.deltas[0].detach()
    assert delta.audit().ok and list(twin.state_dict()) == list(tiny(shape).state_dict())


@once
def test_tied_head_is_untouched(method, shape):
    model = tiny(shape)
    assert model.config.tied
    delta = build(method, shape).attach(model)
    ids = inputs(shape)
    hidden = model.hidden(**ids)
    logits = model.lm_logits(hidden)
    train(delta, model, shape)
    assert torch.equal(model.lm_logits(hidden), logits)


@everywhere
def test_a_batch_with_padding_equals_each_text_alone(method, shape):
    model = tiny(shape)
    disturb(build(method, shape).attach(model))
    batch = inputs(shape)
    together = model(**batch)
    for row, length in enumerate(batch["attention_mask"].sum(1).tolist()):
        alone = model(**{name: value[row : row + 1, : length if name in ("input_ids", "attention_mask") else None] for name, value in batch.items()})
        if shape == "encoder-decoder":
            torch.testing.assert_close(alone[0], together[row], atol=1e-5, rtol=1e-5)
        else:
            torch.testing.assert_close(alone[0], together[row, :length], atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize(("method", "shape"), WRITERS)
@torch.no_grad()
def test_reading_piece_by_piece_equals_reading_at_once(method, shape):
    """With a cache as in `generate`; GPT's batch is padded on the left."""
    model = tiny(shape)
    disturb(build(method, shape).attach(model))
    batch, cache = inputs(shape), Cache(model.config)
    if shape == "encoder-decoder":
        source, text = model.encode(batch["input_ids"], batch["attention_mask"]), batch["decoder_input_ids"]
        at_once = model.decode(text, source, batch["attention_mask"])
        pieces = [model.decode(piece, source, batch["attention_mask"], cache=cache) for piece in text.split(2, dim=1)]
    else:
        text, mask = batch["input_ids"], batch["attention_mask"].flip(1)
        places = (mask.cumsum(1) - 1).clamp(min=0)
        at_once = model.hidden(text, mask, position_ids=places)
        pieces = [model.hidden(text[:, i : i + 2], mask[:, : i + 2], position_ids=places[:, i : i + 2], cache=cache) for i in range(0, text.size(1), 2)]
        at_once, pieces = at_once[mask.bool()], [torch.cat(pieces, dim=1)[mask.bool()]]
    torch.testing.assert_close(torch.cat(pieces, dim=1), at_once, atol=1e-5, rtol=1e-5)
    assert model.generate(batch["input_ids"][:1], max_new_tokens=4, eos_token_id=[]).size(1) == (5 if shape == "encoder-decoder" else 11)


@everywhere
def test_another_device(method, shape):
    """Everything a part computes with moves along, so no tensor stands outside of its parameters and buffers."""
    model = tiny(shape)
    delta = build(method, shape).attach(model)
    model.to("meta")
    assert {p.device.type for p in delta.parameters()} == {"meta"}
    assert not [name for part in delta.parts.modules() for name, value in vars(part).items() if isinstance(value, torch.Tensor)]
    assert model(**{name: value.to("meta") for name, value in inputs(shape).items()}).device.type == "meta"


@once
def test_bfloat16(method, shape):
    model = tiny(shape).to(torch.bfloat16)
    delta = build(method, shape).attach(model)
    disturb(delta)
    outputs = model(**inputs(shape))
    assert outputs.dtype == torch.bfloat16 and {p.dtype for p in delta.parameters()} == {torch.float32}  # half precision cannot hold small steps


@once
def test_many_on_one_model_each_has_its_key(method, shape, monkeypatch):
    model = tiny(shape)
    assert [build(method, shape).attach(model).key for _ in range(3)] == [method, f"{method}_2", f"{method}_3"]
    monkeypatch.setattr(METHODS[method], "name", "of_two_words", raising=False)
    assert [build(method, shape).attach(model).key for _ in range(2)] == ["of_two_words", "of_two_words_2"]


@once
def test_a_loaded_delta_knows_its_backbone_for_good(method, shape, tmp_path):
    home, other = tiny(shape), tiny(shape, seed=1)
    build(method, shape).attach(home).save(tmp_path)
    home.deltas[0].detach()
    delta = load_delta(tmp_path).attach(home)
    delta.detach()
    with pytest.raises(DeltaError, match="another backbone"):
        delta.attach(other)
    delta.attach(home)  # its own one it knows again


@once
def test_a_model_without_sites(method, shape):
    with pytest.raises(DeltaError, match="A Linear has no sites"):
        build(method, shape).attach(nn.Linear(2, 2))


@once
def test_misuse_says_what_to_do(method, shape):
    model = tiny(shape)
    delta = build(method, shape)
    for verb in (delta.detach, delta.merge, delta.unmerge, delta.audit, lambda: delta.save("nowhere")):
        with pytest.raises(DeltaError, match="not attached"):
            verb()
    delta.attach(model)
    with pytest.raises(DeltaError, match="attached already"):
        delta.attach(tiny(shape))
    delta.detach()
    model.config = copy.copy(model.config)
    object.__setattr__(model.config, "d_ff", 64)
    with pytest.raises(DeltaError, match="another shape"):
        delta.attach(model)
    with pytest.raises(DeltaError, match="called 'q_porj'.*Did you mean q_proj(.|\n)*attn: q_proj"):
        build(method, shape, targets="q_porj").attach(tiny(shape))
