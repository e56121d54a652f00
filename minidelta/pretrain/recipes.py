"""The recipes of the embedded models, as one table.

A step reads about 2,048 tokens (gpt-mini and t5-mini: 8,192, which keep a GPU busy).  Most steps take documents as
they come (BERT and T5: one a row, rows of like length together; GPT: rows of 128 tokens), a stated share takes long
rows, so that every position up to 512 is trained.  What differs between the families is what the papers differ in;
what differs between the sizes is depth, width and patience.
"""

from dataclasses import dataclass, field

from minidelta.model import TransformerConfig, bert_config, gpt2_config, t5_config

POSITIONS = 512  # BERT and GPT have a learned vector for each; T5 knows distances only
LONG = {256: 0.10, 512: 0.06}  # row length -> share of the steps


@dataclass(frozen=True)
class Recipe:
    """What it takes to pre-train one model.

    family: "bert", "gpt" or "t5".
    d_model, n_layers, n_heads: its size; d_ff is 4 d_model; T5 has n_layers in the encoder and again in the decoder.
    steps: updates.
    lr: peak learning rate, reached after `warmup` of the steps and then decayed along `schedule` to zero.
    tokens: read in a step, about.
    vocabulary: pieces of the tokenizer, at most; 4,096 are enough for every common word of the world to be one piece.
    snapshots: shares of the steps after which a copy is kept, for watching what pre-training brings.
    optimizer: "adamw", or "muon" (see muon.py) for the matrices of the layers.
    objective: settings of the objective that differ from its defaults.
    corpus: "world", or "lists": with lists of answered questions, for learning in context.
    """

    family: str
    d_model: int
    n_layers: int
    n_heads: int
    steps: int
    lr: float
    schedule: str = "linear"
    warmup: float = 0.04
    betas: tuple[float, float] = (0.9, 0.98)
    weight_decay: float = 0.01
    tokens: int = 2048
    vocabulary: int = 4096
    snapshots: tuple[float, ...] = ()
    optimizer: str = "adamw"
    objective: dict[str, float] = field(default_factory=dict)
    corpus: str = "world"


IN_CONTEXT = {"corpus": "lists", "objective": {"length": 256}}  # equal tokens and mix for all sizes

RECIPES = {
    #                      family  width layers heads  steps    lr
    "bert-nano":  Recipe("bert",    64,    2,    4,   12_000, 6e-3, optimizer="muon", snapshots=(0.02, 0.06, 0.18, 0.5)),
    "bert-micro": Recipe("bert",   128,    4,    8,  12_000, 1.5e-3, optimizer="muon"),
    "bert-mini":  Recipe("bert",   192,    6,    8,   8_000, 1.2e-3, optimizer="muon"),
    "gpt-nano":   Recipe("gpt",     64,    2,    4,   3_000, 3e-3),
    "gpt-micro":  Recipe("gpt",    128,    4,    8,   6_000, 1.5e-3),
    "gpt-mini":   Recipe("gpt",    192,    6,    8,   6_000, 2.5e-3, optimizer="muon", tokens=8192),
    "gpt-icl-nano":  Recipe("gpt",  64,    2,    4,   5_000, 5e-3, optimizer="muon", snapshots=(0.2,), **IN_CONTEXT),
    "gpt-icl-micro": Recipe("gpt", 128,    4,    8,   5_000, 3e-3, optimizer="muon", **IN_CONTEXT),
    "gpt-icl-mini":  Recipe("gpt", 192,    6,    8,   5_000, 2e-3, optimizer="muon", **IN_CONTEXT),
    "t5-nano":    Recipe("t5",      64,    2,    4,   3_000, 5e-3),
    "t5-micro":   Recipe("t5",     128,    4,    8,   4_000, 3e-3),
    "t5-mini":    Recipe("t5",     192,    6,    8,   2_000, 5e-3, optimizer="muon", tokens=8192, warmup=0.1, schedule="cooldown"),
}  # fmt: skip


def configuration(recipe: Recipe, tokenizer) -> TransformerConfig:
    """The architecture of a recipe: BERT and GPT-2 as published, T5 in its first version.

    T5 v1.0 (ReLU, input and output embeddings tied) rather than v1.1 (gated GELU, untied): at width 64 an untied
    output layer would double the model, and a gate adds half a feed-forward in time.

    Args:
        recipe: one line of the table.
        tokenizer: gives the vocabulary's size and the special tokens.
    Returns: a configuration whose dropout of 0.1 is for fine-tuning; pre-training turns it off (see `pretrain`).
    """
    size = {"vocab_size": len(tokenizer), "d_model": recipe.d_model, "n_layers": recipe.n_layers, "n_heads": recipe.n_heads, "d_ff": 4 * recipe.d_model}
    tokens = {"pad_token_id": tokenizer.pad_token_id, "bos_token_id": tokenizer.bos_token_id, "eos_token_id": tokenizer.eos_token_id, "mask_token_id": tokenizer.mask_token_id}
    if recipe.family == "bert":
        return bert_config(**size, **tokens, max_positions=POSITIONS, next_sentence=True)
    if recipe.family == "gpt":
        return gpt2_config(**size, **tokens, max_positions=POSITIONS)
    return t5_config("1.0", **size, **tokens)
