"""A real BERT learns real tasks: hidden states as transformers has them, and four methods well above a bag of words.

Runs where MINIDELTA_REAL_ENCODER names the folder of a pre-trained BERT (bert-base-uncased, or a distilled one such as a MiniLM of
22 million parameters) and the film reviews and questions lie beside the checkout: a quarter of an hour on a CPU, a minute on a GPU.
"""

import json
import os
from pathlib import Path

import pytest
import torch
import transformers

from minidelta import run
from minidelta.data import load_task
from minidelta.hub import load_model, load_tokenizer

FOLDER = os.environ.get("MINIDELTA_REAL_ENCODER", "")
DATA = Path(__file__).parents[3] / "shared" / "data"
STEPS = 300  # one to two passes, two fifths of what is usual

pytestmark = [
    pytest.mark.skipif(not FOLDER, reason="no real encoder: set MINIDELTA_REAL_ENCODER to the folder of a pre-trained BERT"),
    pytest.mark.skipif(not (DATA / "mr_train.jsonl").exists(), reason="the film reviews and questions are not beside this checkout"),
]


@torch.no_grad()
def test_hidden_states_equal_those_of_transformers():
    """Of 32 padded reviews, in float32, at every real token."""
    lines = (DATA / "mr_test.jsonl").read_text(encoding="utf-8").splitlines()[:32]
    model, tokenizer = load_model(FOLDER, device="cpu"), load_tokenizer(FOLDER)
    inputs = tokenizer([json.loads(line)["text"] for line in lines], padding=True, return_tensors="pt")
    assert inputs["attention_mask"].min() == 0
    reference = transformers.AutoModel.from_pretrained(FOLDER, dtype=torch.float32).eval()
    where = inputs["attention_mask"].bool()
    torch.testing.assert_close(model.hidden(**inputs)[where], reference(**inputs).last_hidden_state[where], atol=1e-5, rtol=0)


@pytest.mark.parametrize("method", ["full", "lora", "houlsby", "bitfit"])
@pytest.mark.parametrize(("name", "margin"), [("trec", 0.03), ("mr", 0.02)])
def test_learns_more_than_words(name, margin, method):
    """With the default rates of each method."""
    result = run.run(FOLDER, load_task(DATA / f"{name}_train.jsonl"), method, steps=STEPS, from_scratch=False)
    print(f"{name} {method}: {result['score']:.3f}, bag of words {result['bag_of_words']:.3f}")
    assert result["score"] > result["bag_of_words"] + margin
