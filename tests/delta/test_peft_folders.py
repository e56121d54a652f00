"""Folders of PEFT, written and read: the same logits on both sides."""

import json

import pytest
import torch

from minidelta.delta import BitFit, DoRA, HoulsbyAdapter, LoRA, LoRAPlus, RsLoRA, load_delta
from minidelta.errors import CheckpointError, DeltaError
from tests.delta.oracle import batch, equal, noise, pair
from tests.delta.tiny import tiny

ALL = {
    "bert": ["query", "key", "value", "attention.output.dense", "intermediate.dense"], "gpt2": ["c_attn", "attn.c_proj", "mlp.c_fc", "mlp.c_proj"],
    "t5": ["q", "k", "v", "o", "wi", "wo"],
}  # fmt: skip
MASKED = ("bert", "gpt2")


@pytest.mark.parametrize("family", ALL)
@pytest.mark.parametrize("make", [lambda: LoRA(rank=2, alpha=6.0), lambda: LoRA(rank=3, targets="linear"), lambda: RsLoRA(rank=4), lambda: LoRAPlus(rank=2, targets=["q_proj", "o_proj"]), lambda: DoRA(rank=2, targets=["o_proj", "up_proj"])])
def test_peft_reads_what_we_write(family, make, tmp_path):
    peft = pytest.importorskip("peft")
    ours, original = pair(family, tmp_path / "model")
    delta = make().attach(ours)
    noise(delta.parameters())
    delta.save(tmp_path / "adapter", format="peft")
    twin = peft.PeftModel.from_pretrained(original, tmp_path / "adapter").eval()
    inputs = batch(family)
    equal(ours(**inputs), twin(**inputs).logits, inputs["attention_mask"] if family in MASKED else None)
    fresh = pair(family, tmp_path / "again")[0]
    load_delta(tmp_path / "adapter").attach(fresh)
    torch.testing.assert_close(fresh(**inputs), ours(**inputs), atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("family", ALL)
@pytest.mark.parametrize("settings", [{}, {"use_rslora": True}, {"use_dora": True}])
def test_we_read_what_peft_writes(family, settings, tmp_path):
    peft = pytest.importorskip("peft")
    ours, original = pair(family, tmp_path / "model")
    targets = [name for name in ALL[family] if not (settings.get("use_dora") and name == "c_attn")]
    twin = peft.get_peft_model(original, peft.LoraConfig(r=3, lora_alpha=5, target_modules=targets, fan_in_fan_out=family == "gpt2", **settings)).eval()
    noise(p for name, p in twin.named_parameters() if "lora_" in name)
    twin.save_pretrained(tmp_path / "adapter")
    delta = load_delta(tmp_path / "adapter").attach(ours)
    assert delta.name == ("dora" if settings.get("use_dora") else "lora") and delta.audit().ok
    inputs = batch(family)
    equal(ours(**inputs), twin(**inputs).logits, inputs["attention_mask"] if family in MASKED else None)


def test_what_cannot_be_written_or_read(tmp_path):
    for delta, message in ((BitFit(), "this is a BitFit"), (HoulsbyAdapter(), "this is a HoulsbyAdapter")):
        with delta.attach(tiny("decoder")), pytest.raises(DeltaError, match=message):
            delta.save(tmp_path / "a", format="peft")
    lora = LoRA(rank=2).attach(tiny("decoder"))
    with pytest.raises(DeltaError, match="format is 'petf'.*Did you mean peft"):
        lora.save(tmp_path / "a", format="petf")
    with pytest.raises(DeltaError, match="no place for a task head"):
        lora.save(tmp_path / "a", head=torch.nn.Linear(2, 2), format="peft")
    with pytest.raises(CheckpointError, match="fused q, k and v"):
        DoRA(rank=2).attach(tiny("decoder")).save(tmp_path / "a", format="peft")
    lora.save(tmp_path / "b", format="peft")
    config = tmp_path / "b" / "adapter_config.json"
    about = json.loads(config.read_text())
    for change, message in (({"peft_type": "IA3"}, "of the type IA3"), ({"rank_pattern": {"q": 3}}, "sets rank_pattern"), ({"peft_type": None}, "of the type None")):
        config.write_text(json.dumps(about | change))
        with pytest.raises(CheckpointError, match=message):
            load_delta(tmp_path / "b")
    config.write_text("{")
    with pytest.raises(CheckpointError, match="readable PEFT adapter"):
        load_delta(tmp_path / "b")
