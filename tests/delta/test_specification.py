"""Specification methods: each equation by hand, and against training the very parameters themselves."""

import pytest
import torch
from torch import nn

from minidelta.delta import FISH, BitFit, DiffPruning, LastLayers, LNTuning, LoRA, MagnitudeSparse, Masking, PromptTuning, RandomSparse, TokenEmbeddings
from minidelta.delta.bitfit import NormChange
from minidelta.delta.diff_pruning import GatedDifference
from minidelta.delta.masking import Mask
from minidelta.delta.sparse import Scattered
from minidelta.errors import DeltaError
from minidelta.model.layers import LayerNorm, Linear
from minidelta.train import fit
from tests.delta.oracle import noise
from tests.delta.tiny import inputs, tiny


def two_by_three() -> Linear:
    linear = Linear(3, 2)
    with torch.no_grad():
        linear.weight.copy_(torch.tensor([[1.0, -2.0, 3.0], [4.0, 5.0, -6.0]]))
        linear.bias.zero_()
    return linear


X = torch.tensor([[1.0, 1.0, 1.0]])  # W x = [2, 3]


# -- biases, norms, layers ---------------------------------------------------------------------------------


def test_a_norm_by_hand():
    norm = LayerNorm(2, eps=0.0)
    part = NormChange(norm)
    with torch.no_grad():
        part.weight.copy_(torch.tensor([1.0, 0.5]))
        part.bias.copy_(torch.tensor([0.0, 10.0]))
    x = torch.tensor([[1.0, 3.0]])  # n(x) = [-1, 1]
    assert part(x, norm(x)).tolist() == [[-2.0, 11.5]]


@pytest.mark.parametrize(("method", "chosen"), [
    (BitFit, lambda name: name.endswith(".bias") and not name.startswith(("lm_head", "pooler"))),
    (LNTuning, lambda name: "norm." in name and not name.startswith("lm_head")),
    (lambda: LastLayers(layers=1), lambda name: name.startswith("layers.1.")),
])  # fmt: skip
@pytest.mark.parametrize("shape", ["encoder", "decoder"])
def test_training_a_difference_is_training_the_parameters(method, chosen, shape):
    """The same losses step by step as a model whose own parameters train, and merged the same values."""
    batch, ours, direct = inputs(shape), tiny(shape), tiny(shape)
    for name, p in direct.named_parameters():
        p.requires_grad_(chosen(name))

    def descend(model, parameters):
        targets = torch.arange(21) % 50
        loss = lambda _: nn.functional.cross_entropy(model(**batch).flatten(0, 1), targets)  # noqa: E731
        return fit(loss, lambda step: None, list(parameters), steps=5, lr=0.5, optimizer="sgd", weight_decay=0.0, warmup=0, log_every=1).losses

    delta = method().attach(ours)
    assert delta.num_parameters() == sum(p.numel() for p in direct.parameters() if p.requires_grad)
    assert descend(ours, delta.parameters()) == pytest.approx(descend(direct, (p for p in direct.parameters() if p.requires_grad)), rel=1e-5)
    delta.merge()
    for name, p in direct.named_parameters():
        torch.testing.assert_close(ours.get_parameter(name), p, atol=1e-6, rtol=1e-5, check_stride=False)


def test_a_subset_of_biases():
    assert BitFit(targets=["q_proj", "up_proj"]).attach(tiny("decoder")).paths == [f"layers.{i}.{path}" for i in range(2) for path in ("attn.q_proj", "ffn.up_proj")]


def test_t5_has_no_biases_but_norms():
    model = tiny("encoder-decoder")
    with pytest.raises(DeltaError, match="this model has none"):
        BitFit().attach(model)
    assert LNTuning().attach(model).num_parameters() == 16 * (2 * 2 + 2 * 3 + 2)


def test_nothing_below_the_last_layers_needs_a_gradient():
    model = tiny("decoder")
    LastLayers(layers=1).attach(model)
    seen = []
    model.layers[0].register_forward_hook(lambda module, args, out: seen.append(out.requires_grad))
    model(**inputs("decoder"))
    assert seen == [False]


# -- tokens ------------------------------------------------------------------------------------------------


def test_only_chosen_tokens_change_and_a_prompt_before_them_does_not():
    model, ids = tiny("decoder"), torch.tensor([[7, 8, 9]])
    before, other = model.embed_out(ids, model.embed(ids)), model(torch.tensor([[8, 9, 8]]))
    delta = TokenEmbeddings(tokens=[7, 12]).attach(model)
    noise(delta.parameters())
    after = model.embed_out(ids, model.embed(ids))
    assert torch.equal(after[:, 1:], before[:, 1:]) and torch.equal(after[:, 0] - before[:, 0], delta.rows.change[:1] + before[:, 0] - before[:, 0])
    assert torch.equal(model(torch.tensor([[8, 9, 8]])), other)
    delta.detach()
    with PromptTuning(prompt_length=2).attach(model), delta.attach(model):
        assert model.embed_out(ids, model.embed(ids)).shape == (1, 5, 16)
        torch.testing.assert_close(model.embed_out(ids, model.embed(ids))[:, 2:], after)


# -- masks and sparse differences --------------------------------------------------------------------------


def test_a_mask_by_hand_and_its_straight_through_gradient():
    linear = two_by_three().requires_grad_(False)
    part = Mask(linear, threshold=0.5, start=1.0)
    with torch.no_grad():
        part.scores[0, 1] = 0.2  # masks -2 away: W x = [1 + 3, 3]
    out = part(X, linear(X))
    assert out.tolist() == [[4.0, 3.0]]
    out[0, 0].backward()
    assert part.scores.grad.tolist() == [[1.0, -2.0, 3.0], [0.0, 0.0, 0.0]]  # dL/dS = dL/dM = W * x


def test_hard_concrete_gates_by_hand():
    part = GatedDifference(two_by_three(), start=5.0)
    with torch.no_grad():
        part.change.fill_(1.0)
        part.log_alpha[0] = torch.tensor([5.0, 0.0, -5.0])
    # sigmoid(0) = 1/2, stretched from (0, 1) to (-1.5, 1.5) and cut: 0; an open gate is 1 exactly, a closed one 0
    assert part.still_gate()[0].tolist() == [1.0, 0.0, 0.0]
    part.eval()
    assert part(X, torch.zeros(1, 2)).tolist() == [[1.0, 3.0]]
    delta = DiffPruning(penalty_weight=2.0)
    delta.parts["one"] = part
    expected = torch.sigmoid(torch.tensor([5.0, 0.0, -5.0, 5.0, 5.0, 5.0])).mean() * 2  # log(-l / r) = 0
    assert delta.penalty().item() == pytest.approx(expected.item(), rel=1e-6)


def test_the_penalty_closes_gates_and_pruning_keeps_the_largest():
    model = tiny("decoder")
    delta = DiffPruning(targets="q_proj").attach(model)
    fit(lambda _: delta.penalty() + 0.0 * model(**inputs("decoder")).sum(), lambda step: None, delta.groups(), steps=200, lr=1e-3, warmup=0)
    assert delta.sparsity() > 0.9
    fresh = DiffPruning(targets="v_proj").attach(model)
    noise(part.change for part in fresh.parts.values())
    fresh.prune(kept=0.1)
    left = torch.cat([part.update().flatten() for part in fresh.parts.values()])
    everything = torch.cat([part.change.flatten() for part in fresh.parts.values()])
    assert left.count_nonzero() == 51 and left.abs().sort().values[-51:].tolist() == pytest.approx(everything.abs().sort().values[-51:].tolist())


def test_scattered_values_by_hand():
    linear = two_by_three()
    part = Scattered(linear, torch.tensor([2, 3]))
    with torch.no_grad():
        part.values.copy_(torch.tensor([10.0, 20.0]))
    assert part.update().tolist() == [[0.0, 0.0, 10.0], [20.0, 0.0, 0.0]]
    assert part(X, linear(X)).tolist() == [[12.0, 23.0]]


def test_which_weights_are_chosen():
    model = tiny("decoder")
    delta = MagnitudeSparse(density=0.1, targets="q_proj").attach(model)
    for path, part in delta.parts_by_path().items():
        size = model.get_submodule(path).weight.abs().flatten()
        assert len(part.places) == 26 and size[part.places].min() >= size.sort(descending=True).values[26]
    one, two, three = (RandomSparse(seed=seed).attach(model).parts["layers/0/attn/q_proj"].places for seed in (0, 0, 1))
    assert torch.equal(one, two) and not torch.equal(one, three) and len(set(one.tolist())) == len(one)


def test_fish_takes_the_largest_squared_gradients():
    model = tiny("decoder")
    ids = [torch.randint(1, 50, (1, 6), generator=torch.Generator().manual_seed(seed)) for seed in range(3)]
    loss = lambda model, text: nn.functional.cross_entropy(model(text[:, :-1])[0], text[0, 1:])  # noqa: E731
    names = [f"layers.{i}.attn.{p}_proj.weight" for i in range(2) for p in "qv"]
    fisher = [torch.zeros(16, 16) for _ in names]
    for text in ids:
        for total, gradient in zip(fisher, torch.autograd.grad(loss(model, text), [model.get_parameter(name) for name in names])):
            total += gradient**2
    flat = torch.cat([total.flatten() for total in fisher])
    chosen = set(flat.topk(20).indices.tolist())
    delta = FISH(loss, ids, density=20 / 1024, targets=["q_proj", "v_proj"]).attach(model)
    offset = {name.removesuffix(".weight"): 256 * i for i, name in enumerate(names)}
    assert {offset[path] + place for path, part in delta.parts_by_path().items() for place in part.places.tolist()} == chosen
    assert delta.num_parameters() == 20


@pytest.mark.parametrize(("make", "message"), [
    (lambda: LastLayers(layers=0), "layers is 0"), (lambda: LastLayers(layers=3).attach(tiny("decoder")), "layers is 3, and the model has 2"),
    (lambda: LastLayers(targets="attn_out").attach(tiny("decoder")), "layers.1.attn_out is neither"), (lambda: LNTuning(targets="q_proj").attach(tiny("decoder")), "attn.q_proj is not one"),
    (lambda: TokenEmbeddings(tokens=[]), "tokens is \\[\\]"), (lambda: TokenEmbeddings(tokens=[3, 3]), "each once"), (lambda: TokenEmbeddings(tokens=[50]).attach(tiny("decoder")), "the id 50.*0 to 49"),
    (lambda: TokenEmbeddings(targets="attn_out").attach(tiny("decoder")), "layers.0.attn_out is not where they pass"),
    (lambda: Masking(threshold=-1.0), "threshold is -1.0"), (lambda: DiffPruning(penalty_weight=0), "penalty_weight is 0"), (lambda: RandomSparse(density=0), "density is 0"),
    (lambda: FISH(), "none were given"), (lambda: FISH(lambda model, batch: model.token_embedding.weight.sum(), [0], density=2), "density is 2"),
    (lambda: FISH(lambda model, batch: model.token_embedding.weight.sum() + model.layers[0].attn.q_proj.weight.sum() * 0, [0]).attach(tiny("decoder")), "no gradient at all"),
    (lambda: FISH(lambda model, batch: 0.0, [0], targets="kv").attach(tiny("decoder")), "attn.kv is not one"),
])  # fmt: skip
def test_settings_that_cannot_work(make, message):
    with pytest.raises(DeltaError, match=message):
        make()


def test_specification_and_lora_together_train_apart():
    model = tiny("encoder")
    bias, lora = BitFit().attach(model), LoRA().attach(model)
    assert bias.audit().ok and lora.audit().ok
    noise([*bias.parameters(), *lora.parameters()])
    both = model(**inputs("encoder"))
    bias.merge()
    lora.merge()
    torch.testing.assert_close(model(**inputs("encoder")), both, atol=1e-5, rtol=0)
