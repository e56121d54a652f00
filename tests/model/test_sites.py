"""Sites: their paths, their silence when empty, and what toy deltas can do there, with padding and cached generation."""

import pytest
import torch
from torch import nn
from transformers import DynamicCache

from minidelta.model import Cache, Linear, Site, Transformer, attention_maps, bert_config, gpt2_config, t5_config
from minidelta.model.layers import LayerNorm, RMSNorm

SIZES = dict(vocab_size=61, d_model=32, n_layers=2, n_heads=4, d_ff=48)
CONFIGS = {
    "bert": bert_config(**SIZES),
    "gpt2": gpt2_config(**SIZES, pad_token_id=0, eos_token_id=1),
    "t5": t5_config(**SIZES),
    "t5-1.1": t5_config("1.1", **SIZES),
}


class Prefix(nn.Module):
    """At attn.kv: P learned vectors before the keys and the values (Li and Liang 2021)."""

    def __init__(self, width: int = 32, length: int = 3):
        super().__init__()
        self.k, self.v = nn.Parameter(torch.randn(length, width)), nn.Parameter(torch.randn(length, width))

    def forward(self, x, out):
        k, v = out
        rows = len(k)
        return torch.cat((self.k.expand(rows, -1, -1), k), 1), torch.cat((self.v.expand(rows, -1, -1), v), 1)


class Scale(nn.Module):
    """At attn.kv: IA3's elementwise scaling of keys and values (Liu et al. 2022)."""

    def __init__(self, width: int = 32):
        super().__init__()
        self.k, self.v = nn.Parameter(torch.rand(width) + 0.5), nn.Parameter(torch.rand(width) + 0.5)

    def forward(self, x, out):
        return out[0] * self.k, out[1] * self.v


class Prompt(nn.Module):
    """At embed_out: P learned vectors before the embeddings (Lester et al. 2021)."""

    def __init__(self, width: int = 32, length: int = 3):
        super().__init__()
        self.vectors = nn.Parameter(torch.randn(length, width))

    def forward(self, x, out):
        return torch.cat((self.vectors.expand(len(out), -1, -1), out), 1)


class Strip(nn.Module):
    """At final: keep the states of the tokens alone."""

    def forward(self, x, out):
        return out[:, -x.size(1) :]


class Shift(nn.Module):
    """Anywhere: add a number."""

    def forward(self, x, out):
        return out + 1.0


def hang(model: Transformer, suffix: str, make, name: str = "toy") -> None:
    """Hang a new part on every site whose path ends so."""
    found = [site for path, site in model.sites().items() if path.endswith(suffix)]
    assert found
    for site in found:
        site.parts[name] = make()


def answer(family: str, ids: torch.Tensor, mask: torch.Tensor | None = None) -> dict:
    """What T5 needs besides: its decoder reads the same ids."""
    return dict(decoder_input_ids=ids, decoder_attention_mask=mask) if family.startswith("t5") else {}


def near(ours, theirs, mask=None):
    difference = (ours - theirs).abs()
    assert (difference if mask is None else difference * mask[..., None]).max() < 1e-5


# Paths


def test_paths_of_one_stack():
    model = Transformer(gpt2_config(**SIZES))
    layer = [f"attn.{name}" for name in ("q_proj", "k_proj", "v_proj", "kv", "o_proj")]
    layer += ["attn_out", "attn_norm", "ffn.up_proj", "ffn.act", "ffn.down_proj", "ffn_out", "ffn_norm", "block_out"]
    assert list(model.sites()) == ["embed_out", *(f"layers.{i}.{path}" for i in range(2) for path in layer), "final_norm", "final"]


def test_paths_of_two_stacks():
    paths = list(Transformer(t5_config("1.1", **SIZES, n_decoder_layers=1)).sites())
    assert {path.split(".")[0] for path in paths} == {"encoder", "decoder"}
    assert "encoder.layers.1.ffn.gate_proj" in paths
    assert "decoder.layers.0.cross.q_proj" in paths and "decoder.layers.0.cross.kv" in paths
    assert "decoder.layers.0.cross_out" in paths and "encoder.layers.0.cross_out" not in paths
    assert "decoder.layers.1.attn_out" not in paths
    assert paths[0] == "encoder.embed_out" and paths[-1] == "decoder.final"


def test_paths_lead_to_modules(family):
    model = Transformer(CONFIGS[family])
    for path, site in model.sites().items():
        module = model.get_submodule(path)
        assert module is site or (isinstance(module, (Linear, LayerNorm, RMSNorm)) and module.site is site)


def test_every_site_is_on_the_way(family, ragged):
    """Whatever hangs on any site changes the hidden states, or sees what passes."""
    model = Transformer(CONFIGS[family], seed=0).eval()
    ids, mask = ragged()
    given = answer(family, ids)
    seen = []

    class Look(nn.Module):
        def __init__(self, path):
            super().__init__()
            self.path = path

        def forward(self, x, out):
            seen.append(self.path)
            return out

    with torch.no_grad():
        before = model.hidden(ids, mask, **given)
        for path, site in model.sites().items():
            site.parts["look"] = Look(path)
        assert torch.equal(model.hidden(ids, mask, **given), before)
    assert sorted(seen) == sorted(model.sites())


# One site


def test_an_empty_site_hands_on_the_very_object():
    out = torch.ones(2)
    assert Site()(None, out) is out
    pair = (out, out)
    assert Site()(None, pair) is pair


def test_parts_run_in_the_order_they_came():
    class Double(nn.Module):
        def forward(self, x, out):
            return out * 2

    site = Site()
    site.parts["first"], site.parts["second"] = Shift(), Double()
    assert site(None, torch.zeros(1)).item() == 2.0


def test_parts_follow_the_model_and_stay_out_of_its_backbone(family):
    model = Transformer(CONFIGS[family], seed=0)
    before = set(model.state_dict())
    hang(model, "attn.kv", Prefix)
    assert set(model.backbone_state()) == before
    added = set(model.state_dict()) - before
    assert added and all(".kv.parts.toy." in key for key in added)
    model.eval().to(torch.float64)
    parts = [part for site in model.sites().values() for part in site.parts.values()]
    assert all(not part.training and part.k.dtype == torch.float64 for part in parts)
    assert list(model.sites()) == list(Transformer(CONFIGS[family]).sites())


# Prefix and scaling at attn.kv


def test_a_prefix_is_what_transformers_calls_past_key_values(twins, ragged):
    ours, theirs = twins("gpt2")
    torch.manual_seed(0)
    hang(ours, "attn.kv", Prefix)
    for side in ("left", "right"):
        ids, mask = ragged(side=side)
        past = DynamicCache()
        for i, layer in enumerate(ours.layers):
            part = layer.attn.kv.parts["toy"]
            past.update(*(layer.attn.heads(t.detach().expand(3, -1, -1)) for t in (part.k, part.v)), i)
        positions = torch.arange(11).expand(3, -1)
        with torch.no_grad():
            expected = theirs(ids, attention_mask=torch.cat((torch.ones(3, 3, dtype=torch.long), mask), 1), past_key_values=past, position_ids=positions)
            near(ours(ids, mask), expected.logits, mask)


def test_a_prefix_without_padding_keeps_the_order_of_time(family, ragged):
    """The fast causal path has no mask to lengthen; it must make one."""
    model = Transformer(CONFIGS[family], seed=0).eval()
    hang(model, "attn.kv", Prefix)
    ids, mask = ragged()
    full = torch.ones_like(mask)
    with torch.no_grad():
        near(model.hidden(ids, **answer(family, ids)), model.hidden(ids, full, **answer(family, ids, full)))


def test_the_pictures_show_the_prefix(family, ragged):
    model = Transformer(CONFIGS[family], seed=0).eval()
    hang(model, "attn.kv", Prefix)
    ids, mask = ragged()
    maps = attention_maps(model, ids, mask, **answer(family, ids))
    for path, weights in maps.items():
        width = 14 if path.endswith("attn") else 11
        assert weights.shape == (3, 4, 11, width)
        torch.testing.assert_close(weights.sum(-1), torch.ones(3, 4, 11))
        if width == 14:
            assert (weights[..., :3].sum(-1) > 0).all()


# Prompts at embed_out


@pytest.mark.parametrize("side", ["left", "right", None])
def test_a_prompt_is_what_transformers_calls_inputs_embeds(twins, ragged, family, side):
    ours, theirs = twins(family)
    torch.manual_seed(0)
    part = Prompt()
    ours.get_submodule("encoder" if family.startswith("t5") else "").embed_out.parts["toy"] = part
    ids, mask = ragged(side=side or "left")
    ids = ids if side else ids.clamp(min=2)
    mask = mask if side else torch.ones_like(mask)
    with torch.no_grad():
        embedded = part(None, theirs.get_input_embeddings()(ids))
        longer = torch.cat((torch.ones(3, 3, dtype=torch.long), mask), 1)
        if family.startswith("t5"):
            expected = theirs(inputs_embeds=embedded, attention_mask=longer, decoder_input_ids=ids).logits
            near(ours(ids, mask if side else None, decoder_input_ids=ids), expected)
        else:
            ours.final.parts["toy"] = Strip()
            types = torch.ones_like(ids) if family == "bert" else None
            more = dict(token_type_ids=torch.cat((torch.zeros(3, 3, dtype=torch.long), types), 1)) if family == "bert" else {}
            out = theirs(inputs_embeds=embedded, attention_mask=longer, **more)
            expected = out.prediction_logits if family == "bert" else out.logits
            near(ours(ids, mask if side else None, types), expected[:, 3:], mask)


def test_given_positions_move_behind_the_prompt(ragged):
    model = Transformer(CONFIGS["gpt2"], seed=0).eval()
    hang(model, "embed_out", Prompt)
    hang(model, "final", Strip)
    ids, mask = ragged(side="left")
    positions = (mask.cumsum(1) - 1).clamp(min=0)
    with torch.no_grad():
        batch = model(ids, mask, position_ids=positions)
        for row, length in enumerate(mask.sum(1).tolist()):
            near(batch[row, -length:], model(ids[row : row + 1, -length:])[0])


# Generation with a cache, against reading everything again at each step


class Rereader:
    """A writer that remembers the text alone."""

    def __init__(self, model, input_ids, attention_mask, max_new_tokens):
        self.model, self.ids, self.mask, self.text = model, input_ids, attention_mask, None
        self.two = model.config.shape == "encoder-decoder"
        self.start = input_ids.new_full((len(input_ids), 1), model.config.decoder_start_token_id) if self.two else input_ids

    def logits(self, new):
        self.text = new if self.text is None else torch.cat((self.text, new), 1)
        if self.two:
            return self.model(self.ids, self.mask, decoder_input_ids=self.text)[:, -1]
        mask = torch.cat((self.mask, torch.ones(len(new), self.text.size(1) - self.mask.size(1), dtype=torch.long)), 1)
        return self.model(self.text, mask, position_ids=(mask.cumsum(1) - 1).clamp(min=0))[:, -1]

    def repeat(self, times):
        rows = torch.arange(len(self.ids)).repeat_interleave(times)
        self.ids, self.mask, self.text = self.ids[rows], self.mask[rows], self.text[rows]

    def reorder(self, rows):
        self.text = self.text[rows]


TOYS = {
    "nothing": {},
    "prefix": {"attn.kv": Prefix},
    "prefix on cross": {"kv": Prefix},
    "scale": {"kv": Scale},
    "prompt": {"embed_out": Prompt, "final": Strip},
    "all": {"attn.kv": Prefix, "embed_out": Prompt, "final": Strip, "ffn.act": Shift, "o_proj": Shift},
}


@pytest.mark.parametrize("family", ["gpt2", "t5", "t5-1.1"])
@pytest.mark.parametrize("toys", TOYS)
@pytest.mark.parametrize("beams", [1, 3])
def test_with_a_cache_everything_enters_once(monkeypatch, family, ragged, toys, beams):
    torch.manual_seed(1)
    model = Transformer(CONFIGS[family], seed=1).eval()
    for suffix, make in TOYS[toys].items():
        if family.startswith("t5") and suffix == "final":
            suffix = "decoder.final"  # the decoder attends to the prompt that its encoder kept
        hang(model, suffix, make)
    ids, mask = ragged(side="left")
    settings = dict(max_new_tokens=8, num_beams=beams, eos_token_id=[4, 9, 17])
    cached = model.generate(ids, mask, **settings)
    monkeypatch.setitem(Transformer.generate.__globals__, "Writer", Rereader)
    assert torch.equal(cached, model.generate(ids, mask, **settings))


def test_the_cache_counts_the_prompt_once():
    model = Transformer(CONFIGS["gpt2"], seed=0).eval()
    hang(model, "embed_out", Prompt)
    hang(model, "attn.kv", Prefix)
    cache = Cache(model.config)
    ids = torch.arange(2, 7)[None]
    with torch.no_grad():
        model.hidden(ids[:, :3], cache=cache)
        model.hidden(ids[:, 3:], cache=cache)
    assert (cache.length, cache.prompt) == (8, 3)
    assert cache.own[0].k.shape == (1, 11, 32)  # 3 of the prefix, 3 of the prompt, 5 tokens


# Gradients


def test_gradients_reach_parts_on_a_frozen_backbone(family, ragged):
    model = Transformer(CONFIGS[family], seed=0)
    model.requires_grad_(False)
    hang(model, "kv", Prefix)
    hang(model, "kv", Scale, "scale")
    hang(model, "embed_out", Prompt)
    hang(model, "final", Strip)
    ids, mask = ragged()
    model(ids, mask, **answer(family, ids)).square().mean().backward()
    for name, parameter in model.named_parameters():
        assert (parameter.grad is not None and parameter.grad.abs().sum() > 0) == (".parts." in name), name
