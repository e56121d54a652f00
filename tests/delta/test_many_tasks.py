"""Many tasks on one backbone: the hub, batches of mixed rows, stored values in fewer bytes, merged export, an int8 backbone."""

import json
import re

import pytest
import torch
from safetensors import safe_open
from torch import nn

from minidelta.delta import IA3, METHODS, Delta, HoulsbyAdapter, LoRA, Mixed, ParallelAdapter, PrefixTuning, PromptTuning, PTuningV2, SPoT, fingerprint, load_delta, load_head
from minidelta.delta.compress import compress, expand, stored_bytes
from minidelta.delta.delta_hub import DeltaHub
from minidelta.delta.int8 import Int8Linear, quantize, weight_bytes
from minidelta.delta.lora import LowRank
from minidelta.delta.store import _named
from minidelta.delta.table import SERVING, example
from minidelta.errors import CheckpointError, DeltaError
from minidelta.hub import load_model, save_pretrained
from minidelta.model import Cache
from minidelta.model.layers import Linear
from tests.delta.oracle import KINDS, batch, equal, noise, pair
from tests.delta.test_contract import MERGES, NEW_VECTORS, everywhere, once
from tests.delta.tiny import SHAPES, inputs, tiny

shapes = pytest.mark.parametrize("shape", SHAPES)


def learnt(delta: Delta, shape: str, seed: int = 2) -> Delta:
    """A detached delta that does something."""
    delta.attach(tiny(shape))
    noise(delta.parameters(), seed)
    return delta.detach()


def of(method: str, shape: str, seed: int) -> Delta:
    torch.manual_seed(seed)
    return learnt(example(method, tiny(shape)), shape, seed)


@torch.no_grad()
def alone(model: nn.Module, shape: str, deltas: dict[str, Delta]) -> dict[str | None, torch.Tensor]:
    """The whole batch under each delta by itself, and under none."""
    found = {None: model(**inputs(shape))}
    for name, delta in deltas.items():
        with delta.attach(model):
            found[name] = model(**inputs(shape))
    return found


# -- rows of many tasks in one batch -------------------------------------------------------------------------


@everywhere
@torch.no_grad()
def test_each_row_is_to_the_bit_as_under_its_own_delta(method, shape):
    """Also with padding; of every family two, and the plain backbone."""
    model, deltas = tiny(shape), {"one": of(method, shape, 1), "two": of(method, shape, 2)}
    expected = alone(model, shape, deltas)
    assert not torch.equal(expected["one"], expected["two"])
    mixed = Mixed(deltas).attach(model)
    assert mixed.audit().ok
    for tasks in (["two", "one", "two"], ["one"] * 3, ["one", None, "two"]):
        if None in tasks and method in NEW_VECTORS:
            with pytest.raises(DeltaError, match="only with others of its length"), mixed.rows(tasks):
                model(**inputs(shape))
            continue
        with mixed.rows(tasks):
            got = model(**inputs(shape))
        assert all(torch.equal(got[b], expected[task][b]) for b, task in enumerate(tasks))
    mixed.detach()
    with Mixed(deltas, exact=False).attach(model) as mixed, mixed.rows(["two", "one", "two"]):
        got = model(**inputs(shape))
    for b, task in enumerate(["two", "one", "two"]):
        torch.testing.assert_close(got[b], expected[task][b], atol=1e-5, rtol=1e-5)


@shapes
@torch.no_grad()
def test_families_that_meet_in_one_batch(shape):
    model = tiny(shape)
    keys = list(model.state_dict())
    deltas = {"a": learnt(LoRA(rank=2, targets="linear"), shape), "b": learnt(HoulsbyAdapter(), shape), "c": learnt(ParallelAdapter(), shape), "d": learnt(IA3(), shape), "e": learnt(LoRA(rank=5, dropout=0.5), shape)}
    expected = alone(model, shape, deltas)
    with Mixed(deltas).attach(model) as mixed:
        for tasks in (["a", "b", "a"], ["c", "d", "e"], ["e", None, "e"], [None, None, None]):
            with mixed.rows(tasks):
                got = model(**inputs(shape))
            assert all(torch.equal(got[b], expected[task][b]) for b, task in enumerate(tasks))
    assert list(model.state_dict()) == keys and torch.equal(model(**inputs(shape)), expected[None])


@shapes
@torch.no_grad()
def test_prompts_and_prefixes_share_a_batch_with_their_length(shape):
    model = tiny(shape)
    deltas = {"a": learnt(PromptTuning(prompt_length=4), shape), "b": learnt(SPoT(source=torch.ones(4, 16)), shape, 3), "longer": learnt(PromptTuning(prompt_length=5), shape)}
    expected = alone(model, shape, deltas)
    mixed = Mixed(deltas).attach(model)
    with mixed.rows(["a", "b", "a"]):
        got = model(**inputs(shape))
    assert all(torch.equal(got[b], expected[task][b]) for b, task in enumerate("aba"))
    with mixed.rows(["longer"] * 3):
        assert torch.equal(model(**inputs(shape)), expected["longer"])
    with pytest.raises(DeltaError, match="11 and 12 places long"), mixed.rows(["a", "longer", "a"]):
        model(**inputs(shape))
    mixed.detach()
    prefixes = {"a": learnt(PTuningV2(prefix_length=3), shape), "b": learnt(PrefixTuning(prefix_length=3), shape)}
    expected = alone(model, shape, prefixes)
    mixed = Mixed(prefixes).attach(model)
    with mixed.rows("bab"):
        got = model(**inputs(shape))
    assert all(torch.equal(got[b], expected[task][b]) for b, task in enumerate("bab"))


@pytest.mark.parametrize(("exact", "seen"), [(True, [3, 3]), (False, [2, 1])])
@torch.no_grad()
def test_a_part_reads_the_whole_batch_or_its_own_rows(exact, seen, monkeypatch):
    """Small products come out equal in any shape, so it is the shape that is looked at."""
    deltas = {"a": LoRA(targets="layers.0.attn.q_proj"), "b": LoRA(targets="layers.0.attn.q_proj")}
    rows, forward = [], LowRank.forward
    monkeypatch.setattr(LowRank, "forward", lambda part, x, out: rows.append(len(x)) or forward(part, x, out))
    model = tiny("decoder")
    with Mixed(deltas, exact).attach(model) as mixed, mixed.rows(["a", "b", "a"]):
        model(**inputs("decoder"))
    assert rows == seen


@pytest.mark.parametrize("tokens", [1, 2, 33])  # of one or two, as in writing with a cache, own rows alone come out otherwise
@torch.no_grad()
def test_rows_of_a_real_backbone(tokens):
    model, tasks = load_model("bert-nano", device="cpu"), ["a", "b", None, "c", "a"]
    deltas = {name: LoRA(targets="linear").attach(model).detach() for name in "abc"}
    for seed, delta in enumerate(deltas.values()):
        noise(delta.parameters(), seed, 0.1)
    ids = torch.arange(10, 10 + 5 * tokens).view(5, tokens)
    expected = {None: model(ids)}
    for name, delta in deltas.items():
        with delta.attach(model):
            expected[name] = model(ids)
    with Mixed(deltas).attach(model) as mixed, mixed.rows(tasks):
        got = model(ids)
    assert all(torch.equal(got[b], expected[task][b]) for b, task in enumerate(tasks))


@pytest.mark.parametrize("shape", ["decoder", "encoder-decoder"])
@torch.no_grad()
def test_mixed_rows_with_a_cache_and_in_generation(shape):
    model, ids = tiny(shape), inputs(shape)["input_ids"]
    deltas = {"a": learnt(LoRA(targets="linear"), shape), "b": learnt(HoulsbyAdapter(), shape)}
    written = {}
    for name, delta in deltas.items():
        with delta.attach(model):
            written[name] = model.generate(ids, max_new_tokens=5, eos_token_id=[])
    with Mixed(deltas).attach(model) as mixed, mixed.rows("aba"):
        got = model.generate(ids, max_new_tokens=5, eos_token_id=[])
    assert all(torch.equal(got[b], written[task][b]) for b, task in enumerate("aba"))
    prompts = {"a": learnt(PromptTuning(prompt_length=4), shape), "b": learnt(PromptTuning(prompt_length=4), shape, 3)}
    with Mixed(prompts).attach(model) as mixed, mixed.rows("aba"):
        cache, words = Cache(model.config), inputs(shape)["decoder_input_ids"] if shape == "encoder-decoder" else ids
        read = (lambda piece, cache=None: model.decode(piece, model.encode(ids), cache=cache)) if shape == "encoder-decoder" else (lambda piece, cache=None: model.hidden(piece, cache=cache))
        torch.testing.assert_close(torch.cat([read(piece, cache) for piece in words.split(2, dim=1)], dim=1), read(words), atol=1e-5, rtol=1e-5)


def test_a_mixed_batch_trains_each_delta_on_its_own_rows():
    model, ids = tiny("decoder"), inputs("decoder")["input_ids"]
    deltas = {"a": learnt(LoRA(), "decoder"), "b": learnt(LoRA(), "decoder", 3)}
    wanted = {}
    for name, rows in (("a", [0, 2]), ("b", [1])):
        with deltas[name].attach(model):
            model(ids[rows]).square().sum().backward()
        wanted[name] = [p.grad.clone() for p in deltas[name].parameters()]
        deltas[name].zero_grad()
    with Mixed(deltas).attach(model) as mixed, mixed.rows("aba"):
        model(ids).square().sum().backward()
    for name, delta in deltas.items():
        for p, grad in zip(delta.parameters(), wanted[name]):
            torch.testing.assert_close(p.grad, grad, atol=1e-4, rtol=1e-4)
    assert all(p.grad is None for name, p in model.named_parameters())


@pytest.mark.parametrize("family", KINDS)
@torch.no_grad()
def test_mixed_loras_equal_peft(family, tmp_path):
    """PEFT names the adapter of each row, too: `adapter_names`, with "__base__" for the plain model."""
    peft = pytest.importorskip("peft")
    model, original = pair(family, tmp_path / "backbone")
    deltas = {"a": LoRA(rank=2), "b": LoRA(rank=4)}
    for seed, (name, delta) in enumerate(deltas.items()):
        with delta.attach(model):
            noise(delta.parameters(), seed)
            delta.save(tmp_path / name, format="peft")
    twin = peft.PeftModel.from_pretrained(original, tmp_path / "a", adapter_name="a")
    twin.load_adapter(tmp_path / "b", adapter_name="b")
    texts = batch(family)
    with Mixed(deltas).attach(model) as mixed, mixed.rows(["b", None, "a"]):
        ours = model(**texts)
    equal(ours, twin.eval()(**texts, adapter_names=["b", "__base__", "a"]).logits, None if family == "t5" else texts["attention_mask"])


def test_what_cannot_be_mixed_says_so():
    model = tiny("decoder")
    with pytest.raises(DeltaError, match="none were given"):
        Mixed({})
    with pytest.raises(DeltaError, match="'a' is a PTuningV2 with positions=True.*All other families can"):
        Mixed({"a": PTuningV2(positions=True)})
    attached = LoRA().attach(model)
    with pytest.raises(DeltaError, match="'a' is attached.*Detach it first"):
        Mixed({"a": attached})
    mixed = Mixed({"reviews": attached.detach(), "news": IA3()}).attach(model)
    ids = inputs("decoder")["input_ids"]
    with pytest.raises(DeltaError, match="does not know whose these rows are"):
        model(ids)
    with pytest.raises(DeltaError, match="names the delta 'revues'. Did you mean reviews"), mixed.rows(["revues"]):
        pass
    for tasks in (["news"] * 2, ["news", "reviews"]):
        with pytest.raises(DeltaError, match="has 3 rows, and mixed.rows named 2"), mixed.rows(tasks):
            model(ids)
    with pytest.raises(DeltaError, match="Save each of them by itself"):
        mixed.save("nowhere")
    with pytest.raises(DeltaError, match="cannot be merged"):
        mixed.merge()
    with pytest.raises(DeltaError, match="is attached already"):
        Mixed({"other": LoRA()}).attach(model) and mixed.attach(model)
    with pytest.raises(DeltaError, match="not attached"), Mixed({"a": LoRA()}).rows(["a"]):
        pass


# -- the hub -------------------------------------------------------------------------------------------------


def filled(folder, shape: str = "decoder") -> DeltaHub:
    hub, model = DeltaHub(folder), tiny(shape)
    for seed, (name, delta) in enumerate({"reviews": LoRA(rank=2), "news": IA3()}.items()):
        with delta.attach(model):
            noise(delta.parameters(), seed)
            hub.save(name, delta, head=nn.Linear(16, 3) if name == "news" else None)
    return hub


def test_a_hub_tells_what_it_holds(tmp_path):
    hub = DeltaHub(tmp_path / "tasks")
    assert hub.names() == [] and hub.cards() == []
    hub = filled(tmp_path / "tasks")
    news, reviews = hub.cards()
    assert (news.name, news.method, news.parameters, news.head, news.dtype) == ("news", "ia3", 2 * (16 + 16 + 32), True, None)
    assert (reviews.name, reviews.method, reviews.parameters, reviews.head) == ("reviews", "lora", 2 * 2 * 2 * 32, False)
    assert news.backbone == reviews.backbone == fingerprint(tiny("decoder"))
    assert reviews.bytes == sum(file.stat().st_size for file in (tmp_path / "tasks" / "reviews").iterdir())
    assert {file.suffix for file in (tmp_path / "tasks").rglob("*") if file.is_file()} == {".safetensors", ".json"}
    assert load_head(tmp_path / "tasks" / "news", nn.Linear(16, 3)).out_features == 3


def test_switching_reads_the_disk_once(tmp_path, monkeypatch):
    filled(tmp_path)
    hub, model, ids = DeltaHub(tmp_path), tiny("decoder"), inputs("decoder")
    plain = model(**ids)
    with hub.on(model, "news") as delta:
        news = model(**ids)
        assert delta is hub.load("news")
    with hub.on(model, "reviews"):
        reviews = model(**ids)
    assert not torch.equal(news, plain) and not torch.equal(news, reviews) and torch.equal(model(**ids), plain)
    for file in [*tmp_path.rglob("*.safetensors"), *tmp_path.rglob("*.json")]:
        file.unlink()
    for name, expected in (("reviews", reviews), ("news", news)):
        with hub.on(model, name):
            assert torch.equal(model(**ids), expected)
    mixed = Mixed({name: hub.load(name) for name in ("reviews", "news")}).attach(model)
    with mixed.rows(["news", "reviews", None]):
        got = model(**ids)
    assert all(torch.equal(got[b], expected[b]) for b, expected in enumerate((news, reviews, plain)))


def test_a_delta_that_is_saved_again_replaces_the_old_one(tmp_path):
    hub, model = filled(tmp_path), tiny("decoder")
    old = hub.load("news")
    with LoRA(rank=1).attach(model) as delta:
        noise(delta.parameters())
        expected = model(**inputs("decoder"))
        hub.save("news", delta)
    assert hub.load("news") is not old and [card.method for card in hub.cards()] == ["lora", "lora"] and not hub.cards()[0].head
    with hub.on(model, "news"):
        assert torch.equal(model(**inputs("decoder")), expected)
    assert not list(tmp_path.glob(".*"))  # nothing half-written stays behind


def test_a_hub_is_for_one_backbone(tmp_path):
    hub, other = filled(tmp_path), tiny("decoder", seed=1)
    with pytest.raises(DeltaError, match="trained on another backbone"):
        hub.on(other, "news")
    assert not hasattr(other, "deltas")
    with hub.on(tiny("decoder"), "news"):
        pass
    for shape in ("encoder", "encoder-decoder"):  # of another shape, and the delta has its parts already
        with pytest.raises(DeltaError, match="trained on another backbone"):
            hub.on(tiny(shape), "news")
    with LoRA().attach(other) as delta, pytest.raises(DeltaError, match="made for another backbone than this LoRA hangs on") as refusal:
        hub.save("third", delta)
    assert "\n" not in str(refusal.value) and hub.names() == ["news", "reviews"]
    with Mixed({"news": DeltaHub(tmp_path, check_backbone=False).load("news")}).attach(other) as mixed, mixed.rows(["news"] * 3):
        other(**inputs("decoder"))
    with pytest.raises(DeltaError, match="called 'new'. Did you mean news"):
        hub.load("new")
    for name in ("../news", "", ".hidden", "a/b", "-a"):
        with pytest.raises(DeltaError, match="cannot name a delta"):
            hub.save(name, delta)
    with pytest.raises(DeltaError, match="not attached"):
        hub.save("third", LoRA())
    (tmp_path / "news" / "delta.json").write_text("{")
    with pytest.raises(DeltaError, match="news does not hold a readable delta"):
        hub.cards()
    with hub.on(tiny("decoder"), "reviews") as delta:  # the others still work
        assert delta.num_parameters() == 256


def test_the_page_of_methods_shows_code_that_runs(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (code,) = re.findall(r"```python\n(.*?)```", SERVING, flags=re.DOTALL)
    exec(compile(code, "README.md", "exec"), {"__name__": "readme"})
    assert [(card.name, card.dtype) for card in DeltaHub("tasks").cards()] == [("news", "bfloat16"), ("reviews", "bfloat16")]


# -- fewer bytes ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("shape", [(7,), (3, 40), (40, 3), (4, 5, 6), (1, 1)])
@pytest.mark.parametrize("size", [1e-6, 1.0, 1e6])
def test_the_error_stays_within_its_bound(shape, size):
    w = size * torch.randn(shape, generator=torch.Generator().manual_seed(0))
    w.view(-1)[0] = 0.0
    rounding = 1 + 1e-5  # of float32
    (small,) = compress("w", w, "bfloat16").values()
    assert ((small.float() - w).abs() <= w.abs() / 256).all()
    kept = compress("w", w, "int8")
    along = max(range(w.dim()), key=lambda i: w.size(i))
    bound = w.abs().amax(along, keepdim=True) / 254 * rounding
    assert ((expand(kept)["w"] - w).abs() <= bound).all() and expand(kept)["w"].dtype == torch.float32
    assert expand(kept)["w"].view(-1)[0] == 0.0 and kept["w"].min() >= -127
    if w.numel() > 1:
        assert (expand(kept)["w"] - w).abs().max() > bound.min() / 4  # the bound is no idle one
    for dtype in (None, "bfloat16", "int8"):
        assert sum(value.nbytes for value in compress("w", w, dtype).values()) == stored_bytes(w.shape, dtype)


@once
def test_every_family_comes_back_from_fewer_bytes(method, shape, tmp_path):
    """Sizes by the closed formula, every value within its bound, and what does not train untouched."""
    model = tiny(shape)
    delta = of(method, shape, 1).attach(model)
    before = _named(delta.parts_by_path())
    for dtype, bound in (("bfloat16", lambda w: w.abs() / 256), ("int8", lambda w: w.abs().max() / 254 * (1 + 1e-5))):
        folder = delta.save(tmp_path / dtype, dtype=dtype)
        again = load_delta(folder).attach(tiny(shape))
        for name, value in _named(again.parts_by_path()).items():
            if isinstance(value, nn.Parameter):
                assert value.dtype == torch.float32 and ((value - before[name]).abs() <= bound(before[name])).all(), name
            else:
                assert torch.equal(value, before[name]), name
        file = folder / "delta.safetensors"
        header = int.from_bytes(file.read_bytes()[:8], "little")
        sizes = [stored_bytes(value.shape, dtype) if isinstance(value, nn.Parameter) else value.nbytes for value in before.values()]
        assert file.stat().st_size == 8 + header + sum(sizes)
        assert again.audit().ok


def test_stored_types_and_refusals(tmp_path):
    with LoRA(rank=2).attach(tiny("decoder")) as delta:
        delta.save(tmp_path, dtype="int8")
        with safe_open(tmp_path / "delta.safetensors", framework="pt") as file:
            assert file.get_tensor("layers.0.attn.q_proj.lora_A").dtype == torch.int8
            assert file.get_tensor("layers.0.attn.q_proj.lora_A.scale").shape == file.get_tensor("layers.0.attn.q_proj.lora_B.scale").mT.shape == (2, 1)
        assert json.loads((tmp_path / "delta.json").read_text())["dtype"] == "int8"
        with pytest.raises(DeltaError, match="dtype is 'int4'. Did you mean int8"):
            delta.save(tmp_path, dtype="int4")
        with pytest.raises(DeltaError, match="PEFT keeps the values as they are"):
            delta.save(tmp_path, format="peft", dtype="int8")
        next(delta.parameters()).data[0, 0] = float("nan")
        with pytest.raises(DeltaError, match="not finite.*smaller rate"):
            delta.save(tmp_path, dtype="int8")
    load_delta(tmp_path).attach(tiny("decoder"))  # the refused saves left the old one whole
    with PromptTuning(prompt_length=3).attach(tiny("decoder")) as prompt:
        prompt.save(tmp_path / "prompt", dtype="int8")
        assert (SPoT(source=tmp_path / "prompt").source - next(prompt.parameters())).abs().max() < 1e-3


# -- merged, and on to transformers --------------------------------------------------------------------------


@pytest.mark.parametrize(("method", "family"), [(method, list(KINDS)[i % 3]) for i, method in enumerate(sorted(MERGES))] + [("lora", family) for family in KINDS])
@torch.no_grad()
def test_a_merged_model_is_a_folder_of_transformers(family, method, tmp_path):
    import transformers

    model, _ = pair(family, tmp_path / "before")
    torch.manual_seed(0)
    try:
        delta = example(method, model).attach(model)
    except DeltaError:
        assert (method, family) == ("bitfit", "t5")
        return
    noise(delta.parameters(), size=0.05)
    texts = batch(family)
    attached = model(**texts)
    delta.merge()
    model.save_pretrained(tmp_path / "merged")
    theirs = getattr(transformers, KINDS[family]).from_pretrained(tmp_path / "merged").eval()
    mask = None if family == "t5" else texts["attention_mask"]
    equal(theirs(**texts).logits, model(**texts), mask)
    equal(theirs(**texts).logits, attached, mask)
    assert torch.equal(load_model(tmp_path / "merged", device="cpu")(**texts), model(**texts))
    delta.detach()
    assert fingerprint(model) == fingerprint(load_model(tmp_path / "before", device="cpu"))  # the model at hand is the old one again


# -- an int8 backbone ----------------------------------------------------------------------------------------


def test_an_int8_linear_by_hand():
    model = tiny("decoder")
    linear = model.layers[0].attn.q_proj
    with torch.no_grad():
        linear.weight.zero_()
        linear.weight[0, :2] = torch.tensor([2.54, -1.01])
    quantized = Int8Linear(linear)
    assert quantized.q[0, :3].tolist() == [127, -50, 0] and not quantized.q[1:].any()  # s = 0.02; -50.5 goes to the even one
    torch.testing.assert_close(quantized.weight[0, :2], torch.tensor([2.54, -1.0]))
    x = torch.randn(2, 3, 16)
    torch.testing.assert_close(quantized(x)[..., 0], 2.54 * x[..., 0] - x[..., 1] + linear.bias[0], atol=1e-5, rtol=1e-5)


@shapes
@torch.no_grad()
def test_an_int8_backbone_is_the_same_one_with_rounded_weights(shape):
    model, rounded = tiny(shape), tiny(shape)
    for name, p in rounded.named_parameters():
        if name.endswith("_proj.weight"):
            step = p.abs().amax(1, keepdim=True) / 127
            near = (p / step).round() * step
            assert ((near - p).abs() <= step / 2 * (1 + 1e-5)).all()
            p.copy_(near)
    before, weights = weight_bytes(model), [p.shape for name, p in model.named_parameters() if name.endswith("_proj.weight")]
    plain = model(**inputs(shape))
    assert quantize(model) is model and list(model.sites()) == list(tiny(shape).sites())
    torch.testing.assert_close(model(**inputs(shape)), rounded(**inputs(shape)), atol=1e-5, rtol=1e-5)
    assert 0 < (model(**inputs(shape)) - plain).abs().max() < 0.1 * plain.std()
    assert weight_bytes(model) == before - sum(3 * shape.numel() - 4 * shape[0] for shape in weights)


@once
def test_deltas_above_an_int8_backbone(method, shape):
    """Trained before, they hang on again and change the outputs as before, a little off; they go on training; none merges into int8."""
    model = tiny(shape)
    delta = of(method, shape, 1)
    with delta.attach(model):
        wanted = model(**inputs(shape))
    quantize(model)
    plain = model(**inputs(shape))
    with delta.attach(model):
        got = model(**inputs(shape))
        assert delta.audit().ok and (got - wanted).abs().max() < (plain - wanted).abs().max()
        got.square().mean().backward()
        assert all(p.grad is not None for p in delta.parameters())
        if METHODS[method].__module__.rsplit(".", 1)[-1] in ("lora", "lora_variants", "dora", "products"):
            with pytest.raises(DeltaError, match="is int8 here, and cannot take up a change"):
                delta.merge()
    assert torch.equal(model(**inputs(shape)), plain)


def test_a_dynamic_int8_linear_by_hand():
    """x = (1.27, -0.506), q = (127, -50), s = 0.02: r = 0.01, p = (127, -51), and 127 * 127 + 50 * 51 = 18,679 steps of 0.0002."""
    linear = Linear(2, 2)
    with torch.no_grad():
        linear.weight.copy_(torch.tensor([[2.54, -1.01], [0.0, 0.0]]))
        linear.bias.copy_(torch.tensor([0.0, 0.5]))
        out = Int8Linear(linear, dynamic=True)(torch.tensor([[1.27, -0.506], [0.0, 0.0]]))
    torch.testing.assert_close(out, torch.tensor([[18679 * 0.0002, 0.5], [0.0, 0.5]]))


@shapes
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@torch.no_grad()
def test_a_dynamic_int8_backbone_is_near_the_one_with_int8_weights(shape, dtype):
    model, weights_only, texts = tiny(shape).to(dtype), quantize(tiny(shape).to(dtype)), inputs(shape)
    plain = model(**texts)
    quantize(model, dynamic=True)
    assert weight_bytes(model) == weight_bytes(weights_only)
    got, near = model(**texts), weights_only(**texts)
    assert got.dtype == dtype and not torch.equal(got, near) and (got - plain).abs().max() < 0.15 * plain.std()
    assert torch.equal(model(**texts), got)


@torch.no_grad()
def test_every_token_has_a_ruler_of_its_own():
    """A token's row comes out to the bit the same beside a token a thousand times as large, or alone."""
    linear = Int8Linear(Linear(16, 8), dynamic=True)
    x = torch.randn(3, 16) * torch.tensor([[1.0], [1000.0], [0.001]])
    assert torch.equal(linear(x), torch.cat([linear(row[None]) for row in x]))
    assert linear(x[:0]).shape == (0, 8) and linear(x[None]).shape == (1, 3, 8)


def test_a_dynamic_int8_backbone_answers_and_does_not_train():
    model, texts = quantize(tiny("encoder"), dynamic=True), inputs("encoder")
    with LoRA().attach(model) as delta:
        noise(delta.parameters(), size=0.1)
        with torch.no_grad():
            assert model(**texts).isfinite().all()
        with pytest.raises(DeltaError, match="passes no gradient on. Train on the floats"):
            model(**texts)


def test_an_int8_backbone_and_files(tmp_path):
    model, texts = tiny("encoder"), inputs("encoder")
    with LoRA().attach(model) as delta:
        noise(delta.parameters(), size=0.1)
        wanted = model(**texts)
        delta.save(tmp_path / "float")
        with pytest.raises(DeltaError, match="'lora' hangs on this model"):
            quantize(model)
    quantize(model)
    with pytest.raises(DeltaError, match="int8 already"):
        quantize(model)
    with pytest.raises(CheckpointError, match="turned into int8"):
        save_pretrained(model, tmp_path / "model")
    with pytest.raises(DeltaError, match="another backbone"):
        load_delta(tmp_path / "float").attach(model)
    with load_delta(tmp_path / "float", check_backbone=False).attach(model) as delta:
        assert (model(**texts) - wanted).abs().max() < 0.1 * wanted.std()
        delta.save(tmp_path / "above")
    load_delta(tmp_path / "above").attach(quantize(tiny("encoder")))  # the same backbone, turned again
    half = quantize(tiny("encoder")).to(torch.bfloat16)
    assert half(**texts).dtype == torch.bfloat16
    quantize(tiny("encoder")).to("meta")(**{name: value.to("meta") for name, value in texts.items()})
