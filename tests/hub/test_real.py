"""Real weights and real sizes.

A whole BERT-base is made with transformers in its exact layout; it needs 1.5 GB of memory and some seconds, and runs
with MINIDELTA_SLOW=1.  Real checkpoints are compared where MINIDELTA_REAL names their folders (separated by ":").
"""

import os
import resource
import sys

import pytest
import torch
import transformers

from minidelta.hub import load_model, load_tokenizer
from tests.hub.oracle import theirs

FOLDERS = list(filter(None, os.environ.get("MINIDELTA_REAL", "").split(os.pathsep)))
TEXTS = ["The cheese is excellent.", "Paris, the capital of France, lies on the Seine; it has about 2.1 million inhabitants.", "Non!"]


@pytest.mark.skipif(os.environ.get("MINIDELTA_SLOW") != "1", reason="a whole BERT-base: set MINIDELTA_SLOW=1")
@torch.no_grad()
def test_a_bert_of_full_size(tmp_path):
    """110 million parameters load without a second copy in memory, and compute the same."""
    reference = transformers.BertForPreTraining(transformers.BertConfig()).eval()
    reference.save_pretrained(tmp_path)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    model = load_model(tmp_path, device="cpu")
    unit = 1 if sys.platform == "darwin" else 1024
    grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) * unit
    size = sum(parameter.numel() * 4 for parameter in model.parameters())
    assert grown < 2.5 * size, f"loading {size / 1e6:.0f} MB of weights took {grown / 1e6:.0f} MB"  # the file is mapped, too
    inputs = {"input_ids": torch.randint(999, 30000, (2, 12)), "token_type_ids": torch.ones(2, 12, dtype=torch.long)}
    torch.testing.assert_close(model(**inputs), theirs(reference, inputs)[0], atol=1e-5, rtol=0)


@pytest.mark.skipif(not FOLDERS, reason="no real checkpoint: set MINIDELTA_REAL to the folder of one")
@pytest.mark.parametrize("folder", FOLDERS)
@torch.no_grad()
def test_real_checkpoints(folder):
    """Hidden states of real text equal those of transformers, within 1e-5 of their largest value."""
    model, tokenizer = load_model(folder, device="cpu"), load_tokenizer(folder)
    if tokenizer.pad_token is None:
        tokenizer.pad_token = tokenizer.eos_token  # GPT-2 has no padding of its own
    inputs = tokenizer(TEXTS, padding=True, return_tensors="pt")
    reference = transformers.AutoModel.from_pretrained(folder, dtype=torch.float32).eval()
    if reference.config.is_encoder_decoder:
        inputs["decoder_input_ids"] = inputs["input_ids"]
    where = inputs["attention_mask"].bool()
    expected = reference(**inputs).last_hidden_state[where]
    torch.testing.assert_close(model.hidden(**inputs)[where], expected, atol=1e-5 * max(1.0, expected.abs().max().item()), rtol=0)
