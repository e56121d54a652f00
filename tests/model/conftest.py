"""transformers' own tiny random models beside ours with the same weights: the oracle of these tests."""

import pytest
import torch
import transformers

from minidelta.hub import load_model

SMALL = {
    "bert": dict(vocab_size=61, hidden_size=32, num_hidden_layers=2, num_attention_heads=4, intermediate_size=48, max_position_embeddings=48),
    "gpt2": dict(vocab_size=61, n_embd=32, n_layer=2, n_head=4, n_inner=48, n_positions=48, pad_token_id=0, bos_token_id=1, eos_token_id=1),
    "t5": dict(vocab_size=61, d_model=32, d_kv=6, d_ff=48, num_layers=2, num_heads=4, relative_attention_num_buckets=8, relative_attention_max_distance=12, decoder_start_token_id=0),
}
SMALL["t5-1.1"] = SMALL["t5"] | dict(feed_forward_proj="gated-gelu", tie_word_embeddings=False)
FAMILIES = list(SMALL)


@pytest.fixture(params=FAMILIES)
def family(request) -> str:
    return request.param


@pytest.fixture
def twins(tmp_path):
    """A function: family, seed and settings in transformers' words -> (ours, theirs) with the same weights."""

    def make(family: str, seed: int = 0, **settings):
        settings = SMALL[family] | settings
        torch.manual_seed(seed)
        if family == "bert":
            theirs = transformers.BertForPreTraining(transformers.BertConfig(**settings))
        elif family == "gpt2":
            theirs = transformers.GPT2LMHeadModel(transformers.GPT2Config(**settings))
        else:
            theirs = transformers.T5ForConditionalGeneration(transformers.T5Config(**settings))
        if family == "t5-1.1":
            theirs.lm_head.weight = torch.nn.Parameter(torch.randn_like(theirs.lm_head.weight) * settings["d_model"] ** -0.5)
        with torch.no_grad():  # move biases and norms away from 0 and 1, so that a forgotten one shows
            for parameter in theirs.parameters():
                parameter.add_(torch.randn_like(parameter) * 0.1)
        folder = tmp_path / f"{family}-{seed}"
        theirs.save_pretrained(folder)
        return load_model(folder, device="cpu"), theirs.eval()

    return make


@pytest.fixture
def ragged():
    """A function: random ids [B,T] of unequal lengths (2 and up; 0 is padding on the given side) and their mask."""

    def make(rows: int = 3, length: int = 11, side: str = "right", seed: int = 0):
        generator = torch.Generator().manual_seed(seed)
        ids = torch.randint(2, 61, (rows, length), generator=generator)
        lengths = [length] + [1 + row * (length - 1) // rows for row in range(1, rows)]
        mask = (torch.arange(length) < torch.tensor(lengths)[:, None]).long()
        mask = mask if side == "right" else mask.flip(1)
        return ids * mask, mask

    return make
