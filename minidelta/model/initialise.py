"""Initial weights for training from scratch, as each family's paper or code draws them."""

import math

import torch
from torch import nn

from minidelta.model.config import TransformerConfig


def deviations(config: TransformerConfig) -> dict[str, float]:
    """Standard deviation of each kind of matrix, by the name of its layer; what is not listed has 0.02.

    BERT: 0.02 everywhere.  GPT-2 (Radford et al. 2019, section 2.3): what writes into the residual stream starts
    smaller by sqrt(2 L), since 2 L such terms add up.  T5: one over the root of the number of inputs, and q_proj
    once more over the root of the head width, because its attention does not divide the scores.

    >>> deviations(TransformerConfig(shape="decoder", vocab_size=9, d_model=8, n_layers=2, n_heads=2, d_ff=8))
    {'o_proj': 0.01, 'down_proj': 0.01}
    """
    if config.scale_attention:
        small = 0.02 / math.sqrt(2 * config.n_layers)
        return {"o_proj": small, "down_proj": small} if config.norm_position == "pre" else {}
    narrow, wide, inner = config.d_model**-0.5, config.d_ff**-0.5, (config.n_heads * config.d_head) ** -0.5
    return {
        "token_embedding": 1.0,
        "q_proj": narrow * config.d_head**-0.5,
        **dict.fromkeys(("k_proj", "v_proj", "up_proj", "gate_proj", "relative_bias", "lm_head"), narrow),
        "o_proj": inner,
        "down_proj": wide,
    }


def initialise(model: nn.Module, seed: int | None = None) -> None:
    """Draw new weights: normal matrices, zero biases, norms that change nothing.

    Args:
        model: a `Transformer`.
        seed: None draws from torch's global generator.
    """
    if model.device.type == "meta":  # shapes without numbers
        return
    special = deviations(model.config)
    generator = None if seed is None else torch.Generator(model.device).manual_seed(seed)
    for name, parameter in model.named_parameters():
        layer = name.split(".")[-2]
        if parameter.dim() > 1:
            nn.init.normal_(parameter, 0.0, special.get(layer, 0.02), generator=generator)
        elif name.endswith("bias"):
            nn.init.zeros_(parameter)
