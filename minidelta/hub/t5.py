"""T5 in Hugging Face's words (Raffel et al. 2020; version 1.1: Shazeer 2020, gated feed-forward and a head of its own).

A layer of the file is a list of sublayers: 0 attends to its own side, 1 is the encoder's feed-forward or the decoder's
cross attention, 2 the decoder's feed-forward.  Only the first layer stores the relative positions, which all layers use.
Version 1.0 ties the head to the embeddings and shrinks its input by sqrt(d_model); version 1.1 does neither.
"""

from minidelta.errors import CheckpointError
from minidelta.hub.names import ACTIVATION_NAMES, Weight, activation, check_traits, fill, is_tied
from minidelta.hub.weights import Stored
from minidelta.model import TransformerConfig

DEFAULTS = {
    "vocab_size": 32128, "d_model": 512, "d_kv": 64, "d_ff": 2048, "num_layers": 6, "num_decoder_layers": None, "num_heads": 8,
    "relative_attention_num_buckets": 32, "relative_attention_max_distance": 128, "feed_forward_proj": "relu", "dropout_rate": 0.1,
    "layer_norm_epsilon": 1e-6, "tie_word_embeddings": True, "n_positions": 512,
    "pad_token_id": 0, "eos_token_id": 1, "decoder_start_token_id": None,
}  # fmt: skip
FIXED = {"is_decoder": False}
EMBEDDINGS = ("encoder.embed_tokens.weight", "decoder.embed_tokens.weight")  # second names of shared.weight
TRAITS = {
    "positions": "relative", "norm": "rmsnorm", "norm_position": "pre", "embedding_norm": False, "final_norm": True, "bias": False,
    "scale_attention": False, "token_types": 0, "pooler": False, "next_sentence": False,
}  # fmt: skip


def read_config(given: dict, stored: Stored) -> TransformerConfig:
    """config.json -> our configuration; a folder of T5EncoderModel gives the encoder alone."""
    theirs = fill(given, DEFAULTS, FIXED)
    whole = any(key.startswith("decoder.block.") for key in stored)
    # Old files say by `tie_word_embeddings` whether the head's input is shrunk; new ones have a word for it.
    scale = given.get("scale_decoder_outputs", theirs["tie_word_embeddings"])
    headless = scale is False and "T5Model" in (given.get("architectures") or [])  # a bare version 1.1: its own head was left out
    has_head = whole and ("lm_head.weight" in stored or not headless)
    table = next((name for name in ("shared.weight", *EMBEDDINGS) if name in stored), "shared.weight")
    tied = "lm_head.weight" not in stored or is_tied(stored, "lm_head.weight", table, theirs["tie_word_embeddings"], quietly=True)
    gated, act = _feed_forward(theirs["feed_forward_proj"])
    return TransformerConfig(
        **TRAITS,
        shape="encoder-decoder" if whole else "encoder",
        vocab_size=theirs["vocab_size"],
        d_model=theirs["d_model"],
        n_layers=theirs["num_layers"],
        n_decoder_layers=(theirs["num_decoder_layers"] or theirs["num_layers"]) if whole else None,
        n_heads=theirs["num_heads"],
        d_head=theirs["d_kv"],
        d_ff=theirs["d_ff"],
        max_positions=theirs["n_positions"],
        relative_buckets=theirs["relative_attention_num_buckets"],
        relative_max_distance=theirs["relative_attention_max_distance"],
        activation=activation(given.get("dense_act_fn", act), "feed_forward_proj"),
        gated=gated,
        norm_eps=theirs["layer_norm_epsilon"],
        dropout=theirs["dropout_rate"],
        lm_head="linear" if has_head else None,
        tied=tied,
        scale_logits=scale and has_head,
        pad_token_id=theirs["pad_token_id"],
        eos_token_id=theirs["eos_token_id"],
        decoder_start_token_id=theirs["decoder_start_token_id"] if theirs["decoder_start_token_id"] is not None else theirs["pad_token_id"],
    )


def _feed_forward(projection: str) -> tuple[bool, str]:
    """`feed_forward_proj` -> (gated?, name of the activation).  "gated-gelu" has always meant the tanh form."""
    first, _, rest = projection.partition("-")
    if rest and first != "gated":
        raise CheckpointError(f"config.json sets feed_forward_proj to {projection!r}; expected an activation such as 'relu', or 'gated-gelu'.")
    if projection == "gated-gelu":
        return True, "gelu_new"
    return bool(rest), rest or first


def write_config(config: TransformerConfig) -> dict:
    """Our configuration -> config.json."""
    check_traits(config, TRAITS, "T5")
    act = ACTIVATION_NAMES[config.activation]
    whole = config.shape == "encoder-decoder"
    if config.lm_head and not whole:
        raise CheckpointError("This model cannot be saved as T5: it is an encoder alone with a language-model head; give it lm_head=None.")
    names = {(True, True): "T5ForConditionalGeneration", (True, False): "T5Model", (False, False): "T5EncoderModel"}
    return {
        "model_type": "t5",
        "architectures": [names[whole, config.lm_head is not None]],
        "is_encoder_decoder": whole,
        "vocab_size": config.vocab_size,
        "d_model": config.d_model,
        "num_layers": config.n_layers,
        "num_decoder_layers": config.n_decoder_layers or config.n_layers,
        "num_heads": config.n_heads,
        "d_kv": config.d_head,
        "d_ff": config.d_ff,
        "n_positions": config.max_positions,
        "relative_attention_num_buckets": config.relative_buckets,
        "relative_attention_max_distance": config.relative_max_distance,
        "feed_forward_proj": "gated-gelu" if config.gated and act == "gelu_new" else f"gated-{act}" if config.gated else act,
        "is_gated_act": config.gated,
        "dense_act_fn": act,
        "layer_norm_epsilon": config.norm_eps,
        "dropout_rate": config.dropout,
        "tie_word_embeddings": config.tied,
        "scale_decoder_outputs": config.scale_logits,
        "pad_token_id": config.pad_token_id,
        "eos_token_id": config.eos_token_id,
        "decoder_start_token_id": config.decoder_start_token_id,
    }


def one(theirs: str, ours: str) -> list[Weight]:
    """T5 has no biases: every linear and every norm is one tensor."""
    return [Weight(f"{theirs}.weight", (f"{ours}.weight",))]


def attention(theirs: str, ours: str) -> list[Weight]:
    """The four linears of an attention."""
    return [weight for part in "qkvo" for weight in one(f"{theirs}.{part}", f"{ours}.{part}_proj")]


def feed_forward(theirs: str, ours: str, gated: bool) -> list[Weight]:
    """wi and wo; gated: wi_0 goes through the activation, wi_1 is multiplied with it."""
    inner = one(f"{theirs}.wi_0", f"{ours}.gate_proj") + one(f"{theirs}.wi_1", f"{ours}.up_proj") if gated else one(f"{theirs}.wi", f"{ours}.up_proj")
    return inner + one(f"{theirs}.wo", f"{ours}.down_proj")


def stack(side: str, ours: str, n_layers: int, gated: bool) -> list[Weight]:
    """All layers of the encoder or the decoder."""
    found = one(f"{side}.block.0.layer.0.SelfAttention.relative_attention_bias", f"{ours}relative_bias")
    for i in range(n_layers):
        theirs, our_layer = f"{side}.block.{i}.layer", f"{ours}layers.{i}"
        found += attention(f"{theirs}.0.SelfAttention", f"{our_layer}.attn") + one(f"{theirs}.0.layer_norm", f"{our_layer}.attn_norm")
        if side == "decoder":
            found += attention(f"{theirs}.1.EncDecAttention", f"{our_layer}.cross") + one(f"{theirs}.1.layer_norm", f"{our_layer}.cross_norm")
        last = 2 if side == "decoder" else 1
        found += feed_forward(f"{theirs}.{last}.DenseReluDense", f"{our_layer}.ffn", gated) + one(f"{theirs}.{last}.layer_norm", f"{our_layer}.ffn_norm")
    return found + one(f"{side}.final_layer_norm", f"{ours}final_norm")


def weights(config: TransformerConfig) -> list[Weight]:
    """Every tensor of a T5 folder, in the order of the computation."""
    found = one("shared", "token_embedding")
    if config.shape == "encoder":
        return found + stack("encoder", "", config.n_layers, config.gated)
    found += stack("encoder", "encoder.", config.n_layers, config.gated)
    found += stack("decoder", "decoder.", config.n_decoder_layers, config.gated)
    if config.lm_head and not config.tied:
        found += one("lm_head", "lm_head")
    return found


def aliases(config: TransformerConfig) -> dict[str, str]:
    """Second names of one tensor -> its name in `weights`."""
    return dict.fromkeys(EMBEDDINGS + (("lm_head.weight",) if config.tied else ()), "shared.weight")


def canonical(key: str) -> str | None:
    """The name used in `weights`; None for the relative positions of cross attention, which T5 never uses."""
    key = key.removeprefix("transformer.")  # in folders of task models
    return None if key == "decoder.block.0.layer.1.EncDecAttention.relative_attention_bias.weight" else key
