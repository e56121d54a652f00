"""The relatives of LoRA and the intrinsic dimension: equations by hand, and PEFT beside those that it has."""

import pytest
import torch
from torch import nn

from minidelta.delta import DID, IPT, OFT, SAID, AdaLoRA, DoRA, KronA, LoHa, LoKr, LoRA, LoRAFA, LoRAPlus, PiSSA, PromptTuning, RsLoRA, VeRA, find_subspace
from minidelta.delta.adalora import Triples
from minidelta.delta.dora import Decomposed
from minidelta.delta.intrinsic import hadamard
from minidelta.delta.lora_variants import Principal
from minidelta.delta.oft import Turned
from minidelta.delta.products import Hadamard, Kronecker, split
from minidelta.delta.vera import SharedRandom
from minidelta.errors import DeltaError
from minidelta.model.layers import Linear
from minidelta.train import fit
from tests.delta.oracle import batch, equal, noise, pair
from tests.delta.tiny import inputs, tiny


def linear(*rows) -> Linear:
    layer = Linear(len(rows[0]), len(rows), bias=False)
    layer.weight.data.copy_(torch.tensor(rows))
    return layer.requires_grad_(False)


PARTS = {  # every part on a layer [6,4], built as its family builds it
    "dora": lambda layer: Decomposed(layer, 2, 1.5), "adalora": lambda layer: Triples(layer, 3, 0.5), "vera": lambda layer: SharedRandom(layer, 5, 0),
    "loha": lambda layer: Hadamard(layer, 2, 1.5), "lokr": lambda layer: Kronecker(layer, 1.5, 2), "krona": lambda layer: Kronecker(layer, 1.5),
    "oft": lambda layer: Turned(layer, 2), "pissa": lambda layer: Principal(layer, 2),
}  # fmt: skip


@pytest.mark.parametrize("name", PARTS)
def test_the_short_cut_equals_the_weight_update(name):
    torch.manual_seed(0)
    layer = Linear(4, 6).requires_grad_(False)
    part = PARTS[name](layer)
    noise(part.parameters())
    x = torch.randn(3, 5, 4)
    expected = nn.functional.linear(x.double(), layer.weight.double() + part.update().double(), layer.bias.double())
    torch.testing.assert_close(part(x, layer(x)).double(), expected, atol=1e-5, rtol=1e-5)


# -- variants of LoRA ----------------------------------------------------------------------------------------


def test_scalings_and_rates():
    assert LoRA(rank=4, alpha=8.0).scaling == 2.0 and RsLoRA(rank=4, alpha=8.0).scaling == 4.0
    delta = LoRAPlus(ratio=4.0).attach(tiny("decoder"))
    slow, fast = delta.groups()
    assert fast["lr"] == 4 * slow["lr"] == 4 * delta.learning_rate
    assert {p.shape for p in slow["params"]} == {(8, 16)} and {p.shape for p in fast["params"]} == {(16, 8)}
    half = LoRAFA(rank=2).attach(tiny("decoder"))
    assert {name.rsplit(".", 1)[-1] for name, _ in half.named_parameters()} == {"lora_B"}


def test_pissa_by_hand():
    layer = linear([3.0, 0.0], [0.0, 1.0])
    part = Principal(layer, 1)
    torch.testing.assert_close(part.lora_B @ part.lora_A, torch.tensor([[3.0, 0.0], [0.0, 0.0]]))  # the largest direction
    assert part.lora_A.norm().item() == pytest.approx(3**0.5) and not part.update().any()
    with torch.no_grad():
        part.lora_A.mul_(2.0)
    torch.testing.assert_close(part(torch.ones(1, 2), layer(torch.ones(1, 2))), torch.tensor([[6.0, 1.0]]))


def test_dora_by_hand():
    layer = linear([3.0, 4.0], [0.0, 2.0])
    part = Decomposed(layer, 1, scaling=2.0)
    assert part.magnitude.tolist() == [5.0, 2.0] and torch.equal(part.stretch(), torch.ones(2))
    with torch.no_grad():
        part.lora_A.copy_(torch.tensor([[1.0, 0.0]]))
        part.lora_B.copy_(torch.tensor([[-1.5], [0.0]]))  # W + 2 BA = [[0, 4], [0, 2]]
        part.magnitude.copy_(torch.tensor([10.0, 2.0]))
    # W' = [10 [0, 4] / 4, 2 [0, 2] / 2] = [[0, 10], [0, 2]]
    torch.testing.assert_close(part(torch.ones(1, 2), layer(torch.ones(1, 2))), torch.tensor([[10.0, 2.0]]))


def test_vera_by_hand_and_shared():
    delta = VeRA(rank=6).attach(tiny("decoder"))
    first, *others = delta.parts.values()
    assert all(torch.equal(first.A, part.A) and torch.equal(first.B, part.B) for part in others)
    part = SharedRandom(linear([1.0, 1.0]), 1, 0)
    part.A.copy_(torch.tensor([[1.0, 2.0]]))
    part.B.fill_(3.0)
    with torch.no_grad():
        part.d.fill_(0.5)
        part.b.fill_(10.0)
    assert part(torch.tensor([[1.0, 1.0]]), torch.tensor([[2.0]])).item() == 2.0 + 10 * 3 * 0.5 * 3


# -- AdaLoRA -------------------------------------------------------------------------------------------------


def test_adalora_penalty_by_hand():
    part = Triples(linear([1.0, 0.0], [0.0, 1.0]), 2, 1.0)
    with torch.no_grad():
        part.P.copy_(torch.eye(2))
        part.Q.copy_(torch.tensor([[2.0, 0.0], [0.0, 1.0]]))
    assert part.skewness().item() == 9.0  # Q Q^T - I = [[3, 0], [0, 0]]


def test_adalora_silences_the_triple_to_which_the_loss_is_least_sensitive():
    delta = AdaLoRA(rank=3, target_rank=1, targets=r"layers\.0\.attn\.q_proj").attach(tiny("decoder"))
    (part,) = delta.parts.values()
    with torch.no_grad():
        part.lam.copy_(torch.tensor([1.0, 1.0, 1.0]))
    for step in range(1, 4):  # |lambda dL/dlambda| = 0.1, 5, 1, growing, so that it also varies
        part.lam.grad = step * torch.tensor([0.1, -5.0, 1.0])
        delta.after_step(90 if step == 3 else 1, 100)
    assert part.lam.tolist() == [0.0, 1.0, 0.0]


def test_adalora_keeps_its_budget():
    model = tiny("decoder")
    delta = AdaLoRA(rank=4, target_rank=1, targets="q_proj").attach(model)
    assert [delta.budget(done, 100) for done in (1, 10, 67, 100)] == [8, 8, 2, 2]
    batch_ = inputs("decoder")
    loss = lambda _: nn.functional.cross_entropy(model(**batch_).flatten(0, 1), torch.arange(21)) + delta.penalty()  # noqa: E731
    fit(loss, lambda step: None, delta.groups(), steps=20, lr=delta.learning_rate, on_step=lambda done: delta.after_step(done, 20))
    assert sum(delta.ranks().values()) == 2
    left = delta.parts_by_path()["layers.0.attn.q_proj"]
    assert left.mean_lam.shape == (4,) and left.mean_lam.any()


# -- products ------------------------------------------------------------------------------------------------


def test_products_by_hand():
    layer = linear([0.0] * 4, [0.0] * 4, [0.0] * 4, [0.0] * 4)
    krona = Kronecker(layer, 2.0)
    with torch.no_grad():
        krona.left.copy_(torch.tensor([[1.0, 2.0], [3.0, 4.0]]))
        krona.right_B.copy_(torch.tensor([[0.0, 5.0], [6.0, 7.0]]))
    # the worked example of the Kronecker product: first row [1*0 1*5 2*0 2*5], all times s = 2
    assert krona.update()[0].tolist() == [0.0, 10.0, 0.0, 20.0] and krona.update()[3].tolist() == [36.0, 42.0, 48.0, 56.0]
    assert krona(torch.ones(1, 4), torch.zeros(1, 4)).tolist() == [[30.0, 78.0, 70.0, 182.0]]
    loha = Hadamard(linear([0.0, 0.0], [0.0, 0.0]), 1, 1.0)
    with torch.no_grad():
        for name, value in {"B_1": [[1.0], [2.0]], "A_1": [[3.0, 4.0]], "B_2": [[5.0], [6.0]], "A_2": [[7.0, 8.0]]}.items():
            getattr(loha, name).copy_(torch.tensor(value))
    assert loha.update().tolist() == [[3.0 * 35, 4.0 * 40], [6.0 * 42, 8.0 * 48]]
    assert split(16) == (4, 4) and split(12) == (3, 4)


# -- OFT -----------------------------------------------------------------------------------------------------


def test_oft_turns_by_hand():
    part = Turned(linear([1.0, 0.0]), 2)
    with torch.no_grad():
        part.angles.fill_(1.0)  # Q = [[0, 1], [-1, 0]]: (I + Q)(I - Q)^-1 turns by a right angle
    torch.testing.assert_close(part.turns()[0], torch.tensor([[0.0, 1.0], [-1.0, 0.0]]))
    x = torch.tensor([[2.0, 5.0]])
    torch.testing.assert_close(part(x, x[:, :1]), torch.tensor([[5.0]]))  # R x = [5, -2]


@pytest.mark.parametrize("method", [OFT, DoRA])
def test_on_another_model_a_part_reads_the_weights_there(method):
    delta = method().attach(tiny("decoder"))
    noise(delta.parameters())
    delta.detach().attach(model := tiny("decoder", seed=1))
    moved = model(**inputs("decoder"))
    delta.detach()
    fresh = method().attach(model)
    fresh.load_state_dict(delta.state_dict())
    assert torch.equal(model(**inputs("decoder")), moved)


def test_oft_stays_orthogonal():
    delta = OFT(block_size=4).attach(tiny("decoder"))
    noise(delta.parameters())
    for part in delta.parts.values():
        R = part.turns()
        torch.testing.assert_close(R @ R.transpose(1, 2), torch.eye(4).expand_as(R), atol=1e-5, rtol=0)


# -- intrinsic dimension -------------------------------------------------------------------------------------


def test_hadamard_is_the_matrix_and_its_own_inverse():
    H = torch.tensor([[1.0]])
    for _ in range(3):
        H = torch.cat((torch.cat((H, H), 1), torch.cat((H, -H), 1)))
    x = torch.randn(8)
    torch.testing.assert_close(hadamard(x), H @ x / 8**0.5)
    torch.testing.assert_close(hadamard(hadamard(x)), x)


def test_one_vector_moves_all_layers_linearly():
    model = tiny("decoder")
    delta = DID(dimension=20).attach(model)
    parts = list(delta.parts.values())
    columns = []  # P column by column: the update of each unit vector
    for i in range(20):
        with torch.no_grad():
            delta.direction.theta.zero_()[i] = 1.0
        columns.append(torch.cat([part.update().flatten() for part in parts]))
    P = torch.stack(columns, 1).detach()
    theta = torch.randn(20)
    with torch.no_grad():
        delta.direction.theta.copy_(theta)
    torch.testing.assert_close(torch.cat([part.update().flatten() for part in parts]), P @ theta, atol=1e-5, rtol=1e-5)
    assert torch.linalg.matrix_rank(P) == 20
    size = parts[0].update().norm().item() / theta.norm().item()
    assert 0.5 < size < 1.5  # a layer moves about as far as theta


def test_said_scales_each_layer_and_counts_the_scales():
    model = tiny("decoder")
    delta = SAID(dimension=30).attach(model)
    assert delta.num_parameters() == 30 and len(delta.direction.theta) == 30 - 12
    with torch.no_grad():
        delta.direction.theta.normal_()
    one, other = list(delta.parts.values())[:2]
    before, untouched = one.update(), other.update()
    with torch.no_grad():
        one.scale.fill_(3.0)
    assert torch.equal(one.update(), 3 * before) and torch.equal(other.update(), untouched)
    with pytest.raises(DeltaError, match="dimension is 12, and 12 of it"):
        SAID(dimension=12).attach(model)


# -- intrinsic prompt tuning ---------------------------------------------------------------------------------


def test_intrinsic_prompts_lie_in_the_space_of_the_others():
    lot = torch.Generator().manual_seed(0)
    plane = torch.randn(2, 4 * 16, generator=lot)
    prompts = [(torch.randn(2, generator=lot) @ plane).view(4, 16) for _ in range(10)]
    subspace = find_subspace(prompts, dimension=2)
    assert subspace.error < 0.01 and subspace.sizes == (2, 64, 4, 16)
    delta = IPT(subspace).attach(tiny("decoder"))
    assert delta.num_parameters() == 2
    target = prompts[3]
    fit(lambda _: (delta.parts["embed_out"].vectors() - target).square().mean(), lambda step: None, delta.groups(), steps=300, lr=0.1)
    assert (delta.parts["embed_out"].vectors() - target).square().mean() < 0.1 * target.square().mean()


def test_a_space_takes_deltas_and_refuses_what_does_not_fit():
    model = tiny("decoder")
    trained = [PromptTuning(prompt_length=3).attach(model).detach() for _ in range(2)]
    assert find_subspace(trained, steps=1).sizes == (5, 64, 3, 16)
    with pytest.raises(DeltaError, match="1 of 1 sizes were given"):
        find_subspace(trained[:1])
    with pytest.raises(DeltaError, match="2 of 2 sizes"):
        find_subspace([torch.zeros(3, 16), torch.zeros(4, 16)])
    with pytest.raises(DeltaError, match="vectors of 8 numbers, and the model is 16"):
        IPT(find_subspace([torch.zeros(3, 8), torch.ones(3, 8)], steps=1)).attach(model)


@pytest.mark.parametrize(("make", "message"), [
    (lambda: DoRA(alpha=0), "alpha is 0"), (lambda: AdaLoRA(rank=4), "target_rank is 8, and rank is 4"), (lambda: AdaLoRA(memory=1.0), "memory is 1.0"), (lambda: VeRA(rank=0), "rank is 0"),
    (lambda: LoHa(rank=0), "rank is 0"), (lambda: LoKr(alpha=-1), "alpha is -1"), (lambda: KronA(scaling=0), "scaling is 0"), (lambda: OFT(block_size=1), "block_size is 1"),
    (lambda: OFT(block_size=5).attach(tiny("decoder")), "block_size is 5, which does not divide the 16"), (lambda: PiSSA(rank=0), "rank is 0"), (lambda: LoRAPlus(ratio=0), "ratio is 0"),
    (lambda: DID(dimension=0), "dimension is 0"), (lambda: DID(targets="kv").attach(tiny("decoder")), "attn.kv is not one"), (lambda: IPT(), "none were given"),
])  # fmt: skip
def test_settings_that_cannot_work(make, message):
    with pytest.raises(DeltaError, match=message):
        make()


# -- the oracle ----------------------------------------------------------------------------------------------


def peft_configs(peft):
    """Method -> (PEFT's config, ours, {their tensor: (our tensor, how theirs becomes ours)})."""
    same = lambda t: t  # noqa: E731
    return {
        "rslora": (peft.LoraConfig(r=2, lora_alpha=4, use_rslora=True, target_modules=["query", "value"]), RsLoRA(rank=2, alpha=4.0), {"lora_A": ("lora_A", same), "lora_B": ("lora_B", same)}),
        "dora": (peft.LoraConfig(r=2, lora_alpha=4, use_dora=True, target_modules=["query", "value"]), DoRA(rank=2, alpha=4.0), {"lora_A": ("lora_A", same), "lora_B": ("lora_B", same), "lora_magnitude_vector": ("magnitude", same)}),
        "loha": (peft.LoHaConfig(r=2, alpha=4, target_modules=["query", "value"]), LoHa(rank=2, alpha=4.0), {"hada_w1_a": ("B_1", same), "hada_w1_b": ("A_1", same), "hada_w2_a": ("B_2", same), "hada_w2_b": ("A_2", same)}),
        "lokr": (peft.LoKrConfig(r=1, alpha=2, target_modules=["query", "value"]), LoKr(rank=1, alpha=2.0), {"lokr_w1": ("left", same), "lokr_w2_a": ("right_B", same), "lokr_w2_b": ("right_A", same)}),
        "adalora": (peft.AdaLoraConfig(init_r=2, target_r=1, lora_alpha=4, total_step=10, target_modules=["query", "value"]), AdaLoRA(rank=2, target_rank=1, alpha=4.0, targets=["q_proj", "v_proj"]), {"lora_A": ("Q", same), "lora_B": ("P", same), "lora_E": ("lam", lambda t: t[:, 0])}),
        "oft": (peft.OFTConfig(r=0, oft_block_size=4, target_modules=["query", "value"], use_cayley_neumann=False), OFT(block_size=4), {"oft_R": ("angles", same)}),
    }  # fmt: skip


@pytest.mark.parametrize("method", ["rslora", "dora", "loha", "lokr", "adalora", "oft"])
def test_equals_peft(method, tmp_path):
    peft = pytest.importorskip("peft")
    theirs_config, delta, names = peft_configs(peft)[method]
    ours, original = pair("bert", tmp_path)
    twin = peft.get_peft_model(original, theirs_config).eval()
    delta.attach(ours)
    compared = 0
    for number, (path, part) in enumerate(delta.parts_by_path().items()):
        place = f"encoder.layer.{path.split('.')[1]}.attention.self.{'query' if path.endswith('q_proj') else 'value'}."
        for key, p in twin.named_parameters():
            for theirs, (mine, turn) in names.items():
                if place in key and f".{theirs}" in key:
                    noise([p], seed=number)
                    with torch.no_grad():
                        getattr(part, mine).copy_(turn(p))
                    compared += 1
    assert compared == 4 * len(names)
    with torch.no_grad():
        if method == "adalora":  # PEFT divides by the ranks that are left, ours by those of the beginning
            for module in twin.modules():
                if hasattr(module, "ranknum"):
                    module.ranknum["default"].fill_(2.0)
    equal(ours(**batch("bert")), twin(**batch("bert")).logits, batch("bert")["attention_mask"])
