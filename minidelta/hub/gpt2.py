"""GPT-2 in Hugging Face's words (Radford et al. 2019): a pre-norm decoder with learned positions and a tied head.

Two habits of the first release live on in the files: a linear is a "Conv1D", stored as [d_in, d_out], and q, k and v
are one linear, c_attn.  Both are undone here, so that the model can speak of q_proj, k_proj and v_proj.
Of its three dropout rates, which are equal in every published checkpoint, resid_pdrop speaks for all.
"""

import re

from minidelta.hub.names import ACTIVATION_NAMES, Weight, activation, check_traits, fill, is_tied, pair
from minidelta.hub.weights import Stored
from minidelta.model import TransformerConfig

DEFAULTS = {
    "vocab_size": 50257, "n_positions": 1024, "n_embd": 768, "n_layer": 12, "n_head": 12, "n_inner": None, "activation_function": "gelu_new",
    "resid_pdrop": 0.1, "layer_norm_epsilon": 1e-5, "scale_attn_weights": True, "tie_word_embeddings": True,
    "bos_token_id": 50256, "eos_token_id": 50256, "pad_token_id": None,
}  # fmt: skip
FIXED = {"add_cross_attention": False, "scale_attn_by_inverse_layer_idx": False}
TRAITS = {
    "shape": "decoder", "positions": "learned", "norm": "layernorm", "norm_position": "pre", "embedding_norm": False, "final_norm": True,
    "gated": False, "bias": True, "scale_logits": False, "token_types": 0, "pooler": False, "next_sentence": False,
}  # fmt: skip


def read_config(given: dict, stored: Stored) -> TransformerConfig:
    """config.json -> our configuration."""
    theirs = fill(given, DEFAULTS, FIXED)
    tied = is_tied(stored, "lm_head.weight", "transformer.wte.weight", theirs["tie_word_embeddings"])
    return TransformerConfig(
        **TRAITS,
        vocab_size=theirs["vocab_size"],
        d_model=theirs["n_embd"],
        n_layers=theirs["n_layer"],
        n_heads=theirs["n_head"],
        d_ff=theirs["n_inner"] or 4 * theirs["n_embd"],
        max_positions=theirs["n_positions"],
        activation=activation(theirs["activation_function"], "activation_function"),
        norm_eps=theirs["layer_norm_epsilon"],
        scale_attention=theirs["scale_attn_weights"],
        dropout=theirs["resid_pdrop"],
        lm_head="linear" if tied or "lm_head.weight" in stored else None,
        tied=tied,
        **{key: theirs[key] for key in ("pad_token_id", "bos_token_id", "eos_token_id")},
    )


def write_config(config: TransformerConfig) -> dict:
    """Our configuration -> config.json."""
    check_traits(config, TRAITS, "GPT-2")
    return {
        "model_type": "gpt2",
        "architectures": ["GPT2LMHeadModel" if config.lm_head else "GPT2Model"],
        "vocab_size": config.vocab_size,
        "n_embd": config.d_model,
        "n_layer": config.n_layers,
        "n_head": config.n_heads,
        "n_inner": config.d_ff,
        "n_positions": config.max_positions,
        "activation_function": ACTIVATION_NAMES[config.activation],
        "layer_norm_epsilon": config.norm_eps,
        "scale_attn_weights": config.scale_attention,
        "resid_pdrop": config.dropout,
        "embd_pdrop": config.dropout,
        "attn_pdrop": config.dropout,
        "tie_word_embeddings": config.tied and config.lm_head is not None,
        **{key: getattr(config, key) for key in ("pad_token_id", "bos_token_id", "eos_token_id")},
    }


def conv1d(theirs: str, *ours: str) -> list[Weight]:
    """A Conv1D that holds one or several of our linears side by side."""
    return [
        Weight(f"{theirs}.weight", tuple(f"{name}.weight" for name in ours), transposed=True),
        Weight(f"{theirs}.bias", tuple(f"{name}.bias" for name in ours)),
    ]


def weights(config: TransformerConfig) -> list[Weight]:
    """Every tensor of a GPT-2 folder, in the order of the computation."""
    found = [
        Weight("transformer.wte.weight", ("token_embedding.weight",)),
        Weight("transformer.wpe.weight", ("position_embedding.weight",)),
    ]
    for i in range(config.n_layers):
        theirs, ours = f"transformer.h.{i}", f"layers.{i}"
        found += pair(f"{theirs}.ln_1", f"{ours}.attn_norm")
        found += conv1d(f"{theirs}.attn.c_attn", f"{ours}.attn.q_proj", f"{ours}.attn.k_proj", f"{ours}.attn.v_proj")
        found += conv1d(f"{theirs}.attn.c_proj", f"{ours}.attn.o_proj")
        found += pair(f"{theirs}.ln_2", f"{ours}.ffn_norm")
        found += conv1d(f"{theirs}.mlp.c_fc", f"{ours}.ffn.up_proj")
        found += conv1d(f"{theirs}.mlp.c_proj", f"{ours}.ffn.down_proj")
    found += pair("transformer.ln_f", "final_norm")
    if config.lm_head and not config.tied:
        found += [Weight("lm_head.weight", ("lm_head.weight",))]
    return found


def aliases(config: TransformerConfig) -> dict[str, str]:
    """Second names of one tensor -> its name in `weights`."""
    return {"lm_head.weight": "transformer.wte.weight"} if config.tied else {}


def canonical(key: str) -> str | None:
    """The name used in `weights`, from a bare one; None for the causal masks that old files carry."""
    if re.search(r"h\.\d+\.attn\.(bias|masked_bias)$", key):
        return None
    return f"transformer.{key}" if key.startswith(("h.", "wte.", "wpe.", "ln_f.")) else key
