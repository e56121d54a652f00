"""What works with the embedded models works with folders as the hub has them, from the command line to the last method.

The folders are made by `layouts.py` in the form of four published models, small; one BERT of the full 110 million parameters
reads and takes a LoRA step in a process of its own, whose memory is limited.
"""

import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch
import transformers

from minidelta import cli
from minidelta.data import load_task
from minidelta.hub import load_config, load_model, load_tokenizer
from minidelta.model import Transformer
from tests.hub.layouts import NAMES, PUBLISHED, make

ROOT = Path(__file__).parents[2]
GIB = 2**30
BERTS, GPTS, T5S = NAMES[:1], NAMES[1:2], NAMES[2:]


@pytest.fixture(scope="session")
def published(tmp_path_factory):
    """Name -> its folder, small."""
    place = tmp_path_factory.mktemp("published")
    return {name: make(name, place / name.replace("/", "--")) for name in NAMES}


@pytest.fixture(scope="session")
def reviews(tmp_path_factory):
    """A person's own file with long and short texts."""
    path = tmp_path_factory.mktemp("data") / "reviews.csv"
    rows = [f'"{example.text}",{("bad", "good")[example.label == "positive"]}' for example in load_task("sentiment").train[:60]]
    path.write_text("\n".join(["text,label", *rows, f'"{"so long, " * 400}",bad']) + "\n", encoding="utf-8")
    return path


def ran(capsys, *words):
    assert cli.main(["run", *map(str, words), "--json"]) == 0, capsys.readouterr().err
    return json.loads(capsys.readouterr().out)


# -- what is read --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", NAMES)
@torch.no_grad()
def test_the_same_logits_as_transformers(published, name):
    """Real text through the folder's own tokenizer, padded, in both libraries."""
    model, tokenizer = load_model(published[name], device="cpu"), load_tokenizer(published[name])
    theirs = transformers.AutoTokenizer.from_pretrained(published[name])
    if tokenizer.pad_token is None:
        tokenizer.pad_token = theirs.pad_token = tokenizer.eos_token  # GPT-2 has no padding piece
    texts = [example.text for example in load_task("sentiment").test[:4]] + ["Naïve? \"Well\"... it's 3.5 out of 10!"]
    inputs = tokenizer(texts, padding=True, return_tensors="pt")
    assert inputs["input_ids"].tolist() == theirs(texts, padding=True)["input_ids"]
    kind = {"bert": "BertForMaskedLM", "gpt2": "GPT2LMHeadModel", "t5": "T5ForConditionalGeneration"}[PUBLISHED[name]["model_type"]]
    reference = getattr(transformers, kind).from_pretrained(published[name]).eval()
    if name in T5S:
        inputs["decoder_input_ids"] = inputs["input_ids"]
    where = inputs["attention_mask"].bool()
    ours, expected = model(**inputs)[where], reference(**inputs).logits[where]
    torch.testing.assert_close(ours, expected, atol=1e-5, rtol=0)
    assert expected.std() > 1e-3


def test_what_the_files_say(published):
    bert, gpt, t5, flan = (load_config(published[name]) for name in NAMES)
    assert bert.pooler and bert.next_sentence and bert.lm_head == "mlm", "heads that config.json does not name"
    assert gpt.tied and gpt.eos_token_id == gpt.vocab_size - 1
    assert t5.tied and not t5.gated and t5.vocab_size == len(load_tokenizer(published["t5-small"])) + 28
    assert flan.gated and not flan.tied


@pytest.mark.parametrize(("name", "parameters"), list(zip(NAMES, (109_514_298, 124_439_808, 60_506_624, 76_961_152))))
def test_the_published_settings_give_the_published_sizes(name, parameters, tmp_path):
    """From config.json alone; the pooler and the next-sentence head of bert-base-uncased are seen in its weights only."""
    (tmp_path / "config.json").write_text(json.dumps(PUBLISHED[name]), encoding="utf-8")
    with torch.device("meta"):
        model = Transformer(load_config(tmp_path))
    assert sum(parameter.numel() for parameter in model.parameters()) == parameters


# -- what is done with it ------------------------------------------------------------------------------------


@pytest.mark.parametrize("method", ["full", "lora"])
@pytest.mark.parametrize("name", NAMES)
def test_run(published, capsys, name, method):
    result = ran(capsys, "--model", published[name], "--task", "sentiment", "--method", method, "--limit", 40, "--steps", 2, "--batch-size", 8)
    assert (result["steps"], result["train"], result["test"]) == (2, 40, 40) and 0 <= result["score"] <= 1
    assert (result["trainable"] == result["total"]) == (method == "full")


@pytest.mark.parametrize("name", NAMES)
def test_run_on_a_file_and_predict(published, reviews, tmp_path, capsys, name):
    out = tmp_path / "kept"
    result = ran(capsys, "--model", published[name], "--task", reviews, "--method", "houlsby", "--steps", 2, "--batch-size", 8, "--no-from-scratch", "--out", out)
    assert result["truncated"] == 1, "one text is longer than each of them reads"
    assert cli.main(["predict", "--run", str(out), "--json", "a fine meal"]) == 0
    assert json.loads(capsys.readouterr().out)["label"] in ("bad", "good", None)


@pytest.mark.parametrize("name", NAMES)
def test_prompts(published, reviews, capsys, name):
    """In the words of a template: names of labels, cut as the folder's tokenizer cuts them."""
    words = ("--model", published[name], "--task", reviews, "--method", "prompt", "--template", "{text_a|shorten} It was {mask}.", "--no-from-scratch")
    assert ran(capsys, *words, "--tune", "none")["trainable"] == 0
    assert ran(capsys, *words, "--tune", "lora", "--steps", 2, "--batch-size", 8)["steps"] == 2


@pytest.mark.parametrize("name", NAMES)
def test_in_context(published, reviews, capsys, name):
    result = ran(capsys, "--model", published[name], "--task", reviews, "--method", "incontext", "--shots", 2, "--no-from-scratch")
    assert result["trainable"] == 0 and result["shots"] == 2


@pytest.mark.parametrize(("name", "task"), [(name, task) for name in BERTS for task in ("relation", "tagging", "qa-extract", "qa-choice", "paraphrase")]
    + [(name, task) for name in GPTS for task in ("relation", "paraphrase", "translation", "qa-extract")]
    + [(name, task) for name in T5S for task in ("relation", "tagging", "translation", "qa-extract")])  # fmt: skip
def test_every_kind_of_task(published, capsys, name, task):
    """With BERT, the marks of a relation are [unused] pieces of its vocabulary."""
    result = ran(capsys, "--model", published[name], "--task", task, "--method", "lora", "--limit", 16, "--steps", 1, "--batch-size", 4)
    assert 0 <= result["score"] <= 1


# -- the full size, in little memory -------------------------------------------------------------------------

FULL = """
import json, sys
from minidelta.data import load_task
from minidelta.delta import LoRA
from minidelta.finetune import learner_for
from minidelta.finetune.training import parameter_groups
from minidelta.hub import load_model, load_tokenizer
from minidelta.train import fit

folder = sys.argv[1]
model, tokenizer, task = load_model(folder, device="cpu"), load_tokenizer(folder), load_task("sentiment", limit=8)
delta = LoRA(rank=8).attach(model)
learner = learner_for(model, tokenizer, task)
said = learner.predict(task.test)
batch = learner.collate(task.train)
before = float(learner.loss(batch))
fit(learner.loss, lambda step: batch, parameter_groups(learner, "lora", delta), steps=1, lr=delta.learning_rate, progress=False)
print(json.dumps({"parameters": sum(value.numel() for value in model.backbone_state().values()), "said": said, "moved": abs(before - float(learner.loss(batch)))}))
"""
WATCH = """
import resource, subprocess, sys
code = subprocess.call([sys.executable, "-c", *sys.argv[1:]])
print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * (1 if sys.platform == "darwin" else 1024))
sys.exit(code)
"""  # a small process between, since a new one counts the memory of the one that it came from


@pytest.mark.skipif(sys.platform == "win32", reason="memory is measured with getrusage")
def test_a_bert_base_reads_and_takes_a_lora_step_in_little_memory(tmp_path):
    """110 million parameters are 0.41 GiB; the whole process, with Python and torch, stays below 1.5 GiB."""
    folder = make("bert-base-uncased", tmp_path / "bert-base-uncased", full=True)
    asked = subprocess.run([sys.executable, "-c", WATCH, FULL, str(folder)], cwd=ROOT, capture_output=True, text=True, timeout=300)
    assert asked.returncode == 0, asked.stderr
    *_, found, peak = asked.stdout.splitlines()
    found = json.loads(found)
    assert found["parameters"] == 110_106_428 and set(found["said"]) <= {"negative", "positive"} and found["moved"] > 0
    assert 0.41 * GIB < int(peak) < 1.5 * GIB, f"{int(peak) / GIB:.2f} GiB"
