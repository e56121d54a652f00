"""A trained run comes back from its folder with the same answers, and a typed text becomes an example."""

import json
from dataclasses import replace

import pytest
import torch

from minidelta.delta import LoRA, load_delta
from minidelta.errors import CheckpointError, DataError
from minidelta.finetune import learner_for, load_run, read_example, save_run, train_task
from minidelta.hub import save_pretrained
from tests.finetune.tiny import TASK_OF, model, task, tokenizer


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """Untrained backbones on disk, as `load_model` finds them."""
    folders = {family: tmp_path_factory.mktemp(family) for family in ("bert", "gpt", "t5")}
    for family, folder in folders.items():
        save_pretrained(model(family), folder, tokenizer(family))
    return folders


@pytest.mark.parametrize("method", ["full", "head", "lora"])
@pytest.mark.parametrize(("family", "kind"), [("bert", "relation"), ("gpt", "pair"), ("t5", "classification")])
def test_a_run_comes_back(family, kind, method, folders, tmp_path):
    few, backbone = task(kind), model(family)
    ours = learner_for(backbone, tokenizer(family), few)
    delta = LoRA(rank=2).attach(backbone) if method == "lora" else None
    result = train_task(ours, few, method, delta, steps=15, lr=1e-2, batch_size=16, validations=0)
    if method == "lora":
        assert result.trainable == delta.num_parameters() + sum(p.numel() for p in ours.parameters())
    save_run(tmp_path, ours, model_name=str(folders[family]), method=method, delta=delta, score=result.score)
    again = load_run(tmp_path, load_delta=load_delta, device="cpu")
    with torch.no_grad():
        expected = [ours.loss(ours.collate([example])).item() for example in few.test[:3]]
        assert [again.learner.loss(again.learner.collate([example])).item() for example in few.test[:3]] == pytest.approx(expected, abs=1e-5)
    assert again.predict(few.test) == ours.predict(few.test)
    assert again.about["method"] == method and again.about["score"] == result.score
    assert (tmp_path / "model").exists() == (method == "full")
    if method != "full":  # small: without the backbone
        size = sum(file.stat().st_size for file in tmp_path.rglob("*.safetensors"))
        assert size < sum(file.stat().st_size for file in folders[family].glob("*.safetensors")) * 0.7


@pytest.mark.parametrize("method", ["head", "lora"])
def test_mention_types_come_back_with_the_head(method, folders, tmp_path):
    few, backbone = task("relation"), model("bert")
    ours = learner_for(backbone, tokenizer("bert"), few, representation="mention-types")
    delta = LoRA(rank=2).attach(backbone) if method == "lora" else None
    train_task(ours, few, method, delta, steps=15, lr=1e-2, batch_size=16, validations=0)
    save_run(tmp_path, ours, model_name=str(folders["bert"]), method=method, delta=delta)
    again = load_run(tmp_path, load_delta=load_delta, device="cpu").learner
    assert again.representation == "mention-types" and torch.equal(again.head.mentions.weight, ours.head.mentions.weight)
    assert again.predict(few.test) == ours.predict(few.test)


def test_folders_that_are_no_run(folders, tmp_path):
    with pytest.raises(CheckpointError, match="does not hold a readable run"):
        load_run(tmp_path)
    ours = learner_for(model("bert"), tokenizer("bert"), task("pair"))
    save_run(tmp_path, ours, model_name=str(folders["bert"]), method="head")
    (tmp_path / "head.safetensors").unlink()
    with pytest.raises(CheckpointError, match="missing or does not fit"):
        load_run(tmp_path, device="cpu")
    about = json.loads((tmp_path / "run.json").read_text())
    (tmp_path / "run.json").write_text(json.dumps(about | {"delta": True}))
    with pytest.raises(CheckpointError, match="load_delta"):
        load_run(tmp_path, device="cpu")


def test_a_delta_is_refused_on_another_backbone(folders, tmp_path):
    from minidelta.errors import DeltaError

    other = model("bert", seed=1)
    ours = learner_for(other, tokenizer("bert"), task("pair"))
    save_run(tmp_path, ours, model_name=str(folders["bert"]), method="lora", delta=LoRA().attach(other))
    with pytest.raises(DeltaError, match="another backbone"):
        load_run(tmp_path, load_delta=load_delta, device="cpu")


def test_typed_texts():
    example = read_example(task("relation"), "In [E2]Oslo[/E2] lives [E1] Ada Lunt [/E1].")
    assert example.text == "In Oslo lives Ada Lunt."
    assert [example.text[slice(*example.meta[end])] for end in ("head", "tail")] == ["Ada Lunt", "Oslo"]
    assert read_example(task("tagging"), "Ada's harp").meta["tokens"] == ["Ada", "'", "s", "harp"]
    for kind in TASK_OF:
        example = read_example(task(kind), "[E1] Ada [/E1] met [E2] Eve [/E2]." if kind == "relation" else "Ada met Eve.", "Who met Eve?", ["Ada", "Eve"])
        for family in ("bert", "gpt", "t5"):
            if (family, kind) != ("bert", "generation"):
                assert len(learner_for(model(family), tokenizer(family), task(kind)).predict([example])) == 1
    for kind, text, message in [("relation", "Ada met Eve.", r"\[E1\] Ada \[/E1\]"), ("classification", "  ", "empty"), ("choice", "x", "choices"), ("extraction", "x", "question")]:
        with pytest.raises(DataError, match=message):
            read_example(task(kind), text)


def test_every_method_starts_from_the_same_head():
    few = replace(task("pair"), train=task("pair").train[:4])
    heads = [learner_for(model("bert", seed=s), tokenizer("bert"), few, seed=5).head.weight for s in (0, 1)]
    assert torch.equal(*heads)
