"""Tiny random models of the three shapes, and inputs with padding for each."""

import torch

from minidelta.model import Transformer, TransformerConfig

SIZE = dict(vocab_size=50, d_model=16, n_layers=2, n_heads=2, d_ff=32, max_positions=64, dropout=0.1, pad_token_id=0)
SHAPES = {
    "encoder": dict(shape="encoder", norm_position="post", lm_head="mlm", token_types=2, embedding_norm=True),
    "decoder": dict(shape="decoder", norm_position="pre", final_norm=True, lm_head="linear"),
    "encoder-decoder": dict(shape="encoder-decoder", norm="rmsnorm", positions="relative", bias=False, activation="relu", final_norm=True, lm_head="linear", decoder_start_token_id=0),
}


def tiny(shape: str, seed: int = 0) -> Transformer:
    torch.manual_seed(seed)
    return Transformer(TransformerConfig(**SIZE, **SHAPES[shape])).eval()


def inputs(shape: str) -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(3)
    batch = {"input_ids": torch.randint(1, 50, (3, 7), generator=generator), "attention_mask": torch.ones(3, 7, dtype=torch.long)}
    batch["attention_mask"][1, 4:] = 0
    if shape == "encoder-decoder":
        batch["decoder_input_ids"] = torch.randint(1, 50, (3, 5), generator=generator)
    return batch
