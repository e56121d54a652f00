"""How many parameters: the sizes of a model's tensors, from its configuration.

Letters: D model width, H heads, K width of a head, F feed-forward, V vocabulary, R rank.
"""

from collections.abc import Sequence

from minidelta.model import TransformerConfig

MOMENTS = {"sgd": 0, "adagrad": 1, "adadelta": 2, "adam": 2, "adamw": 2}  # per parameter; all but sgd also count the steps of each tensor


def linear(d_in: int, d_out: int, bias: bool = True) -> list[int]:
    """W [d_out,d_in], b [d_out]."""
    return [d_out * d_in] + [d_out] * bias


def norm(c: TransformerConfig) -> list[int]:
    """Weight [D], and LayerNorm's bias."""
    return [c.d_model] * (2 if c.norm == "layernorm" else 1)


def linears(c: TransformerConfig, cross: bool) -> list[tuple[str, int, int]]:
    """(name, d_in, d_out) of those in a block: 4 D HK parameters for each attention, 2 D F (gated: 3 D F) for the feed-forward."""
    width = c.n_heads * c.d_head
    attention = [*((name, c.d_model, width) for name in ("q_proj", "k_proj", "v_proj")), ("o_proj", width, c.d_model)]
    return attention * (1 + cross) + [("gate_proj", c.d_model, c.d_ff)] * c.gated + [("up_proj", c.d_model, c.d_ff), ("down_proj", c.d_ff, c.d_model)]


def blocks(c: TransformerConfig) -> list[bool]:
    """One entry for each block: whether it has cross-attention."""
    return [False] * c.n_layers + [True] * c.n_decoder_layers * (c.shape == "encoder-decoder")


def backbone(c: TransformerConfig) -> list[int]:
    """V D; for each stack its positions, token types and norms; for each block its linears, and a norm for each sublayer."""
    positions = c.max_positions * c.d_model if c.positions == "learned" else c.relative_buckets * c.n_heads
    around = [positions] + [c.token_types * c.d_model] * (c.token_types > 0) + norm(c) * (c.embedding_norm + c.final_norm)
    inside = [size for cross in blocks(c) for _, d_in, d_out in linears(c, cross) for size in linear(d_in, d_out, c.bias)]
    return [c.vocab_size * c.d_model] + around * (1 + any(blocks(c))) + inside + norm(c) * sum(2 + cross for cross in blocks(c))


def lm_head(c: TransformerConfig, tied: bool) -> list[int]:
    """V D unless that is the embedding's; BERT's ("mlm") has a linear and a norm before it, and V biases."""
    before = linear(c.d_model, c.d_model) + norm(c) + [c.vocab_size] if c.lm_head == "mlm" else []
    return before + [c.vocab_size * c.d_model] * (c.lm_head is not None and not tied)


def low_rank(c: TransformerConfig, rank: int, targets: Sequence[str]) -> list[int]:
    """A [R,d_in] and B [d_out,R] for each targeted linear."""
    return [size for cross in blocks(c) for name, d_in, d_out in linears(c, cross) if name in targets for size in (rank * d_in, d_out * rank)]
