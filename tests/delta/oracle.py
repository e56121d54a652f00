"""Tiny models of transformers, the same weights in ours, and inputs: what the comparisons with PEFT begin with."""

import pytest
import torch

KINDS = {"bert": "BertForMaskedLM", "gpt2": "GPT2LMHeadModel", "t5": "T5ForConditionalGeneration"}


def theirs(family: str, **changes):
    """A random model of transformers, in evaluation mode; `changes` go into its configuration."""
    transformers = pytest.importorskip("transformers")
    torch.manual_seed(0)
    if family == "bert":
        config = transformers.BertConfig(vocab_size=60, hidden_size=16, num_hidden_layers=2, num_attention_heads=2, intermediate_size=32, max_position_embeddings=32, **changes)
    elif family == "gpt2":
        config = transformers.GPT2Config(vocab_size=60, n_embd=16, n_layer=2, n_head=2, n_positions=32, bos_token_id=1, eos_token_id=1, **changes)
    else:
        config = transformers.T5Config(vocab_size=60, d_model=16, num_layers=2, num_heads=2, d_kv=8, d_ff=32, decoder_start_token_id=0, **changes)
    model = getattr(transformers, KINDS[family])(config).eval()
    with torch.no_grad():
        for p in model.parameters():  # not so near to zero that a difference would not show
            p += 0.05 * torch.randn(p.shape)
    return model


def pair(family: str, folder, **changes):
    """(ours, theirs) with the same weights."""
    from minidelta.hub import load_model

    original = theirs(family, **changes)
    original.save_pretrained(folder)
    return load_model(folder, device="cpu").eval(), original


def batch(family: str) -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(1)
    found = {"input_ids": torch.randint(2, 60, (3, 7), generator=generator), "attention_mask": torch.ones(3, 7, dtype=torch.long)}
    found["attention_mask"][1, 4:] = 0
    if family == "t5":
        found["decoder_input_ids"] = torch.randint(2, 60, (3, 5), generator=generator)
    return found


def equal(ours: torch.Tensor, expected: torch.Tensor, mask: torch.Tensor | None = None) -> None:
    """Logits [B,T,V] are the same where there are real tokens."""
    real = torch.ones(ours.shape[:2], dtype=torch.bool) if mask is None else mask.bool()
    torch.testing.assert_close(ours[real], expected[real], atol=1e-5, rtol=1e-5)


def noise(parameters, seed: int = 2, size: float = 0.3) -> None:
    """Stand in for training."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for p in parameters:
            p += size * torch.randn(p.shape, generator=generator)
