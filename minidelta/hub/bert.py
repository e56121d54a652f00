"""BERT in Hugging Face's words (Devlin et al. 2019): a post-norm encoder with learned positions and two heads.

Reads folders of BertForPreTraining, BertForMaskedLM, BertForNextSentencePrediction and BertModel, new and old: the
names may lack "bert.", and LayerNorm may call its weight and bias gamma and beta, as Google's first release did.
"""

import re

from minidelta.errors import CheckpointError
from minidelta.hub.names import ACTIVATION_NAMES, Weight, activation, check_traits, fill, is_tied, pair
from minidelta.hub.weights import Stored
from minidelta.model import TransformerConfig

DEFAULTS = {
    "vocab_size": 30522, "hidden_size": 768, "num_hidden_layers": 12, "num_attention_heads": 12, "intermediate_size": 3072,
    "hidden_act": "gelu", "hidden_dropout_prob": 0.1, "max_position_embeddings": 512, "type_vocab_size": 2, "layer_norm_eps": 1e-12,
    "tie_word_embeddings": True, "pad_token_id": 0, "bos_token_id": None, "eos_token_id": None, "mask_token_id": None,
}  # fmt: skip
FIXED = {"position_embedding_type": "absolute", "is_decoder": False, "add_cross_attention": False, "pruned_heads": {}}
TRAITS = {
    "shape": "encoder", "positions": "learned", "norm": "layernorm", "norm_position": "post", "embedding_norm": True, "final_norm": False,
    "gated": False, "bias": True, "scale_attention": True, "scale_logits": False,
}  # fmt: skip


def read_config(given: dict, stored: Stored) -> TransformerConfig:
    """config.json -> our configuration; which heads there are is seen from the weights."""
    theirs = fill(given, DEFAULTS, FIXED)
    has_mlm = "cls.predictions.transform.dense.weight" in stored
    tied = is_tied(stored, "cls.predictions.decoder.weight", "bert.embeddings.word_embeddings.weight", theirs["tie_word_embeddings"])
    if not tied and "cls.predictions.decoder.bias" in stored:
        stored.drop("cls.predictions.bias")  # an untied head computes with decoder.bias alone
    return TransformerConfig(
        **TRAITS,
        vocab_size=theirs["vocab_size"],
        d_model=theirs["hidden_size"],
        n_layers=theirs["num_hidden_layers"],
        n_heads=theirs["num_attention_heads"],
        d_ff=theirs["intermediate_size"],
        max_positions=theirs["max_position_embeddings"],
        token_types=theirs["type_vocab_size"],
        activation=activation(theirs["hidden_act"], "hidden_act"),
        norm_eps=theirs["layer_norm_eps"],
        dropout=theirs["hidden_dropout_prob"],
        lm_head="mlm" if has_mlm else None,
        tied=tied,
        pooler="bert.pooler.dense.weight" in stored,
        next_sentence="cls.seq_relationship.weight" in stored,
        **{key: theirs[key] for key in ("pad_token_id", "bos_token_id", "eos_token_id", "mask_token_id")},
    )


def write_config(config: TransformerConfig) -> dict:
    """Our configuration -> config.json."""
    check_traits(config, TRAITS, "BERT", head="mlm")
    if not config.token_types:
        raise CheckpointError("This model cannot be saved as BERT: it has no token types, a BERT has at least one.")
    names = {  # (masked words, next sentence) -> the transformers class with these heads
        (True, True): "BertForPreTraining",
        (True, False): "BertForMaskedLM",
        (False, True): "BertForNextSentencePrediction",
        (False, False): "BertModel",
    }
    return {
        "model_type": "bert",
        "architectures": [names[config.lm_head == "mlm", config.next_sentence]],
        "vocab_size": config.vocab_size,
        "hidden_size": config.d_model,
        "num_hidden_layers": config.n_layers,
        "num_attention_heads": config.n_heads,
        "intermediate_size": config.d_ff,
        "max_position_embeddings": config.max_positions,
        "type_vocab_size": config.token_types,
        "hidden_act": ACTIVATION_NAMES[config.activation],
        "layer_norm_eps": config.norm_eps,
        "hidden_dropout_prob": config.dropout,
        "attention_probs_dropout_prob": config.dropout,
        "tie_word_embeddings": config.tied,
        "position_embedding_type": "absolute",
        **{key: getattr(config, key) for key in ("pad_token_id", "bos_token_id", "eos_token_id", "mask_token_id")},
    }


def weights(config: TransformerConfig) -> list[Weight]:
    """Every tensor of a BERT folder, in the order of the computation."""
    found = [
        Weight("bert.embeddings.word_embeddings.weight", ("token_embedding.weight",)),
        Weight("bert.embeddings.position_embeddings.weight", ("position_embedding.weight",)),
        Weight("bert.embeddings.token_type_embeddings.weight", ("token_type_embedding.weight",)),
        *pair("bert.embeddings.LayerNorm", "embedding_norm"),
    ]
    for i in range(config.n_layers):
        theirs, ours = f"bert.encoder.layer.{i}", f"layers.{i}"
        found += pair(f"{theirs}.attention.self.query", f"{ours}.attn.q_proj")
        found += pair(f"{theirs}.attention.self.key", f"{ours}.attn.k_proj")
        found += pair(f"{theirs}.attention.self.value", f"{ours}.attn.v_proj")
        found += pair(f"{theirs}.attention.output.dense", f"{ours}.attn.o_proj")
        found += pair(f"{theirs}.attention.output.LayerNorm", f"{ours}.attn_norm")
        found += pair(f"{theirs}.intermediate.dense", f"{ours}.ffn.up_proj")
        found += pair(f"{theirs}.output.dense", f"{ours}.ffn.down_proj")
        found += pair(f"{theirs}.output.LayerNorm", f"{ours}.ffn_norm")
    if config.pooler:
        found += pair("bert.pooler.dense", "pooler")
    if config.lm_head:
        found += pair("cls.predictions.transform.dense", "lm_head.dense")
        found += pair("cls.predictions.transform.LayerNorm", "lm_head.norm")
        if config.tied:
            found += [Weight("cls.predictions.bias", ("lm_head.bias",))]
        else:
            found += pair("cls.predictions.decoder", "lm_head")
    if config.next_sentence:
        found += pair("cls.seq_relationship", "next_sentence_head")
    return found


def aliases(config: TransformerConfig) -> dict[str, str]:
    """Second names of one tensor -> its name in `weights`."""
    if not config.tied:
        return {"cls.predictions.bias": "cls.predictions.decoder.bias"}
    return {
        "cls.predictions.decoder.weight": "bert.embeddings.word_embeddings.weight",
        "cls.predictions.decoder.bias": "cls.predictions.bias",
    }


def canonical(key: str) -> str | None:
    """The name used in `weights`, from a bare or an old one; None for buffers that hold no weight."""
    if key.endswith(("embeddings.position_ids", "embeddings.token_type_ids")):
        return None
    if key.startswith(("embeddings.", "encoder.", "pooler.")):
        key = f"bert.{key}"
    return re.sub(r"LayerNorm\.(gamma|beta)$", lambda old: "LayerNorm." + {"gamma": "weight", "beta": "bias"}[old[1]], key)
